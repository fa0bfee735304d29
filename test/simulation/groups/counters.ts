import assert from "node:assert/strict";
import type { GroupExecuted, GroupHooks, GroupRequest } from "../../../src/fleet/index.ts";
import type { StateChange, StateRow } from "../../../src/groups/index.ts";
import { isRecord } from "../../../src/kernel/index.ts";

/**
 * Counters as a program keeps them by hooks of its own: the order goes into the log, and every member carries it out again. Runs at once,
 * or takes its time.
 */
export class Counters implements GroupHooks {
  readonly #counts = new Map<string, number>();
  /** On top of them, what was executed and not installed. */
  readonly #ahead = new Map<string, number>();
  readonly #work: () => Promise<void> | undefined;
  #generation = 0;

  constructor(work: () => Promise<void> | undefined) {
    this.#work = work;
  }

  get(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  execute({ body }: GroupRequest): GroupExecuted | Promise<GroupExecuted> {
    assert.ok(isRecord(body));
    const [key, by] = [String(body["key"]), Number(body["by"])];
    const generation = this.#generation;
    const add = (): GroupExecuted => {
      if (generation !== this.#generation) throw new Error("it was given up");
      const answer = (this.#ahead.get(key) ?? this.get(key)) + by;
      this.#ahead.set(key, answer);
      return { answer, delta: Buffer.from(`${by} ${key}`) };
    };
    return this.#work()?.then(add) ?? add();
  }

  install(_index: number, delta: Uint8Array): StateChange {
    const [by, key = ""] = Buffer.from(delta).toString().split(" ");
    const count = this.get(key) + Number(by);
    this.#counts.set(key, count);
    return [{ key, bytes: Buffer.from(String(count)) }];
  }

  discard(): void {
    this.#generation++;
    this.#ahead.clear();
  }

  snapshot(): StateRow[] {
    return Array.from(this.#counts, ([key, count]) => ({ key, bytes: Buffer.from(String(count)) }));
  }

  restore(rows: Iterable<StateRow>): void {
    this.discard();
    this.#counts.clear();
    for (const { key, bytes } of rows) this.#counts.set(key, Number(Buffer.from(bytes).toString()));
  }
}
