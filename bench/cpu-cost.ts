import type { Measured } from "./load.js";
import { type Child, ownCpuMs } from "./processes.js";

/** A measured series with what one operation cost in CPU time. */
export interface Row extends Measured, CpuPerOp {}

/** CPU time of one operation in µs, by who spent it. The cores are shared, so their sum bounds what the whole can do. */
export interface CpuPerOp {
  readonly leaderCpuUsPerOp: number;
  /** Both together. */
  readonly followersCpuUsPerOp: number;
  /** The generator of the load: this process, or h2load. */
  readonly clientCpuUsPerOp: number;
}

/** The processes of a cluster, for their CPU times. */
export interface Servers {
  readonly leader: Child;
  readonly followers: readonly Child[];
}

/** Runs a series and notes what it cost everybody. */
export async function measured(servers: Servers, run: () => Promise<Measured>): Promise<Row> {
  const { result, cpu } = await counted(servers, run);
  return { ...result, ...perOp(cpu, result.count) };
}

/** CPU times in ms, by who spent them. */
interface CpuMs {
  readonly leader: number;
  readonly followers: number;
  readonly client: number;
}

/** Runs something and notes the CPU time that it cost everybody, ended children of this process included. */
export async function counted<T>(
  servers: Servers,
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly cpu: CpuMs }> {
  const before = cpuNow(servers);
  const result = await run();
  const after = cpuNow(servers);
  const cpu = {
    leader: after.leader - before.leader,
    followers: after.followers - before.followers,
    client: after.client - before.client,
  };
  return { result, cpu };
}

function cpuNow({ leader, followers }: Servers): CpuMs {
  return {
    leader: leader.cpuMs(),
    followers: followers.reduce((sum, follower) => sum + follower.cpuMs(), 0),
    client: ownCpuMs(),
  };
}

/** What each operation of `count` cost. */
export function perOp(cpu: CpuMs, count: number): CpuPerOp {
  const us = (ms: number) => (ms * 1000) / Math.max(1, count);
  return {
    leaderCpuUsPerOp: us(cpu.leader),
    followersCpuUsPerOp: us(cpu.followers),
    clientCpuUsPerOp: us(cpu.client),
  };
}
