import type { Applied, ApplyContext, StateMachine } from "../../state/api.js";
import type { v1 } from "../../wire/index.js";
import { CreateRule } from "./create-rule.js";
import { DirectoryRule } from "./directory-rule.js";
import { ExpiryRule } from "./expiry-rule.js";
import { FenceRule } from "./fence-rule.js";
import { LeaseRule } from "./lease-rule.js";
import { LockRule } from "./lock-rule.js";
import { OpenRule } from "./open-rule.js";
import { ReplyRule } from "./reply-rule.js";
import { type Entry, type Finish, type Rule } from "./rule.js";
import { NameRule, PrincipalRule, TakeoverRule } from "./takeover-rule.js";

/**
 * A sequential model of sessions, handles, locks and leases as oracle of a whole cluster under faults: it follows the log
 * from entry to entry, wherever each is applied first, and asks of every answer whether it was allowed. What the state
 * machine must not forget (answers given, guids seen, promises made) the oracle remembers by itself.
 */
export class LogOracle {
  private readonly rules: Rule[];
  private index = 0;

  /** `fail` takes the first finding of each command. */
  constructor(
    private readonly fail: (error: unknown) => void,
    rules: readonly Rule[] = allRules(),
  ) {
    this.rules = [...rules];
  }

  /** From now on this one looks at every entry too. */
  add(rule: Rule): void {
    this.rules.push(rule);
  }

  /** Lets the oracle see what this machine applies. */
  follow(machine: StateMachine): StateMachine {
    const apply = machine.apply.bind(machine);
    machine.apply = (command, context) => this.apply(machine, apply, command, context);
    return machine;
  }

  private apply(
    machine: StateMachine,
    apply: StateMachine["apply"],
    command: v1.ICommand,
    context: ApplyContext,
  ): Applied {
    if (context.index <= this.index) return apply(command, context);
    this.index = context.index;
    const timeMs = Math.max(machine.cluster().clusterTimeMs ?? 0, context.clusterTimeMs);
    // Commands of a batch are judged by the state before all of them; only a client's return changes it for the others.
    const inner = command.batch?.commands ?? [command];
    const finishes = inner.map((one, i) =>
      this.begin({
        index: context.index,
        timeMs,
        name: nameOf(one),
        command: one,
        comesBack: inner.slice(0, i).some(({ connectSession }) => connectSession),
        view: machine,
      }),
    );
    const applied = apply(command, context);
    try {
      finishes.forEach((finish, i) => {
        const result = command.batch ? (applied.result.batch?.results?.[i] ?? {}) : applied.result;
        finish({ result, events: i === 0 ? applied.events : [] });
      });
    } catch (error) {
      this.fail(error);
    }
    return applied;
  }

  private begin(entry: Entry): Finish {
    const finishes = this.rules.map((rule) => rule.begin(entry));
    return (applied) => {
      for (const finish of finishes) finish?.(applied);
    };
  }
}

function nameOf(command: v1.ICommand): string {
  return Object.keys(command).find((field) => command[field as keyof v1.ICommand]) ?? "";
}

/** Every rule there is, with nothing seen yet. */
export function allRules(): Rule[] {
  return [
    new FenceRule(),
    new ReplyRule(),
    new CreateRule(),
    new LockRule(),
    new OpenRule(),
    new LeaseRule(),
    new DirectoryRule(),
    new ExpiryRule(),
    new TakeoverRule(),
    new PrincipalRule(),
    new NameRule(),
  ];
}
