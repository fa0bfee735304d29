// The global of this name is a getter, which costs half of what it gets.
import { performance } from "node:perf_hooks";
import type { Clock, Timer } from "./clock.ts";

/** The machine's own time. Timers do not keep the process alive by themselves unless `ref` is true. */
export class SystemClock implements Clock {
  readonly #ref: boolean;

  constructor(options: { readonly ref?: boolean } = {}) {
    this.#ref = options.ref ?? true;
  }

  monoMs(): number {
    return performance.now();
  }

  unixMs(): number {
    return Date.now();
  }

  schedule(delayMs: number, callback: () => void): Timer {
    const handle = setTimeout(callback, delayMs);
    if (!this.#ref) handle.unref();
    return { cancel: () => clearTimeout(handle) };
  }

  turn(callback: () => void): void {
    setImmediate(callback);
  }
}
