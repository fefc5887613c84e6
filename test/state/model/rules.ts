import { READ, WRITE } from "../harness.js";

/** Plain forms of the rules that the models share: the prose of semantics.md F1 to F3, none of the tables of src/state. */

/** Lease bits. */
export const [R, H, W] = [1, 2, 4];
/** The states that a lease can have. */
export const STATES = [0, R, R | H, R | W, R | H | W];

/** Access and share bits of an open. */
export interface Mode {
  readonly access: number;
  readonly share: number;
}

/** True for opens that others have to reckon with: for attributes alone nobody is in the way. */
export function wantsData(access: number): boolean {
  return (access & (READ | WRITE)) !== 0;
}

/** True when one of two opens wants what the other does not share. */
export function conflicts(one: Mode, other: Mode): boolean {
  if (!wantsData(one.access) || !wantsData(other.access)) return false;
  return lacks(one.access, other.share) || lacks(other.access, one.share);
}

function lacks(wanted: number, shared: number): boolean {
  return ((wanted & READ) !== 0 && (shared & 1) === 0) || ((wanted & WRITE) !== 0 && (shared & 2) === 0);
}

/** A byte-range lock. */
export interface ModelLock {
  readonly offset: number;
  readonly length: number;
  readonly exclusive: boolean;
}

/** True when a lock that is held forbids another one, of its own handle or of somebody else's. */
export function forbids(held: ModelLock, wanted: ModelLock, own: boolean): boolean {
  return meet(held, wanted) && (held.exclusive ? !own || wanted.exclusive : wanted.exclusive);
}

function meet(a: ModelLock, b: ModelLock): boolean {
  if (a.length === 0 && b.length === 0) return false;
  if (a.length === 0) return b.offset < a.offset && a.offset < b.offset + b.length;
  if (b.length === 0) return a.offset < b.offset && b.offset < a.offset + a.length;
  return a.offset < b.offset + b.length && b.offset < a.offset + a.length;
}

/** What an operation does to a lease of somebody else. */
export interface Break {
  readonly to: number;
  readonly wait: boolean;
  readonly ack: boolean;
}

/** A rule by the lease's state; null: nothing. */
export type BreakRule = (state: number) => Break | null;

/** Whoever caches writes is waited for. */
export const readsData: BreakRule = (state) =>
  (state & W) === 0 ? null : { to: state & ~W, wait: true, ack: true };

/** Read caches end at once; whoever caches handles is asked, whoever caches writes is waited for. */
export const changesData: BreakRule = (state) =>
  state === 0 ? null : { to: 0, wait: (state & W) !== 0, ack: state !== R };

/** Whoever caches handles is asked to close them, and waited for. */
export const takesHandles: BreakRule = (state) =>
  (state & H) === 0 ? null : { to: state & ~H, wait: true, ack: true };

/** Caches of a directory end, and nobody waits. */
export const changesListing: BreakRule = (state) =>
  state === 0 ? null : { to: 0, wait: false, ack: state !== R };
