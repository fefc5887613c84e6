/**
 * The mechanism behind planted bugs, shared by all parts of the product that have some. Pure, so that the consensus core
 * and the state machine may use it too. Each part lists its own bugs in its own `mutants.ts`, and reads the switches at
 * the dangerous places: one that is off costs one load of a boolean.
 */

/** What a part lists: by name, the rule that the bug breaks (a lesson, a section) and what goes wrong. */
export type MutantList = Readonly<Record<string, readonly [rule: string, description: string]>>;

/** One planted bug, for a runner that enumerates them. */
export interface MutantInfo<Name extends string = string> {
  readonly name: Name;
  /** The lesson of raft.md 1.4, or the section of semantics.md, that it violates. */
  readonly rule: string;
  readonly description: string;
}

/** The planted bugs of one part. */
export interface Mutants<Name extends string> {
  readonly list: readonly MutantInfo<Name>[];
  /** The switches, all off at first. Only `plant` and `clear` write them. */
  readonly switches: Record<Name, boolean>;
  /** Plants or removes one bug, in this process. Throws RangeError for a name that is not listed. */
  readonly plant: (name: Name, on: boolean) => void;
  /** Removes all bugs of this part. */
  readonly clear: () => void;
}

/** Makes the switches for a list of bugs. */
export function makeMutants<List extends MutantList>(described: List): Mutants<keyof List & string> {
  type Name = keyof List & string;
  const names = Object.keys(described) as Name[];
  const switches = Object.seal(Object.fromEntries(names.map((name) => [name, false]))) as Record<
    Name,
    boolean
  >;
  return {
    list: names.map((name) => {
      const [rule, description] = described[name] as readonly [string, string];
      return { name, rule, description };
    }),
    switches,
    plant(name, on) {
      if (!Object.hasOwn(switches, name)) throw new RangeError(`no mutant named ${name}`);
      switches[name] = on;
    },
    clear() {
      for (const name of names) switches[name] = false;
    },
  };
}
