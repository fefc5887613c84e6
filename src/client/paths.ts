import { ErrorCode, HoldfastError } from "../wire/errors.js";

/** A file as programs and people name it, taken apart. `path` has no leading slash and is empty for the share itself. */
export interface FilePath {
  readonly share: string;
  readonly path: string;
}

/** Takes "share:/dir/file" apart. The server checks the rest; here only what cannot be sent as meant. */
export function parsePath(text: string): FilePath {
  const match = /^([^:/\\]+):\/?(.*)$/s.exec(text);
  if (match === null)
    throw new HoldfastError(ErrorCode.OBJECT_NAME_INVALID, `${JSON.stringify(text)} is not a path`, {
      next: 'a path is "share:/folder/file", as in "demo:/hello.txt"',
    });
  return { share: match[1] as string, path: (match[2] as string).replace(/\/+$/, "") };
}
