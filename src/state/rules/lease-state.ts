/** Lease rights as bits. */
export const LeaseBit = { read: 1, handle: 2, write: 4 } as const;

/** The states that a lease can have: none, R, RH, RW, RWH. */
export type LeaseState = 0 | 1 | 3 | 5 | 7;

/** All of them. */
export const LEASE_STATES: readonly LeaseState[] = [0, 1, 3, 5, 7];

/** True for the five states; H, W and HW alone are none. */
export function isLeaseState(bits: number): bits is LeaseState {
  return bits === 0 || bits === 1 || bits === 3 || bits === 5 || bits === 7;
}

/** The nearest state with no more rights than the bits. */
export function toLeaseState(bits: number): LeaseState {
  return isLeaseState(bits) ? bits : 0;
}

/** "RWH" for people. */
export function leaseText(state: number): string {
  return (
    ((state & LeaseBit.read) !== 0 ? "R" : "") +
      ((state & LeaseBit.write) !== 0 ? "W" : "") +
      ((state & LeaseBit.handle) !== 0 ? "H" : "") || "none"
  );
}
