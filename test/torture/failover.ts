import assert from "node:assert/strict";
import { addressOf, type ClusterNode } from "../../src/testing/cluster-world/cluster-node.js";
import { ANCHOR, type TortureWorld } from "./world.js";

/** How clients lose their server. */
export type Situation = "connection lost" | "owner killed" | "leader and owner killed";
export const SITUATIONS: readonly Situation[] = [
  "connection lost",
  "owner killed",
  "leader and owner killed",
];

/**
 * Takes the server away from every holder `times` times in a row. In between they come back and take their handles up;
 * after the last time they are away. That the situation was the named one is asserted, not assumed.
 */
export async function failOver(world: TortureWorld, situation: Situation, times: number): Promise<void> {
  world.serversDie = situation !== "connection lost";
  for (let round = 1; ; round++) {
    const epochs = world.holders.map(({ sessionId }) => world.state.session(sessionId)?.epoch ?? 0);
    if (situation === "connection lost") await loseConnections(world);
    else await killOwner(world, situation === "leader and owner killed");
    world.holders.forEach(({ sessionId, name }, i) => {
      const session = world.state.session(sessionId);
      assert(session, `the session of ${name} is gone`);
      assert.equal(session.connected ?? false, false, `${name} is away`);
      assert.equal(session.epoch, (epochs[i] ?? 0) + (situation === "connection lost" ? 0 : 1), name);
    });
    leadToOwner(world);
    for (const { gate } of world.librarySessions) gate.reopen();
    if (round === times) return;
    await Promise.all(world.holders.map((client) => client.backWithHandles()));
    await world.until("library sessions are back", () =>
      world.librarySessions.every(({ session }) => session.address !== ""),
    );
  }
}

// A session settles wherever its client arrives; to lose one server together, all arrive at their present owner.
function leadToOwner(world: TortureWorld): void {
  const at = (id: number): string => addressOf(world.node(world.state.session(id)?.owner ?? "")?.id ?? 0);
  for (const { gate, sessionId } of world.holders) gate.only = at(sessionId);
  for (const { gate, session } of world.librarySessions) gate.only = at(session.id);
}

function cutOff(world: TortureWorld): void {
  for (const client of world.holders) client.gate.shut();
  for (const { gate } of world.librarySessions) gate.shut();
}

function sessionIds(world: TortureWorld): number[] {
  return [
    ...world.holders.map(({ sessionId }) => sessionId),
    ...world.librarySessions.map(({ session }) => session.id),
  ];
}

async function loseConnections(world: TortureWorld): Promise<void> {
  cutOff(world);
  await world.until("their sessions are disconnected", () =>
    sessionIds(world).every((id) => world.state.session(id)?.connected !== true),
  );
}

async function killOwner(world: TortureWorld, leading: boolean): Promise<void> {
  const ids = sessionIds(world);
  const owners = new Set(ids.map((id) => world.state.session(id)?.owner ?? ""));
  assert.equal(owners.size, 1, `all of them are owned by one node, not ${[...owners].join()}`);
  const victim = world.node([...owners][0] ?? "") as ClusterNode;
  assert.notEqual(victim.name, ANCHOR);
  await world.leadBy(leading ? victim : (world.node(ANCHOR) as ClusterNode));
  assert.equal(world.leader() === victim, leading);
  victim.crash(false);
  cutOff(world);
  await world.until("another node owns all of them", () => {
    if (world.leader() === undefined) return false;
    return ids.every((id) => {
      const session = world.state.session(id);
      return session !== undefined && session.owner !== victim.name && session.takenOver !== true;
    });
  });
  victim.start();
  await world.until(`${victim.name} is up again`, () => world.isUp(victim.name));
}
