/** Typed events: `Events` maps a name to what its listeners get. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();

  /** Calls `listener` at each event of that name; the returned function ends it. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    let set = this.#listeners.get(name);
    if (set === undefined) this.#listeners.set(name, (set = new Set()));
    set.add(listener as (event: never) => void);
    return () => set.delete(listener as (event: never) => void);
  }

  /** True if somebody listened. */
  emit<Name extends keyof Events>(name: Name, event: Events[Name]): boolean {
    const set = this.#listeners.get(name);
    if (set === undefined || set.size === 0) return false;
    for (const listener of [...set]) call(listener as (event: Events[Name]) => void, event);
    return true;
  }
}

/** A listener that throws is its program's bug: it surfaces as an uncaught error, and leaves the session's work alone. */
function call<Event>(listener: (event: Event) => void, event: Event): void {
  try {
    listener(event);
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}
