import { access } from "../../../src/filenode/access.js";
import { ErrorCode } from "../../../src/wire/errors.js";
import { v1 } from "../../../src/wire/index.js";
import { guidOf, type TestClient } from "../world.js";

/** What stands in a share: path -> content, folders as null. */
export type Tree = Record<string, string | null>;

/** What the client holds when the operation begins; survives the crash as text. */
export interface Held {
  /** Persistent id of the handle that the operation works on, in hexadecimal; empty: none. */
  readonly handle: string;
  readonly path: string;
}

/** One mutating call, and what must have come of it when it was done exactly once. */
export interface Scenario {
  readonly name: string;
  readonly before: Tree;
  readonly after: Tree;
  /** Opens what the call needs. */
  prepare(client: TestClient): Promise<Held>;
  /** The call; `handle` as it is named on the present connection. */
  request(handle: v1.IHandleId | null): v1.IFileRequest;
  /** Fields of the answer, the same for the first run and for a replay. */
  readonly answer: (response: v1.IFileResponse) => unknown;
  readonly answered: unknown;
}

const RIGHTS = access.readData | access.writeData | access.delete | access.writeAttributes;
const ALL = { read: true, write: true, delete: true };
const nothing = async (): Promise<Held> => ({ handle: "", path: "" });

async function holding(client: TestClient, path: string, more: Partial<v1.IOpenRequest> = {}): Promise<Held> {
  const open = await client.openFile(path, { disposition: v1.Disposition.OPEN, ...more });
  return { handle: Buffer.from(open.handle?.persistent ?? []).toString("hex"), path };
}

function open(path: string, disposition: v1.Disposition, deleteOnClose: boolean): v1.IFileRequest {
  return {
    open: {
      share: "demo",
      path,
      desiredAccess: RIGHTS,
      shareMode: ALL,
      disposition,
      createGuid: guidOf(`crash ${path}`),
      kind: v1.HandleKind.PERSISTENT,
      deleteOnClose,
    },
  };
}

const A = v1.CreateAction;
const D = v1.Disposition;
const outcomes: readonly (readonly [
  v1.Disposition,
  exists: boolean,
  action: v1.CreateAction,
  content: string,
])[] = [
  [D.SUPERSEDE, false, A.CREATED, ""],
  [D.SUPERSEDE, true, A.SUPERSEDED, ""],
  [D.OPEN, true, A.OPENED, "content"],
  [D.CREATE, false, A.CREATED, ""],
  [D.OPEN_IF, false, A.CREATED, ""],
  [D.OPEN_IF, true, A.OPENED, "content"],
  [D.OVERWRITE, true, A.OVERWRITTEN, ""],
  [D.OVERWRITE_IF, false, A.CREATED, ""],
  [D.OVERWRITE_IF, true, A.OVERWRITTEN, ""],
];

function opens(): Scenario[] {
  const made: Scenario[] = [];
  for (const [disposition, exists, action, content] of outcomes)
    for (const deleteOnClose of [false, true])
      made.push({
        name: `open ${v1.Disposition[disposition]} of ${exists ? "an existing" : "a missing"} file${deleteOnClose ? ", delete on close" : ""}`,
        before: exists ? { f: "content", other: "kept" } : { other: "kept" },
        after: { f: content, other: "kept" },
        prepare: nothing,
        request: () => open("f", disposition, deleteOnClose),
        answer: (response) => response.open?.createAction,
        answered: action,
      });
  return made;
}

/** A folder has no content that could be replaced, so none may be asked for by these (MS-FSA 2.1.5.1). */
const REPLACES: ReadonlySet<v1.Disposition> = new Set([D.SUPERSEDE, D.OVERWRITE, D.OVERWRITE_IF]);

