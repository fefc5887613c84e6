import { Violation } from "../sim/simulation.js";

/** Limits of one leader. */
export interface FlowLimits {
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  readonly uncommittedBytesMax: number;
}

/** What a leader has under way to one peer. */
export interface PeerWindow {
  readonly id: number;
  readonly match: number;
  readonly next: number;
  readonly inflightMessages: number;
  readonly inflightBytes: number;
}

/** Windows in messages and in bytes, and the bound on what is not committed (lessons L12, L14, L17). */
export class FlowControl {
  /** `largestBytes` is the largest single append or proposal there is: one more may always be admitted to an empty window. */
  window(leader: number, peer: PeerWindow, limits: FlowLimits, largestBytes: number): void {
    if (peer.match >= peer.next) {
      this.broken(leader, `peer ${peer.id} has match ${peer.match} and next ${peer.next}`);
    }
    if (peer.inflightMessages > limits.inflightMessagesMax) {
      this.broken(leader, `${peer.inflightMessages} messages are under way to peer ${peer.id}`);
    }
    if (peer.inflightBytes >= limits.inflightBytesMax + largestBytes) {
      this.broken(leader, `${peer.inflightBytes} bytes are under way to peer ${peer.id}`);
    }
  }

  uncommitted(leader: number, bytes: number, limits: FlowLimits, largestBytes: number): void {
    if (bytes > limits.uncommittedBytesMax + largestBytes) {
      this.broken(leader, `${bytes} bytes wait for commit, ${limits.uncommittedBytesMax} are allowed`);
    }
  }

  private broken(leader: number, what: string): never {
    throw new Violation("flow control", `leader ${leader}: ${what}`);
  }
}
