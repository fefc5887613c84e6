import assert from "node:assert/strict";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createReplica, replicaDefaults, type ReplicaConfig } from "../../src/replica/index.js";
import type { Replica } from "../../src/replica/api.js";
import { memoryLog, memoryMeter, realClock, realRandom, realScheduler } from "../../src/runtime/index.js";
import { FOUNDED_AT, NodeStorage, openRocks } from "../../src/storage/index.js";
import { GrpcTransport, peerServerOptions } from "../../src/transport/index.js";
import { services } from "../../src/wire/services.js";
import type { v1 } from "../../src/wire/index.js";
import { keyMachine } from "../replica/key-machine.js";
import { freePort, until as untilWithin } from "../transport/fixtures.js";

/** Of everything that is waited for here: a mere bound. */
const WITHIN_MS = 60_000;
const until = (what: string, holds: () => boolean) => untilWithin(what, holds, WITHIN_MS);

interface Member {
  readonly replica: Replica;
  readonly log: ReturnType<typeof memoryLog>;
  readonly refused: string[];
  /** Ends it without handing anything over. */
  readonly cut: () => Promise<void>;
}

/** Members as processes would be, but in this one: RocksDB, gRPC over loopback, the real clock. */
class Members {
  readonly folder = mkdtempSync(join(tmpdir(), "holdfast-members-"));
  readonly records: v1.IMemberRecord[] = [];
  readonly running = new Map<number, Member>();

  static async of(count: number, overrides: Partial<ReplicaConfig> = {}): Promise<Members> {
    const members = new Members(overrides);
    for (let raftId = 1; raftId <= count; raftId++)
      members.records.push({
        raftId,
        name: `n${raftId}`,
        incarnation: 1,
        grpcAddress: `127.0.0.1:${await freePort()}`,
      });
    for (let raftId = 1; raftId <= count; raftId++) await members.start(raftId);
    return members;
  }

  private constructor(private readonly overrides: Partial<ReplicaConfig>) {}

  /** Starts a member; one that joins has an empty disk and knows the others' addresses, but no configuration. */
  async start(raftId: number, joins = false): Promise<Member> {
    const log = memoryLog();
    const runtime = {
      clock: realClock,
      random: realRandom,
      scheduler: realScheduler,
      log,
      meter: memoryMeter(),
    };
    const storage = await NodeStorage.open(await openRocks(this.disk(raftId)), runtime);
    const voters = this.records.map((record) => record.raftId ?? 0);
    const confState = { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
    const who = { clusterId: "c1", name: `n${raftId}`, raftId, incarnation: 1 };
    const empty = { ...confState, voters: [] };
    const identity =
      storage.identity ??
      (await (joins ? storage.initialise(who, empty) : storage.initialise(who, confState, FOUNDED_AT)));
    const server = new Server(peerServerOptions());
    const refused: string[] = [];
    let transport: GrpcTransport | null = null;
    const replica = await createReplica({
      runtime,
      config: {
        ...replicaDefaults,
        raftId,
        name: who.name,
        clusterId: who.clusterId,
        initialMembers: this.records,
        shares: [],
        ...this.overrides,
      },
      storage,
      createTransport: (events) => {
        transport = new GrpcTransport({
          self: identity,
          events: {
            onFrames: (from, frames) => events.onFrames(from, frames),
            onConnected: (peer) => events.onConnected(peer),
            onDisconnected: (peer, reason) => events.onDisconnected(peer, reason),
            onSnapshot: (from, first) => events.onSnapshot(from, first),
            onRefused: (_, refusal) => refused.push(refusal.codeName),
          },
          admit: (said) => storage.admitPeer(said),
          scheduler: realScheduler,
          log,
          meter: runtime.meter,
        });
        return transport;
      },
      createStateMachine: keyMachine,
      diskLow: () => false,
      onFatal: (reason) => log.error({ reason }, "fatal"),
    });
    server.addService(services.Peer, (transport as unknown as GrpcTransport).handlers);
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(this.address(raftId), ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      ),
    );
    const member: Member = {
      replica,
      log,
      refused,
      cut: async () => {
        this.running.delete(raftId);
        server.forceShutdown();
        await transport?.close();
        await replica.stop();
      },
    };
    this.running.set(raftId, member);
    return member;
  }

  disk(raftId: number): string {
    return join(this.folder, `n${raftId}`);
  }

  async leader(): Promise<Member> {
    const found = () => [...this.running.values()].find(({ replica }) => replica.leader().ready);
    await until("a leader", () => found() !== undefined);
    return found() as Member;
  }