/** Opens that are refused by what stands there (semantics.md F1). */
const refusals: readonly (readonly [v1.Disposition, there: "file" | "folder" | "nothing", ErrorCode])[] = [
  [D.SUPERSEDE, "folder", ErrorCode.OBJECT_NAME_COLLISION],
  [D.OVERWRITE, "folder", ErrorCode.OBJECT_NAME_COLLISION],
  [D.OVERWRITE_IF, "folder", ErrorCode.OBJECT_NAME_COLLISION],
  [D.CREATE, "folder", ErrorCode.OBJECT_NAME_COLLISION],
  [D.CREATE, "file", ErrorCode.OBJECT_NAME_COLLISION],
  [D.OPEN, "nothing", ErrorCode.OBJECT_NAME_NOT_FOUND],
  [D.OVERWRITE, "nothing", ErrorCode.OBJECT_NAME_NOT_FOUND],
];

/** Answered by their code; what stands there stays, whatever kind of object was asked for. */
function refused(): Scenario[] {
  return refusals.flatMap(([disposition, there, code]) =>
    [false, true].map((wantDirectory): Scenario => {
      const before: Tree = { other: "kept" };
      if (there !== "nothing") before["d"] = there === "folder" ? null : "content";
      return {
        name: `open ${v1.Disposition[disposition]}${wantDirectory ? ", as a folder," : ""} where ${there} stands`,
        before,
        after: before,
        prepare: nothing,
        request: () => ({ open: { ...open("d", disposition, false).open, wantDirectory } }),
        answer: (response) => ErrorCode[response.error?.code ?? 0],
        answered: ErrorCode[wantDirectory && REPLACES.has(disposition) ? ErrorCode.INVALID_PARAMETER : code],
      };
    }),
  );
}

/** What would make a file where nothing stands makes no folder. */
function refusedFolders(): Scenario[] {
  return [D.SUPERSEDE, D.OVERWRITE_IF].map((disposition) => ({
    name: `open ${v1.Disposition[disposition]} of a missing folder`,
    before: { other: "kept" },
    after: { other: "kept" },
    prepare: nothing,
    request: () => ({ open: { ...open("d", disposition, false).open, wantDirectory: true } }),
    answer: (response) => ErrorCode[response.error?.code ?? 0],
    answered: ErrorCode[ErrorCode.INVALID_PARAMETER],
  }));
}

/** Operations of which nothing may be seen outside the state, at no step. */
export const withoutEffect: readonly Scenario[] = [
  ...refused(),
  ...refusedFolders(),
  ...[D.OPEN, D.OPEN_IF].flatMap((disposition) =>
    [false, true].map(
      (deleteOnClose): Scenario => ({
        name: `open ${v1.Disposition[disposition]} of an existing folder${deleteOnClose ? ", delete on close" : ""}`,
        before: { d: null, other: "kept" },
        after: { d: null, other: "kept" },
        prepare: nothing,
        request: () => ({ open: { ...open("d", disposition, deleteOnClose).open, wantDirectory: true } }),
        answer: (response) => response.open?.createAction,
        answered: A.OPENED,
      }),
    ),
  ),
];

const done = (response: v1.IFileResponse) => response.done !== null && response.done !== undefined;

