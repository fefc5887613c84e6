/** What the story says, each with what was seen. Printed as it happens; one that fails fails the whole run. */
export class Claims {
  private readonly began = performance.now();
  private checked = 0;
  private failed = 0;

  constructor(private readonly out: (line: string) => void) {}

  /** Something that happens. */
  tell(line: string): void {
    const seconds = ((performance.now() - this.began) / 1_000).toFixed(2).padStart(6);
    this.out(`[${seconds} s] ${line}`);
  }

  /** A claim and whether it held. */
  check(claim: string, holds: boolean, seen = ""): void {
    this.checked += 1;
    if (!holds) this.failed += 1;
    const what = seen === "" ? "" : ` (${seen})`;
    this.tell(`   ${holds ? "true " : "FALSE"} ${claim}${what}`);
  }

  get total(): number {
    return this.checked;
  }

  get failures(): number {
    return this.failed;
  }
}
