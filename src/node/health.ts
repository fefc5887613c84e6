/** What one check found. */
export interface CheckResult {
  readonly ok: boolean;
  /** For people: what was seen, with figures. */
  readonly text: string;
}

/** One named check. `live` ones decide whether to restart the node and must not need anybody else. */
interface Check {
  readonly name: string;
  readonly kind: "live" | "ready";
  run(): CheckResult | Promise<CheckResult>;
}

/** The verdict and each check behind it. */
export interface HealthReport {
  readonly ok: boolean;
  readonly checks: readonly (CheckResult & { readonly name: string })[];
}

/** The health checks of a node, by name. */
export class HealthChecks {
  private readonly checks: Check[] = [];

  add(kind: "live" | "ready", name: string, run: Check["run"]): void {
    this.checks.push({ name, kind, run });
  }

  /** Runs all checks of a kind at the same time, without those excluded. */
  async run(kind: "live" | "ready", exclude: ReadonlySet<string> = new Set()): Promise<HealthReport> {
    const chosen = this.checks.filter((check) => check.kind === kind && !exclude.has(check.name));
    const checks = await Promise.all(
      chosen.map(async (check) => {
        try {
          return { name: check.name, ...(await check.run()) };
        } catch (error) {
          return {
            name: check.name,
            ok: false,
            text: error instanceof Error ? error.message : String(error),
          };
        }
      }),
    );
    return { ok: checks.every((check) => check.ok), checks };
  }
}
