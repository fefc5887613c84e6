import { EMPTY } from "./ids.js";

type Leaf<T> = T extends Uint8Array | readonly unknown[] | number | string | boolean ? true : false;

/** A record with every field present; only messages may be null. */
export type Full<T> = {
  -readonly [K in Exclude<keyof T, "$unknowns">]-?: Leaf<NonNullable<T[K]>> extends true
    ? NonNullable<T[K]>
    : NonNullable<T[K]> | null;
};

/** What `maker` needs of a generated class. */
interface RecordClass<I> {
  new (properties?: I): object;
  readonly prototype: object;
}

/**
 * Makes records of one type with every field present, in one shape, from a partial one. Bytes are copied (a decoded
 * message's bytes are a window on a whole network buffer); arrays are copied one level deep.
 */
export function maker<I extends object>(type: RecordClass<I>): (from: I) => Full<I> {
  const fields: [name: string, empty: unknown][] = [];
  const prototype = type.prototype as Record<string, unknown>;
  for (const name in prototype) {
    const empty = prototype[name];
    if (typeof empty !== "function" && !name.startsWith("$")) fields.push([name, empty]);
  }
  return (from) => {
    const source = from as Record<string, unknown>;
    const record: Record<string, unknown> = {};
    for (const [name, empty] of fields) {
      const value = source[name] ?? empty;
      if (value instanceof Uint8Array) record[name] = value.length === 0 ? EMPTY : new Uint8Array(value);
      else if (Array.isArray(value)) record[name] = value.slice();
      else record[name] = value;
    }
    return record as Full<I>;
  };
}
