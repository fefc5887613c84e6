/** Who wants to be told something. Listeners that leave while being told are not called any more. */
export class Listeners<Args extends readonly unknown[]> {
  private readonly all = new Set<(...args: Args) => void>();

  /** The returned function ends it; calling it again does nothing. */
  add(listener: (...args: Args) => void): () => void {
    const own = (...args: Args): void => listener(...args);
    this.all.add(own);
    return () => void this.all.delete(own);
  }

  emit(...args: Args): void {
    for (const listener of this.all) listener(...args);
  }
}
