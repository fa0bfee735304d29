import type { PendingRequest } from "./pending-table.ts";

const slotsMin = 16;

/**
 * Requests and when something is due for each, in the order in which they came: dues grow nearly with it, so the first is the earliest,
 * or nearly. Nobody is taken out when it ends: what is over is passed over when it comes first, which costs less than a timer each.
 */
export class DueRing {
  readonly #isLive: (request: PendingRequest, dueMonoMs: number) => boolean;
  #requests: (PendingRequest | undefined)[] = Array.from({ length: slotsMin }, () => undefined);
  #dues = new Float64Array(slotsMin);
  #head = 0;
  #size = 0;

  /** `isLive`: whether what was due for the request at that time is still wanted. */
  constructor(isLive: (request: PendingRequest, dueMonoMs: number) => boolean) {
    this.#isLive = isLive;
  }

  add(request: PendingRequest, dueMonoMs: number): void {
    // Answers come nearly in order, too: this keeps the ring as long as what is pending.
    this.#skip();
    if (this.#size === this.#requests.length) this.#grow();
    const index = (this.#head + this.#size) & (this.#requests.length - 1);
    this.#requests[index] = request;
    this.#dues[index] = dueMonoMs;
    this.#size++;
  }

  /** When the first is due; Infinity when nothing is wanted any more. */
  get nextMonoMs(): number {
    this.#skip();
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#dues[this.#head] ?? Number.POSITIVE_INFINITY);
  }

  /** The first; undefined when none is due until then. */
  take(untilMonoMs: number): PendingRequest | undefined {
    if (this.nextMonoMs > untilMonoMs) return undefined;
    const request = this.#requests[this.#head];
    this.#pop();
    return request;
  }

  clear(): void {
    while (this.#size > 0) this.#pop();
  }

  #skip(): void {
    while (this.#size > 0) {
      const request = this.#requests[this.#head];
      if (request !== undefined && this.#isLive(request, this.#dues[this.#head] ?? 0)) return;
      this.#pop();
    }
  }

  #pop(): void {
    this.#requests[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#requests.length - 1);
    this.#size--;
  }

  #grow(): void {
    const { length } = this.#requests;
    const requests: (PendingRequest | undefined)[] = Array.from({ length: length * 2 }, () => undefined);
    const dues = new Float64Array(length * 2);
    for (let place = 0; place < this.#size; place++) {
      const index = (this.#head + place) & (length - 1);
      requests[place] = this.#requests[index];
      dues[place] = this.#dues[index] ?? 0;
    }
    this.#requests = requests;
    this.#dues = dues;
    this.#head = 0;
  }
}
