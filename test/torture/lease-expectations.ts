import { R, RH, RW, RWH } from "./client.js";

/** More asked for under the key of a lease: supersets only, never down. */
export const LEASE_UPGRADES: readonly (readonly [held: number, asked: number, result: number])[] = [
  [R, R, R],
  [R, RH, RH],
  [R, RW, RW],
  [R, RWH, RWH],
  [RH, R, RH],
  [RH, RH, RH],
  [RH, RW, RH],
  [RH, RWH, RWH],
  [RW, R, RW],
  [RW, RH, RW],
  [RW, RW, RW],
  [RW, RWH, RWH],
  [RWH, R, RWH],
  [RWH, RH, RWH],
  [RWH, RW, RWH],
  [RWH, RWH, RWH],
];

/** Contention of a lease with another client's: holder, asked, holder after, the other's, whether he waits. */
export const LEASE_BREAKS: readonly (readonly [number, number, number, number, boolean])[] = [
  [R, R, R, R, false],
  [R, RH, R, RH, false],
  [R, RW, R, R, false],
  [R, RWH, R, RH, false],
  [RH, R, RH, R, false],
  [RH, RH, RH, RH, false],
  [RH, RW, RH, R, false],
  [RH, RWH, RH, RH, false],
  [RW, R, R, R, true],
  [RW, RH, R, RH, true],
  [RW, RW, R, R, true],
  [RW, RWH, R, RH, true],
  [RWH, R, RH, R, true],
  [RWH, RH, RH, RH, true],
  [RWH, RW, RH, R, true],
  [RWH, RWH, RH, RH, true],
];
