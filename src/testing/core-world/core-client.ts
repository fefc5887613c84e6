import type { RegisterInput, RegisterOutput, Operation } from "../linearizability/index.js";
import type { RegisterOracle, Started } from "../checkers/index.js";
import type { Prng } from "../sim/prng.js";
import type { SimEvent, Simulation } from "../sim/index.js";
import type { CoreNode } from "./core-node.js";
import { encodeWrite, REGISTERS } from "./register-state.js";
import type { CoreSettings } from "./swarm.js";

/** An operation on one register, for the linearizability checker. */
export interface RegisterHistory extends Operation<RegisterInput, RegisterOutput> {
  readonly key: number;
}

/** What clients share. */
export interface ClientWorld {
  readonly sim: Simulation;
  readonly settings: CoreSettings;
  readonly oracle: RegisterOracle;
  readonly history: RegisterHistory[];
  /** Writes under way, by serial: at the end of a run their outcome is unknown. */
  readonly openWrites: Map<number, RegisterHistory>;
  nodes(): readonly CoreNode[];
  nextSerial(): number;
  /** False once the workload has to end. */
  readonly working: boolean;
}

const WRITE_PATIENCE_US = 2_000_000;
const READ_PATIENCE_US = 1_500_000;

/** One client: a write or a read at a time, at whoever seems to lead, or at anybody. */
export class CoreClient {
  constructor(
    readonly id: number,
    private readonly world: ClientWorld,
    private readonly prng: Prng,
  ) {}

  start(): void {
    this.later();
  }

  private later(): void {
    this.world.sim.after(this.prng.exponential(this.world.settings.thinkMeanUs) + 1, () => {
      if (!this.world.working) return;
      if (this.prng.chance(this.world.settings.readShare)) this.read();
      else this.write();
    });
  }

  /** Somebody who believes to lead, who may be wrong; in a part of the cases anybody. */
  private choose(): CoreNode | null {
    const running = this.world.nodes().filter((node) => node.running && !node.paused);
    if (running.length === 0) return null;
    if (this.prng.chance(0.25)) return this.prng.pick(running);
    const leaders = running.filter((node) => node.member?.status().role === "leader");
    return leaders.length > 0 ? this.prng.pick(leaders) : this.prng.pick(running);
  }

  private write(): void {
    const { sim, oracle, history, settings } = this.world;
    const node = this.choose();
    if (node === null) {
      this.later();
      return;
    }
    const key = this.prng.below(REGISTERS);
    const serial = this.world.nextSerial();
    const started = oracle.begins(serial);
    const callUs = sim.nowUs;
    let settled = false;
    let patience: SimEvent | null = null;
    const { openWrites } = this.world;
    const end = (): void => {
      settled = true;
      patience?.cancel();
      openWrites.delete(serial);
    };
    const record = (returnUs: number, output: RegisterOutput | null): void => {
      end();
      history.push({ client: this.id, key, input: { write: serial }, callUs, returnUs, output });
      this.later();
    };
    const accepted = node.write(
      encodeWrite(key, serial, this.prng.below(settings.paddingMax + 1)),
      (outcome) => {
        if (settled) return;
        if (outcome === "lost") {
          // Its place was taken by another entry: it surely did not and will not happen.
          settled = true;
          patience?.cancel();
          this.later();
          return;
        }
        oracle.writeAnswered(started, key, serial, outcome.index, outcome.previous);
        record(sim.nowUs, { previous: outcome.previous });
      },
      this.awaiting(node),
    );
    if (!accepted) {
      this.later();
      return;
    }
    // A single member on a fast disk may have answered already.
    if (settled) return;
    openWrites.set(serial, {
      client: this.id,
      key,
      input: { write: serial },
      callUs,
      returnUs: Infinity,
      output: null,
    });
    patience = sim.after(WRITE_PATIENCE_US, () => {
      if (settled) return;
      sim.tally.situation("write of unknown outcome");
      record(Infinity, null);
    });
  }

  /** A member whose client has asked for the write, when it is not the one that proposes it. */
  private awaiting(proposer: CoreNode): CoreNode | null {
    const { awaitedRate } = this.world.settings.extra;
    if (awaitedRate === 0 || !this.prng.chance(awaitedRate)) return null;
    const others = this.world.nodes().filter((node) => node !== proposer && node.running);
    return others.length === 0 ? null : this.prng.pick(others);
  }

  private read(): void {
    const { sim, oracle } = this.world;
    const node = this.choose();
    if (node === null) {
      this.later();
      return;
    }
    const key = this.prng.below(REGISTERS);
    const started: Started = oracle.begins(0);
    const callUs = sim.nowUs;
    let settled = false;
    let patience: SimEvent | null = null;
    const finish = (): void => {
      settled = true;
      patience?.cancel();
      this.later();
    };
    const accepted = node.read((answer) => {
      if (settled) return;
      if (answer !== null) {
        const value = answer.state.registers[key] as number;
        oracle.readAnswered(started, key, answer.index, value);
        this.world.history.push({
          client: this.id,
          key,
          input: { read: true },
          callUs,
          returnUs: sim.nowUs,
          output: { previous: value },
        });
      }
      finish();
    });
    if (!accepted) {
      this.later();
      return;
    }
    if (!settled) patience = sim.after(READ_PATIENCE_US, () => !settled && finish());
  }
}
