import type { Clock, Timer } from "../kernel/index.ts";

/** Deadlines nearer together than this share a timer: a deadline is kept to within it and the timer's own lateness. */
const slackMs = 5;

/**
 * One timer for all deadlines of a link. It is armed for the earliest; when it fires, `sweep` looks at all calls and says
 * when the next is due. Calls that are answered in time leave their deadline behind, which costs one idle sweep, not a
 * timer each (arming and clearing one costs as much as half a call).
 */
export class DeadlineSweep {
  readonly #clock: Clock;
  readonly #sweep: (nowMonoMs: number) => number;
  #timer: Timer | undefined;
  #armedForMonoMs = Number.POSITIVE_INFINITY;

  /** `sweep` returns when the next deadline is, Infinity for none. */
  constructor(clock: Clock, sweep: (nowMonoMs: number) => number) {
    this.#clock = clock;
    this.#sweep = sweep;
  }

  watch(dueMonoMs: number): void {
    if (dueMonoMs < this.#armedForMonoMs - slackMs) this.#arm(dueMonoMs, this.#clock.monoMs());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#armedForMonoMs = Number.POSITIVE_INFINITY;
  }

  #arm(dueMonoMs: number, nowMonoMs: number): void {
    this.#timer?.cancel();
    this.#armedForMonoMs = dueMonoMs;
    this.#timer = this.#clock.schedule(Math.max(0, dueMonoMs - nowMonoMs), () => {
      this.stop();
      const sweptMonoMs = this.#clock.monoMs();
      const next = this.#sweep(sweptMonoMs);
      if (next < this.#armedForMonoMs - slackMs) this.#arm(Math.max(next, sweptMonoMs + slackMs), sweptMonoMs);
    });
  }
}
