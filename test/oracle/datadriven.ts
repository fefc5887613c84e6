/** One argument of a directive: `key`, `key=value` or `key=(value, value)`. */
export interface Argument {
  readonly key: string;
  readonly values: readonly string[];
}

/** One directive with its input and the output that is expected of it. */
export interface TestCase {
  /** Line of the directive, from 1. */
  readonly line: number;
  readonly command: string;
  readonly args: readonly Argument[];
  readonly input: string;
  readonly expected: string;
}

/** Splits a directive into command and arguments; null for an empty line. Throws SyntaxError for what is neither. */
export function parseDirective(text: string): { command: string; args: Argument[] } | null {
  let rest = text.trim();
  if (rest === "") return null;
  const until = (stops: string): string => {
    let end = 0;
    while (end < rest.length && !stops.includes(rest[end] as string)) end++;
    const head = rest.slice(0, end);
    rest = rest.slice(end);
    return head;
  };
  const command = until(" ");
  const args: Argument[] = [];
  rest = rest.trim();
  while (rest !== "") {
    const key = until(" =");
    if (key === "") throw new SyntaxError(`cannot parse directive: ${text}`);
    let values: string[] = [];
    if (rest[0] === "=") {
      rest = rest.slice(1);
      if (rest[0] === "(") {
        const end = closingParen(rest, text);
        values = splitTopLevel(rest.slice(1, end));
        rest = rest.slice(end + 1);
      } else {
        values = [until(" ")];
      }
    }
    args.push({ key, values });
    rest = rest.trim();
  }
  return { command, args };
}

function closingParen(rest: string, directive: string): number {
  let depth = 0;
  for (let i = 0; i < rest.length; i++) {
    if (rest[i] === "(") depth++;
    else if (rest[i] === ")" && --depth === 0) return i;
  }
  throw new SyntaxError(`unbalanced parentheses in directive: ${directive}`);
}

/** Comma separated values; commas inside parentheses belong to the value. */
function splitTopLevel(text: string): string[] {
  const values: string[] = [];
  let depth = 0;
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "(") depth++;
    else if (text[i] === ")") depth--;
    else if (text[i] === "," && depth === 0) {
      values.push(text.slice(from, i).trim());
      from = i + 1;
    }
  }
  values.push(text.slice(from).trim());
  return values.length === 1 && values[0] === "" ? [] : values;
}

/**
 * Reads a test file: directives, each followed by input lines, `----`, and expected output up to a blank line. A second
 * `----` right after the first allows blank lines in the output, up to two successive `----`.
 */
export function parseFile(text: string): TestCase[] {
  const lines = text.split(/\r?\n/);
  const cases: TestCase[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = at + 1;
    let directive = (lines[at++] as string).trim();
    if (directive.startsWith("#")) continue;
    while (directive.endsWith("\\") && at < lines.length) {
      directive = `${directive.slice(0, -1)} ${(lines[at++] as string).trim()}`;
    }
    const parsed = parseDirective(directive);
    // `subtest` only groups what follows.
    if (parsed === null || parsed.command === "subtest") continue;
    const input: string[] = [];
    let separated = false;
    while (at < lines.length) {
      const next = lines[at++] as string;
      if (next === "----") {
        separated = true;
        break;
      }
      input.push(next);
    }
    let expected = "";
    if (separated) ({ expected, at } = readExpected(lines, at));
    cases.push({
      line,
      command: parsed.command,
      args: parsed.args,
      input: input.join("\n").trim(),
      expected,
    });
  }
  return cases;
}

function readExpected(lines: readonly string[], start: number): { expected: string; at: number } {
  let at = start;
  let expected = "";
  if (lines[at] === "----") {
    at++;
    while (at < lines.length && !(lines[at] === "----" && lines[at + 1] === "----"))
      expected += `${lines[at++]}\n`;
    return { expected, at: at + 2 };
  }
  while (at < lines.length && (lines[at] as string).trim() !== "") expected += `${lines[at++]}\n`;
  return { expected, at: at + 1 };
}
