import { ErrorCode, HoldfastError } from "../wire/errors.js";

const KEPT_MAX = 1024;

/**
 * What ended lately: handles that others closed, connections that this node was told to end. An event may overtake the
 * answer to the call that it comes after, and what that answer brings must not be taken in any more: a handle that was
 * resumed with everything that a write needs would be written through, and the state not be asked once.
 */
export class Gone {
  private readonly kept = new Set<string>();

  /** A handle is closed, whoever did it. */
  handle(key: string): void {
    this.keep(`h${key}`);
  }

  /** This connection of a session is over, and with it what came before. */
  connection(sessionId: number, connection: number): void {
    this.keep(`c${sessionId}/${connection}`);
  }

  /** Throws FILE_CLOSED for a handle that was closed meanwhile. */
  refuseHandle(key: string, path: string): void {
    if (this.kept.has(`h${key}`))
      throw new HoldfastError(ErrorCode.FILE_CLOSED, `${path}: the handle was closed meanwhile`);
  }

  /** Throws NOT_READY for a connection that is over. */
  refuseConnection(sessionId: number, connection: number): void {
    if (this.kept.has(`c${sessionId}/${connection}`))
      throw new HoldfastError(
        ErrorCode.NOT_READY,
        `session ${sessionId} has ended this connection meanwhile`,
        {
          retryAfterMs: 100,
        },
      );
  }

  private keep(name: string): void {
    this.kept.add(name);
    if (this.kept.size <= KEPT_MAX) return;
    const [oldest] = this.kept;
    if (oldest !== undefined) this.kept.delete(oldest);
  }
}
