import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../kernel/index.ts";
import { CopyClock } from "./copy-clock.ts";
import { DueRing } from "./due-ring.ts";
import { PendingRequest } from "./pending-table.ts";

function request(key: string): PendingRequest {
  return new PendingRequest(
    key,
    "stat",
    "null",
    1000,
    1000,
    undefined,
    undefined,
    undefined,
    () => {},
    () => {},
  );
}

/** Its timers ring when a test says so, which may be late. */
class LateClock implements Clock {
  nowMonoMs = 0;
  readonly #timers = new Set<{ readonly dueMonoMs: number; readonly callback: () => void }>();
  #turns: (() => void)[] = [];

  monoMs(): number {
    return this.nowMonoMs;
  }

  unixMs(): number {
    return this.nowMonoMs;
  }

  schedule(delayMs: number, callback: () => void) {
    const timer = { dueMonoMs: this.nowMonoMs + delayMs, callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  turn(callback: () => void): void {
    this.#turns.push(callback);
  }

  /** It is so late, and whatever was to run in the next turn runs. */
  turnAt(nowMonoMs: number): void {
    this.nowMonoMs = nowMonoMs;
    const turns = this.#turns;
    this.#turns = [];
    for (const turn of turns) turn();
  }

  /** The timers that are due ring, then their turns. */
  ringAt(nowMonoMs: number): void {
    this.nowMonoMs = nowMonoMs;
    for (const timer of [...this.#timers].filter(({ dueMonoMs }) => dueMonoMs <= nowMonoMs)) {
      this.#timers.delete(timer);
      timer.callback();
    }
    this.turnAt(nowMonoMs);
  }
}

function copyClock() {
  const clock = new LateClock();
  const copies = new CopyClock(clock);
  const over = new Set<PendingRequest>();
  const due: string[] = [];
  const table = {
    ring: new DueRing((one) => !over.has(one)),
    due: ({ key }: PendingRequest, nowMonoMs: number) => void due.push(`${key} at ${nowMonoMs}`),
  };
  const watch = (one: PendingRequest, dueMonoMs: number) => copies.watch(table, one, dueMonoMs, clock.monoMs());
  return { clock, copies, over, due, watch };
}

test("the timer of the earliest rings for all that are due by then, and is set again for the next", () => {
  const { clock, due, watch } = copyClock();
  watch(request("A"), 10);
  watch(request("B"), 10.4);
  watch(request("C"), 20);
  clock.ringAt(10);
  assert.deepEqual(due, ["A at 10", "B at 10"]);
  clock.ringAt(20);
  assert.deepEqual(due.slice(2), ["C at 20"]);
});

test("what is heard after its time rings although the timer is late: once, and after what else has arrived", () => {
  const { clock, copies, due, watch } = copyClock();
  watch(request("A"), 10);
  copies.passed(9.9);
  clock.turnAt(9.9);
  assert.deepEqual(due, []);
  copies.passed(10.1);
  copies.passed(10.1);
  assert.deepEqual(due, []);
  clock.turnAt(10.1);
  assert.deepEqual(due, ["A at 10.1"]);
  copies.passed(11);
  clock.ringAt(12);
  assert.equal(due.length, 1);
});

test("when the earliest is over, the next one is neither forgotten nor rung early", () => {
  const { clock, copies, over, due, watch } = copyClock();
  const first = request("A");
  watch(first, 10);
  watch(request("B"), 30);
  over.add(first);
  copies.passed(12);
  clock.turnAt(12);
  watch(request("C"), 25);
  clock.ringAt(13);
  assert.deepEqual(due, []);
  // They are due in the order in which they came, nearly.
  clock.ringAt(30);
  assert.deepEqual(due, ["B at 30", "C at 30"]);
  watch(request("D"), 40);
  copies.stop();
  copies.passed(100);
  clock.ringAt(100);
  assert.equal(due.length, 2);
});
