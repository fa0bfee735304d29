import type { Clock, Timer } from "../kernel/index.ts";

interface Scheduled {
  readonly dueMonoMs: number;
  readonly callback: () => void;
}

/** A clock that stands still until a test moves it. Callbacks run inside `advance`, each at its own instant. */
export class ManualClock implements Clock {
  #nowMonoMs: number;
  readonly #scheduled = new Set<Scheduled>();

  constructor(startMonoMs = 1000) {
    this.#nowMonoMs = startMonoMs;
  }

  /** Timers that would still fire: what a part that was closed must not leave behind. */
  get timers(): number {
    return this.#scheduled.size;
  }

  monoMs(): number {
    return this.#nowMonoMs;
  }

  unixMs(): number {
    return 1_700_000_000_000 + this.#nowMonoMs;
  }

  schedule(delayMs: number, callback: () => void): Timer {
    const entry = { dueMonoMs: this.#nowMonoMs + Math.max(0, delayMs), callback };
    this.#scheduled.add(entry);
    return { cancel: () => void this.#scheduled.delete(entry) };
  }

  turn(callback: () => void): void {
    this.schedule(0, callback);
  }

  /** Moves on, running what falls due in order of time (equal times: order of scheduling). */
  advance(byMs: number): void {
    const untilMonoMs = this.#nowMonoMs + byMs;
    for (let next = this.#next(); next !== undefined && next.dueMonoMs <= untilMonoMs; next = this.#next()) {
      this.#scheduled.delete(next);
      this.#nowMonoMs = Math.max(this.#nowMonoMs, next.dueMonoMs);
      next.callback();
    }
    this.#nowMonoMs = untilMonoMs;
  }

  #next(): Scheduled | undefined {
    let next: Scheduled | undefined;
    for (const entry of this.#scheduled) if (next === undefined || entry.dueMonoMs < next.dueMonoMs) next = entry;
    return next;
  }
}
