import type { Outcome, Position, StateChange, StateRow } from "../../../src/groups/index.ts";
import { stampKey, textOf, valueOf } from "../ordering/work.ts";
import { violation } from "../roll/violation.ts";
import type { CommittedWrite } from "./sessions.ts";

interface Installed {
  readonly delta: string;
  readonly changes: StateChange;
  readonly by: string;
}

interface Answered {
  /** "abandoned", or the bytes of the answer as text. */
  readonly outcome: string;
  readonly position: Position;
}

/**
 * What all members together have committed and answered, noted as it happens. It stands outside of the group: its members' code
 * knows nothing of it. I16, I17 and I18 are judged here at the instant at which they are broken.
 */
export class Ledger {
  readonly #installed = new Map<number, Installed>();
  /** Index of the one committed entry with effect, by request. */
  readonly #effects = new Map<string, { readonly index: number; readonly stamp: string }>();
  readonly #answered = new Map<string, Answered>();
  /** Which request is at an index, as replies said. */
  readonly #places = new Map<number, string>();
  readonly #stampOf: (outcome: Uint8Array) => string | undefined;
  #highest = 0;
  #highestAnswered = 0;

  /** `stampOf` reads a recorded answer: its stamp, or undefined for a handler's error. */
  constructor(stampOf: (outcome: Uint8Array) => string | undefined) {
    this.#stampOf = stampOf;
  }

  get highest(): number {
    return this.#highest;
  }

  /** Whoever asks for the latest from now on sees at least this. */
  get highestAnswered(): number {
    return this.#highestAnswered;
  }

  get effects(): number {
    return this.#effects.size;
  }

  /** Requests with a known outcome. */
  get answered(): number {
    return this.#answered.size;
  }

  hasEffect(id: string): boolean {
    return this.#effects.has(id);
  }

  /** Where a request took effect. */
  effectOf(id: string): number | undefined {
    return this.#effects.get(id)?.index;
  }

  /** After an accepted loss: what lay from `from` on has never been. */
  forget(from: number): void {
    for (const index of this.#installed.keys()) if (index >= from) this.#installed.delete(index);
    for (const [id, { index }] of this.#effects) if (index >= from) this.#effects.delete(id);
    for (const [id, { position }] of this.#answered) if (position.index >= from) this.#answered.delete(id);
    for (const index of this.#places.keys()) if (index >= from) this.#places.delete(index);
    this.#highest = Math.min(this.#highest, from - 1);
    this.#highestAnswered = Math.min(this.#highestAnswered, from - 1);
  }

  /** A member takes an entry for committed. */
  install(by: string, index: number, delta: Uint8Array, changes: StateChange): void {
    const text = Buffer.from(delta).toString("latin1");
    const known = this.#installed.get(index);
    if (known !== undefined) {
      if (known.delta !== text)
        violation(
          "I18",
          `${by} installs at ${index} what ${known.by} has not: ${describeChanges(changes)} and ${describeChanges(known.changes)}`,
        );
      return;
    }
    this.#installed.set(index, { delta: text, changes, by });
    if (index <= this.#highest) violation("I18", `${by} installs at ${index}, which the others passed without a change`);
    this.#highest = index;
    const row = changes.find(({ key }) => key === stampKey)?.bytes;
    if (row === undefined) return;
    const stamp = textOf(row);
    const [id = ""] = stamp.split(" ");
    const before = this.#effects.get(id);
    if (before !== undefined) violation("I16", `${id} takes effect at ${before.index} and again at ${index} (${by})`);
    const answered = this.#answered.get(id);
    if (answered !== undefined) violation("I16", `${id} takes effect at ${index} (${by}), after it was answered: ${answered.outcome}`);
    this.#effects.set(id, { index, stamp });
  }

  /** A member shows this state for what was committed up to `index`. */
  compare(by: string, index: number, rows: Iterable<StateRow>): void {
    const expected = this.stateAt(index);
    const shown = new Map<string, string>();
    for (const { key, bytes } of rows) shown.set(key, Buffer.from(bytes).toString("latin1"));
    for (const key of new Set([...expected.keys(), ...shown.keys()])) {
      const should = expected.get(key);
      if (shown.get(key) !== should)
        violation("I18", `at ${index} ${by} has ${key} = ${String(shown.get(key))}, by the committed changes it is ${String(should)}`);
    }
  }

  stateAt(index: number): ReadonlyMap<string, string> {
    const state = new Map<string, string>();
    for (const [at, { changes }] of this.#installed) {
      if (at > index) break;
      for (const { key, bytes } of changes)
        if (bytes === undefined) state.delete(key);
        else state.set(key, Buffer.from(bytes).toString("latin1"));
    }
    return state;
  }

  /**
   * A reply leaves a member. Every outcome of an id that anyone is told is the same, and what it says is committed. Returns whether it is
   * the first of this id.
   */
  answer(by: string, id: string, outcome: Outcome, position: Position): boolean {
    const text = outcome.kind === "abandoned" ? "abandoned" : `${outcome.kind} ${textOf(outcome.bytes)}`;
    const before = this.#answered.get(id);
    if (before !== undefined) {
      if (before.outcome !== text) violation("I16", `${id} was answered ${before.outcome}, and now by ${by}: ${text}`);
      if (before.position.index !== position.index)
        violation("I16", `${id} was answered at ${before.position.index}, and now by ${by} at ${position.index}`);
      return false;
    }
    const effect = this.#effects.get(id);
    const stamp = outcome.kind === "answer" ? this.#stampOf(outcome.bytes) : undefined;
    if (effect?.stamp !== stamp)
      violation(
        "I16",
        `${by} answers ${id} with ${text}, committed is ${effect === undefined ? "nothing" : `${effect.stamp} at ${effect.index}`}`,
      );
    if (effect !== undefined && effect.index !== position.index)
      violation("I16", `${by} names position ${position.index} for ${id}, it was committed at ${effect.index}`);
    const other = this.#places.get(position.index);
    if (other !== undefined) violation("I18", `${by} names position ${position.index} for ${id}, and it was named for ${other}`);
    this.#places.set(position.index, id);
    this.#answered.set(id, { outcome: text, position });
    this.#highestAnswered = Math.max(this.#highestAnswered, position.index);
    return true;
  }

  /** For the session checker. */
  committedWrites(): CommittedWrite[] {
    const writes: CommittedWrite[] = [];
    for (const [index, { changes }] of this.#installed)
      for (const { key, bytes } of changes) if (key !== stampKey) writes.push({ index, key, value: valueOf(bytes) });
    return writes;
  }
}

function describeChanges(changes: StateChange): string {
  return changes.map(({ key, bytes }) => `${key}=${String(valueOf(bytes))}`).join(" ");
}