  async store(by: Member, from: number, to: number, bytes = 100): Promise<void> {
    const waits = [];
    for (let i = from; i < to; i++) {
      const state = Buffer.alloc(bytes, i % 256);
      waits.push(by.replica.propose({ storeKey: { key: `key ${i}`, state } }));
      if (waits.length === 200) await settled(waits.splice(0));
    }
    await settled(waits);
  }

  async stop(): Promise<void> {
    for (const { cut } of [...this.running.values()]) await cut();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private address(raftId: number): string {
    return this.records[raftId - 1]?.grpcAddress ?? "";
  }
}

async function settled(waits: Promise<v1.ICommandResult>[]): Promise<void> {
  for (const result of await Promise.all(waits)) assert.equal(result.error ?? null, null);
}

function keysAt(member: Member): number {
  return member.replica.state.counts().keys;
}

describe("members over RocksDB and gRPC", function () {
  this.timeout(240_000);
  let members: Members;
  afterEach(() => members.stop());

  it("replicate to all, and come back from their disks", async () => {
    members = await Members.of(3);
    const leader = await members.leader();
    await members.store(leader, 0, 500);
    await until("all followers", () =>
      [...members.running.values()].every((member) => keysAt(member) === 500),
    );
    for (const { cut } of [...members.running.values()]) await cut();
    for (const raftId of [1, 2, 3]) await members.start(raftId);
    const again = await members.leader();
    await again.replica.readBarrier();
    assert.equal(keysAt(again), 500);
    assert.deepEqual(again.replica.state.key("key 321")?.state, Buffer.alloc(100, 321 % 256));
  });

  it("bring a member that is far behind up to date by a snapshot from disk", async () => {
    members = await Members.of(3, {
      compactEntries: 300,
      compactKeepEntries: 50,
      snapshotChunkBytes: 20_000,
    });
    await members.leader();
    const behind = 3;
    await members.running.get(behind)?.cut();
    const leader = await members.leader();
    await members.store(leader, 0, 3000, 200);
    await until("the leader's log is cut", () => leader.replica.status().raft.firstIndex > 2000);
    const again = await members.start(behind);
    await until("the state is there", () => keysAt(again) === 3000);
    assert.deepEqual(again.replica.state.key("key 2999")?.state, Buffer.alloc(200, 2999 % 256));
    assert((again.replica.status().snapshotIndex ?? 0) > 2000, "it came by snapshot, not by log");
    await members.store(await members.leader(), 3000, 3100);
    await until("it follows on", () => keysAt(again) === 3100);
    await again.cut();
    const restarted = await members.start(behind);
    await until("it restarts from the snapshot", () => keysAt(restarted) === 3100);
  });

  it("take in a new one by snapshot, promote it, and let another go", async () => {
    members = await Members.of(3);
    await members.store(await members.leader(), 0, 300);
    const record = { raftId: 4, name: "n4", incarnation: 1, grpcAddress: `127.0.0.1:${await freePort()}` };
    members.records.push(record);
    const fourth = await members.start(4, true);
    const change = async (action: "add-learner" | "promote" | "remove", member: v1.IMemberRecord) => {
      const refusal = await (await members.leader()).replica.changeMembers({ action, member });
      assert.equal(refusal, null);
    };
    await change("add-learner", record);
    await until("the learner has everything", () => keysAt(fourth) === 300);
    await change("promote", record);
    await until("it votes", () => fourth.replica.status().raft.config.voters.includes(4));
    const gone = [...members.running.keys()].find(
      (id) => id !== 4 && !members.running.get(id)?.replica.leader().isLeader,
    ) as number;
    await change("remove", members.records[gone - 1] as v1.IMemberRecord);
    await members.running.get(gone)?.cut();
    await members.store(await members.leader(), 300, 400);
    await until("the fourth follows", () => keysAt(fourth) === 400);
    await fourth.cut();
    const again = await members.start(4, true);
    await until("it comes back as what it was", () => keysAt(again) === 400);
    assert.deepEqual(
      [...again.replica.status().raft.config.voters],
      [1, 2, 3, 4].filter((id) => id !== gone),
    );
  });

  it("refuse one that comes back with a wiped disk, and go on without it", async () => {
    members = await Members.of(3);
    await members.store(await members.leader(), 0, 50);
    await until("all have met", () => [...members.running.values()].every((member) => keysAt(member) === 50));
    await members.running.get(3)?.cut();
    rmSync(members.disk(3), { recursive: true });
    const wiped = await members.start(3);
    await until("it is told", () => wiped.refused.includes("PERMISSION_DENIED"));
    await members.store(await members.leader(), 50, 150);
    assert.equal(keysAt(wiped), 0);
    assert.equal(wiped.replica.leader().leaderId, 0);
  });
});
