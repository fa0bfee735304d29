import type { Outcome, StateChange, StateRow } from "../../../src/groups/index.ts";
import { stampKey, textOf, valueOf } from "../ordering/work.ts";
import { violation } from "../roll/violation.ts";
import type { Value } from "../writes/history.ts";

/** The slot's rows stand behind "7f/" in the store. */
const prefixLength = 3;

/**
 * What all groups together have committed and answered, noted as it happens; their code knows nothing of it. Each write takes effect once in
 * all groups, each is told one outcome, and every key has one history, whichever group had it when.
 */
export class MovesLedger {
  /** What was done at each index of each group's log. */
  readonly #installed = new Map<string, { readonly what: string; readonly by: string }>();
  readonly #effects = new Map<string, { readonly place: string; readonly stamp: string }>();
  readonly #answered = new Map<string, string>();
  /** Values of each key, in the order in which they were first committed anywhere. */
  readonly #versions = new Map<string, Value[]>();
  readonly #stampOf: (outcome: Uint8Array) => string | undefined;
  /** The highest index that any member of a group has installed. */
  readonly highest = new Map<string, number>();
  effectsAfterMove = 0;
  readonly #homes = new Map<string, string>();

  constructor(stampOf: (outcome: Uint8Array) => string | undefined) {
    this.#stampOf = stampOf;
  }

  hasEffect(id: string): boolean {
    return this.#effects.has(id);
  }

  versions(key: string): readonly Value[] {
    return this.#versions.get(key) ?? [];
  }

  /** I18: at one index of one group all members do the same. Returns whether this is the first of them. */
  #same(group: string, by: string, index: number, part: string, what: string): boolean {
    this.highest.set(group, Math.max(this.highest.get(group) ?? 0, index));
    const place = `${group} ${index} ${part}`;
    const known = this.#installed.get(place);
    if (known === undefined) this.#installed.set(place, { what, by });
    else if (known.what !== what) violation("I18", `${by} installs at ${place} what ${known.by} has not: ${what} and ${known.what}`);
    return known === undefined;
  }

  install(group: string, by: string, index: number, changes: StateChange): void {
    if (!this.#same(group, by, index, "write", describe(changes))) return;
    const row = changes.find(({ key }) => key.slice(prefixLength) === stampKey)?.bytes;
    if (row === undefined) return;
    const stamp = textOf(row);
    const [id = ""] = stamp.split(" ");
    const place = `${group} ${index}`;
    const before = this.#effects.get(id);
    if (before !== undefined) violation("I16", `${id} takes effect at ${before.place} and again at ${place} (${by})`);
    const answered = this.#answered.get(id);
    if (answered !== undefined) violation("I16", `${id} takes effect at ${place} (${by}), after it was answered: ${answered}`);
    this.#effects.set(id, { place, stamp });
    for (const { key, bytes } of changes) {
      const name = key.slice(prefixLength);
      if (name === stampKey) continue;
      const versions = this.#versions.get(name) ?? [];
      this.#versions.set(name, versions);
      versions.push(valueOf(bytes));
      if ((this.#homes.get(name) ?? group) !== group) this.effectsAfterMove++;
      this.#homes.set(name, group);
    }
  }

  /** Rows that came over, or went. */
  carried(group: string, by: string, index: number, part: "adopt" | "drop", changes: StateChange): void {
    this.#same(group, by, index, part, describe(changes));
  }

  /** A reply leaves a member of any group. */
  answer(by: string, id: string, outcome: Outcome): void {
    const text = outcome.kind === "abandoned" ? "abandoned" : `${outcome.kind} ${textOf(outcome.bytes)}`;
    const before = this.#answered.get(id);
    if (before !== undefined) {
      if (before !== text) violation("I16", `${id} was answered ${before}, and now by ${by}: ${text}`);
      return;
    }
    const effect = this.#effects.get(id);
    const stamp = outcome.kind === "answer" ? this.#stampOf(outcome.bytes) : undefined;
    if (effect?.stamp !== stamp)
      violation(
        "I16",
        `${by} answers ${id} with ${text}, committed is ${effect === undefined ? "nothing" : `${effect.stamp} at ${effect.place}`}`,
      );
    this.#answered.set(id, text);
  }

  /** Everything is calm: the owner of a key has what was last committed, and nobody else has anything of it. */
  judgeState(group: string, by: string, rows: Iterable<StateRow>, owns: (key: string) => boolean): void {
    const shown = new Map<string, Value>();
    for (const { key, bytes } of rows) {
      const name = key.slice(prefixLength);
      if (name !== stampKey) shown.set(name, valueOf(bytes));
    }
    for (const [key, versions] of this.#versions) {
      const should = owns(key) ? (versions.at(-1) ?? null) : null;
      const is = shown.get(key) ?? null;
      if (is !== should) violation("I17", `${by} of ${group} has ${key} = ${String(is)}, it should be ${String(should)}`);
    }
  }
}

function describe(changes: StateChange): string {
  return changes.map(({ key, bytes }) => `${key}=${String(valueOf(bytes))}`).join(" ");
}
