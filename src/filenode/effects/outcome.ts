import { HoldfastError } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";

/** What an effect did, as it is recorded and answered. */
export interface EffectOutcome {
  /** Identity of the file that the effect made or worked on; empty when it is gone. */
  readonly fileId: string;
  readonly size: number;
  readonly directory: boolean;
  readonly createAction?: v1.CreateAction;
  /** Of an append that stands elsewhere than its intent says: an earlier attempt has put it there. */
  readonly offset?: number;
}

/** Nothing of the effect is left; but storage may still carry out late what a former owner had handed to it. */
export class TakenBack extends HoldfastError {}

/** How an effect is run: for the first time, or by somebody who found it pending and cannot know how far it came. */
export type EffectRun = "first" | "resolve";

/** The fields of an effect record, with the defaults that protobuf leaves out. */
export interface Effect {
  readonly id: number;
  readonly path: string;
  readonly targetPath: string;
  readonly fileId: string;
  readonly targetFileId: string;
  readonly sizeBefore: number;
  readonly offset: number;
  readonly length: number;
  readonly dataDigest: Uint8Array;
  readonly earlierOffsets: readonly number[];
  readonly replace: boolean;
  readonly directory: boolean;
  readonly attributes: number;
  readonly description: Uint8Array;
}

const NOTHING = new Uint8Array(0);

/** Fills in what the wire leaves out. */
export function effectOf(record: v1.IEffectRecord): Effect {
  return {
    id: record.id ?? 0,
    path: record.path ?? "",
    targetPath: record.targetPath ?? "",
    fileId: record.fileId ?? "",
    targetFileId: record.targetFileId ?? "",
    sizeBefore: record.sizeBefore ?? 0,
    offset: record.offset ?? 0,
    length: record.length ?? 0,
    dataDigest: record.dataDigest ?? NOTHING,
    earlierOffsets: record.earlierOffsets ?? [],
    replace: record.replace ?? false,
    directory: record.directory ?? false,
    attributes: record.attributes ?? 0,
    description: record.description ?? NOTHING,
  };
}
