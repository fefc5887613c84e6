import { type Entry, type Finish, key, type Rule, violated } from "./rule.js";

interface Seen {
  readonly state: number;
  readonly epoch: number;
  readonly breaking: boolean;
  /** The handles that share it. None of them left: it has ended, and one under the same key is another lease. */
  readonly handles: readonly string[];
}

/** What a lease holder is told has a number, and a break that was kept for it is delivered (semantics.md C6). */
export class LeaseRule implements Rule {
  private readonly leases = new Map<string, Seen>();

  begin(entry: Entry): Finish | null {
    const stored = this.storedFor(entry);
    return ({ result, events }) => {
      this.compare(entry);
      if (!stored || result.error || result.repeated) return;
      if (!events.some(({ kind }) => kind === "lease-break"))
        violated(
          "stored break",
          entry,
          "its handle was resumed, and the break that was kept for it was not sent",
        );
    };
  }

  private storedFor(entry: Entry): boolean {
    const resume = entry.command.reconnectHandle;
    const handle = resume?.handleId?.length ? entry.view.handle(resume.handleId) : undefined;
    if (!handle?.leaseKey?.length) return false;
    return entry.view.lease(handle.clientGuid as Uint8Array, handle.leaseKey)?.stored ?? false;
  }

  private compare(entry: Entry): void {
    const there = new Set<string>();
    for (const lease of entry.view.leases()) {
      const name = `${key(lease.clientGuid)}/${key(lease.key)}`;
      there.add(name);
      const now: Seen = {
        state: lease.state ?? 0,
        epoch: lease.epoch ?? 0,
        breaking: (lease.breaking ?? false) && !lease.stored,
        handles: (lease.handles ?? []).map(key),
      };
      const known = this.leases.get(name);
      // An open may end what its client has left, the last handle of a lease included, before it asks for that lease.
      const before = known?.handles.some((id) => now.handles.includes(id)) ? known : undefined;
      const told = before && ((now.state & ~before.state) !== 0 || (now.breaking && !before.breaking));
      if (told && now.epoch === before.epoch)
        violated("lease epoch", entry, `lease ${before.state} became ${now.state} under epoch ${now.epoch}`);
      this.leases.set(name, now);
    }
    for (const name of this.leases.keys()) if (!there.has(name)) this.leases.delete(name);
  }
}
