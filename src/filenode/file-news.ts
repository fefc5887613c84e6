import type { OpenFile } from "./open-file.js";

/** What an event says of a file. */
type Tell = (file: OpenFile) => void;

interface News {
  readonly file: string;
  readonly revision: number;
  readonly tell: Tell;
}

/**
 * What was heard of files that are not open here. An event may overtake the answer to the open that it comes after: told
 * to nobody, a lock or a closed tail would not hold for the handle that is just being taken in.
 */
export class FileNews {
  private readonly kept: News[] = [];

  constructor(private readonly keptMax = 256) {}

  /** Keeps what an event of this revision says of a file. */
  keep(share: string, fileId: string, revision: number, tell: Tell): void {
    this.kept.push({ file: `${share}\0${fileId}`, revision, tell });
    if (this.kept.length > this.keptMax) this.kept.shift();
  }

  /** Tells a file what came after the answer that it was opened by, in order. */
  tell(file: OpenFile, revision: number): void {
    if (this.kept.length === 0) return;
    const key = `${file.share}\0${file.fileId}`;
    for (const news of this.kept) if (news.revision > revision && news.file === key) news.tell(file);
  }
}
