/** The whole list is looked through for what has expired at most this often. */
const scanMs = 1000;

/**
 * Attempts that were cancelled before they came: their cancel took another way and was faster. Each is one attempt of one request of
 * one caller, so that the next attempt of the same request, which the caller waits for, still runs.
 */
export class Tombstones {
  readonly #max: number;
  readonly #untilMonoMs = new Map<string, number>();
  #scannedMonoMs = Number.NEGATIVE_INFINITY;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#untilMonoMs.size;
  }

  /** Kept until the request's own deadline: what comes later is late anyway. */
  add(caller: string, id: number, attempt: number, untilMonoMs: number, nowMonoMs: number): void {
    if (this.#untilMonoMs.size >= this.#max) this.#forgetOld(nowMonoMs);
    this.#untilMonoMs.set(nameOf(caller, id, attempt), untilMonoMs);
  }

  /** Whether the attempt is not to be begun. */
  take(caller: string, id: number, attempt: number): boolean {
    return this.#untilMonoMs.size > 0 && this.#untilMonoMs.delete(nameOf(caller, id, attempt));
  }

  #forgetOld(nowMonoMs: number): void {
    if (nowMonoMs - this.#scannedMonoMs >= scanMs) {
      this.#scannedMonoMs = nowMonoMs;
      for (const [name, untilMonoMs] of this.#untilMonoMs) if (untilMonoMs <= nowMonoMs) this.#untilMonoMs.delete(name);
    }
    for (const oldest of this.#untilMonoMs.keys()) {
      if (this.#untilMonoMs.size < this.#max) return;
      this.#untilMonoMs.delete(oldest);
    }
  }
}

function nameOf(caller: string, id: number, attempt: number): string {
  return `${caller} ${id} ${attempt}`;
}
