import { SeededRandom, type Timer } from "../../../src/kernel/index.ts";

interface Scheduled {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/**
 * Virtual time for everything that is simulated: one heap of events, ordered by time and then by when they were
 * scheduled, so that a seed always gives the same run. Between two events all promise continuations finish.
 */
export class SimWorld {
  readonly seed: number;
  readonly random: SeededRandom;
  #nowMs = 0;
  #order = 0;
  #heap: Scheduled[] = [];
  #failure: { readonly thrown: unknown } | undefined;
  /** Events run so far. */
  events = 0;

  constructor(seed: number) {
    this.seed = seed;
    this.random = new SeededRandom(seed);
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Runs `callback` at `atMs` (not before now). */
  at(atMs: number, callback: () => void): Timer {
    const scheduled: Scheduled = { atMs: Math.max(atMs, this.#nowMs), order: this.#order++, run: callback };
    this.#push(scheduled);
    return {
      cancel: () => {
        scheduled.run = undefined;
      },
    };
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.at(this.#nowMs + Math.max(0, delayMs), callback);
  }

  /** Ends the run: it rejects with `thrown`. For checkers that are called from inside an event. */
  fail(thrown: unknown): void {
    this.#failure ??= { thrown };
  }

  /** Runs all events up to `untilMs`. Rejects with what an event threw, or what `fail` was told. */
  run(untilMs: number): Promise<void> {
    return this.runUntil(() => false, untilMs);
  }

  /** Runs until `done` holds or `untilMs` is reached. */
  runUntil(done: () => boolean, untilMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = () => {
        try {
          if (this.#failure !== undefined) {
            reject(this.#failure.thrown);
            return;
          }
          const next = this.#heap[0];
          if (done() || next === undefined || next.atMs > untilMs) {
            if (!done()) this.#nowMs = Math.max(this.#nowMs, untilMs);
            resolve();
            return;
          }
          this.#pop();
          this.#nowMs = next.atMs;
          const { run } = next;
          if (run !== undefined) {
            this.events++;
            run();
          }
          setImmediate(step);
        } catch (thrown) {
          reject(thrown);
        }
      };
      setImmediate(step);
    });
  }

  #push(scheduled: Scheduled): void {
    const heap = this.#heap;
    let at = heap.push(scheduled) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const above = heap[up];
      if (above === undefined || !before(scheduled, above)) break;
      heap[at] = above;
      at = up;
    }
    heap[at] = scheduled;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      const left = heap[down];
      if (left === undefined) break;
      const right = heap[down + 1];
      if (right !== undefined && before(right, left)) down++;
      const child = heap[down];
      if (child === undefined || !before(child, last)) break;
      heap[at] = child;
      at = down;
    }
    heap[at] = last;
  }
}

function before(a: Scheduled, b: Scheduled): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
