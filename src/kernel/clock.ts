/** A scheduled callback. `cancel` is idempotent and harmless after the callback ran. */
export interface Timer {
  cancel(): void;
}

/**
 * Time as a port. Monotonic time measures durations and may stand still during a suspend; wall time is for people
 * and may jump. No rule of the roll depends on wall time.
 */
export interface Clock {
  /** Monotonic milliseconds with a fraction; the origin is arbitrary. */
  monoMs(): number;
  /** Milliseconds since the Unix epoch; may jump in both directions. */
  unixMs(): number;
  /** Runs `callback` once, not before `delayMs` from now. */
  schedule(delayMs: number, callback: () => void): Timer;
  /** Runs `callback` at the end of this turn of the event loop, after input that has already arrived was read. */
  turn(callback: () => void): void;
}

/** Waits `delayMs`; rejects with the signal's reason when it is aborted first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const abort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.schedule(delayMs, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** Calls `callback` every `periodMs` until cancelled; the next call is scheduled after the previous one returned. */
export function every(clock: Clock, periodMs: number, callback: () => void): Timer {
  let stopped = false;
  const arm = (): Timer =>
    clock.schedule(periodMs, () => {
      if (stopped) return;
      callback();
      if (!stopped) timer = arm();
    });
  let timer = arm();
  return {
    cancel() {
      stopped = true;
      timer.cancel();
    },
  };
}