/** Every operation that has an effect outside the state. */
export const scenarios: readonly Scenario[] = [
  ...opens(),
  {
    name: "close of a file marked at its open",
    before: { f: "content", other: "kept" },
    after: { other: "kept" },
    prepare: (client) => holding(client, "f", { deleteOnClose: true }),
    request: (handle) => ({ close: { handle } }),
    answer: (response) => Number(response.close?.info?.size ?? -1),
    answered: 7,
  },
  {
    name: "close of a folder marked at its open",
    before: { d: null, other: "kept" },
    after: { other: "kept" },
    prepare: (client) => holding(client, "d", { deleteOnClose: true, wantDirectory: true }),
    request: (handle) => ({ close: { handle } }),
    answer: (response) => response.close !== null,
    answered: true,
  },
  ...([D.CREATE, D.OPEN_IF] as const).flatMap((disposition) =>
    [false, true].map(
      (deleteOnClose): Scenario => ({
        name: `open ${v1.Disposition[disposition]} of a missing folder${deleteOnClose ? ", delete on close" : ""}`,
        before: { other: "kept" },
        after: { d: null, other: "kept" },
        prepare: nothing,
        request: () => ({ open: { ...open("d", disposition, deleteOnClose).open, wantDirectory: true } }),
        answer: (response) => response.open?.createAction,
        answered: A.CREATED,
      }),
    ),
  ),
  {
    name: "append",
    before: { f: "content" },
    after: { f: "content+more" },
    prepare: (client) => holding(client, "f"),
    request: (handle) => ({ write: { handle, append: true, data: new TextEncoder().encode("+more") } }),
    answer: (response) => [Number(response.write?.offset), response.write?.written],
    answered: [7, 5],
  },
  {
    name: "write",
    before: { f: "content" },
    after: { f: "conTENT" },
    prepare: (client) => holding(client, "f"),
    request: (handle) => ({ write: { handle, offset: 3, data: new TextEncoder().encode("TENT") } }),
    answer: (response) => response.write?.written,
    answered: 4,
  },
  {
    name: "truncate",
    before: { f: "content" },
    after: { f: "con" },
    prepare: (client) => holding(client, "f"),
    request: (handle) => ({ setInfo: { handle, endOfFile: 3 } }),
    answer: done,
    answered: true,
  },
  {
    name: "set attributes",
    before: { f: "content" },
    after: { f: "content" },
    prepare: (client) => holding(client, "f"),
    request: (handle) => ({ setInfo: { handle, modifiedMs: 1_600_000_000_000 } }),
    answer: done,
    answered: true,
  },
  {
    name: "rename of an open file",
    before: { f: "content", d: null },
    after: { d: null, "d/g": "content" },
    prepare: (client) => holding(client, "f"),
    request: (handle) => ({ rename: { handle, targetPath: "d/g" } }),
    answer: done,
    answered: true,
  },
  {
    name: "rename of an open file that replaces another",
    before: { f: "content", g: "old" },
    after: { g: "content" },
    prepare: (client) => holding(client, "f"),
    request: (handle) => ({ rename: { handle, targetPath: "g", replace: true } }),
    answer: done,
    answered: true,
  },
  {
    name: "rename of a folder by path",
    before: { d: null, "d/f": "content" },
    after: { e: null, "e/f": "content" },
    prepare: nothing,
    request: () => ({ rename: { share: "demo", path: "d", targetPath: "e" } }),
    answer: done,
    answered: true,
  },
  {
    name: "link",
    before: { f: "content" },
    after: { f: "content", g: "content" },
    prepare: (client) => holding(client, "f"),
    request: (handle) => ({ link: { handle, targetPath: "g" } }),
    answer: done,
    answered: true,
  },
  {
    name: "link that replaces another",
    before: { f: "content", g: "old" },
    after: { f: "content", g: "content" },
    prepare: (client) => holding(client, "f"),
    request: (handle) => ({ link: { handle, targetPath: "g", replace: true } }),
    answer: done,
    answered: true,
  },
  {
    name: "remove of a file",
    before: { f: "content", other: "kept" },
    after: { other: "kept" },
    prepare: nothing,
    request: () => ({ remove: { share: "demo", path: "f" } }),
    answer: done,
    answered: true,
  },
  {
    name: "remove of a folder",
    before: { d: null },
    after: {},
    prepare: nothing,
    request: () => ({ remove: { share: "demo", path: "d", directory: true } }),
    answer: done,
    answered: true,
  },
  {
    name: "make a folder",
    before: {},
    after: { d: null },
    prepare: nothing,
    request: () => ({ makeDirectory: { share: "demo", path: "d" } }),
    answer: done,
    answered: true,
  },
];
