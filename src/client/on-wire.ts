import type { Call } from "./call.js";
import type { FileLink } from "./link.js";

/** The channels of a session, and which call awaits its answer on which of them. */
export class OnWire {
  readonly #sent = new Map<number, Call>();
  /** Oldest first. */
  #links: FileLink[] = [];
  #bytes = 0;

  /** Calls that await their answers. */
  get size(): number {
    return this.#sent.size;
  }

  /** Their payload bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The oldest channel. */
  get first(): FileLink | undefined {
    return this.#links[0];
  }

  /** The session is attached on this link, and so far on no other. */
  begin(link: FileLink): void {
    this.#links = [link];
  }

  add(link: FileLink): void {
    this.#links.push(link);
  }

  /** A channel is gone; answers the calls that were on it. */
  drop(link: FileLink): Call[] {
    this.#links = this.#links.filter((other) => other !== link);
    return this.#takeAll((call) => call.link === link);
  }

  /** All channels are gone; answers all calls. */
  dropAll(): Call[] {
    this.#links = [];
    return this.#takeAll(() => true);
  }

  find(id: number): Call | undefined {
    return this.#sent.get(id);
  }

  /** Chooses the channel that the call goes out on; its answer is awaited from now on. */
  put(call: Call): FileLink {
    const link = this.#linkFor(call);
    const handle = call.spec.handle;
    if (handle !== undefined) {
      handle.link = link;
      handle.inFlight += 1;
    }
    call.link = link;
    link.inFlight += 1;
    this.#sent.set(call.id, call);
    this.#bytes += call.spec.bytes ?? 0;
    return link;
  }

  /** Its answer came, or is not awaited any more. */
  takeOff(call: Call): void {
    if (!this.#sent.delete(call.id)) return;
    const handle = call.spec.handle;
    if (handle !== undefined) handle.inFlight -= 1;
    if (call.link !== null) call.link.inFlight -= 1;
    call.link = null;
    this.#bytes -= call.spec.bytes ?? 0;
  }

  /** The channel with the fewest calls; but calls of one handle go one behind the other on the same. */
  #linkFor(call: Call): FileLink {
    const handle = call.spec.handle;
    if (handle !== undefined && handle.inFlight > 0 && handle.link !== null)
      if (this.#links.includes(handle.link)) return handle.link;
    return this.#links.reduce((best, link) => (link.inFlight < best.inFlight ? link : best));
  }

  #takeAll(which: (call: Call) => boolean): Call[] {
    const taken = [...this.#sent.values()].filter(which);
    for (const call of taken) this.takeOff(call);
    return taken;
  }
}
