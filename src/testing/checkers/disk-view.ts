/** What would be there if a member crashed right now and lost everything that is not synced. */
export interface DiskView {
  readonly term: number;
  readonly vote: number;
  /** End of the snapshot on disk: everything up to here is held by it. */
  readonly snapshotIndex: number;
  readonly lastIndex: number;
  /** The term on the disk when its log was last written: entries, or a snapshot. Zero when it never was. */
  readonly logWrittenInTerm: number;
  /**
   * Whether an entry was ever durable here, as one of the log or inside a snapshot. What a later leader has replaced since
   * was no empty promise.
   */
  everHeld(index: number, term: number): boolean;
  /** Term at an index of the log on disk, the snapshot's own index included; -1 elsewhere. */
  termAt(index: number): number;
}

/** Whether the disk holds what was committed at (index, term): as an entry, or inside its snapshot. */
export function diskHolds(disk: DiskView, index: number, term: number): boolean {
  return index < disk.snapshotIndex || disk.termAt(index) === term;
}
