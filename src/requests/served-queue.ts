import type { ServedLink } from "./served-link.ts";
import type { TwinPlace } from "./twin-messages.ts";
import type { ServedService } from "./served-service.ts";
import type { ServedTarget } from "./served-target.ts";

/** A request that waits for its turn: nothing of it has begun, so it can go away without a trace. */
export interface QueuedRequest {
  readonly link: ServedLink;
  readonly service: ServedService;
  readonly target: ServedTarget;
  readonly id: number;
  readonly attempt: number;
  /** The whole message: a copy, because what arrives is lent for the time of the call. */
  readonly message: Buffer;
  readonly bodyBytes: number;
  readonly dueMonoMs: number;
  /** Cancelled, overdue or begun: it is passed over. */
  isOver: boolean;
  /** Where another copy of it is, which is not to begin when this one does. */
  twin: TwinPlace | undefined;
  /** An older attempt of the same request that waits here, too. */
  sibling: QueuedRequest | undefined;
}

/** So many places at the front may be empty before the list is cut. */
const emptyMax = 256;

/** First come, first served. How much may wait is for the service to say: see `ServedService.fullness`. */
export class ServedQueue {
  #items: QueuedRequest[] = [];
  #head = 0;
  #waiting = 0;

  /** Requests that wait, without those that are over. */
  get size(): number {
    return this.#waiting;
  }

  add(request: QueuedRequest): void {
    this.#items.push(request);
    this.#waiting++;
  }

  /** Takes it out of the queue, wherever it stands; false when it was out already. */
  drop(request: QueuedRequest): boolean {
    if (request.isOver) return false;
    request.isOver = true;
    this.#waiting--;
    return true;
  }

  /** The one that waits longest; it is out of the queue then. */
  take(): QueuedRequest | undefined {
    for (;;) {
      const request = this.#items[this.#head];
      if (request === undefined) {
        this.#items = [];
        this.#head = 0;
        return undefined;
      }
      this.#head++;
      if (this.#head > emptyMax && this.#head * 2 > this.#items.length) {
        this.#items = this.#items.slice(this.#head);
        this.#head = 0;
      }
      if (this.drop(request)) return request;
    }
  }
}
