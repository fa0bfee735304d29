import type { ServedType, ServerLimits } from "./options.ts";
import { type QueuedRequest, ServedQueue } from "./served-queue.ts";
import type { ServedRequest } from "./served-request.ts";

/** What `drain` came to. */
export interface DrainResult {
  /** Requests that were under way when the limit was reached, and were given up. */
  readonly abandoned: number;
}

/** One server instance on the roll: its handlers, what they work on, and whether it still takes requests. */
export class ServedService {
  readonly table: string;
  readonly instance: string;
  readonly host: string;
  readonly types: ReadonlyMap<string, ServedType>;
  /** So many handlers work at a time; what comes then waits for its turn. */
  readonly concurrency: number;
  readonly running = new Set<ServedRequest>();
  /** Set when it closes: it takes nothing new any more. */
  closing: string | undefined = undefined;
  /** What the roll, as this program knows it, says against it. */
  accusation: string | undefined = undefined;
  /** The roll has named it once: before that its absence means nothing. */
  wasNamed = false;
  readonly #queue = new ServedQueue();
  /** Handlers that promised an answer and have not ended, also those whose caller has gone; and requests that wait. */
  #inFlight = 0;
  #inFlightBytes = 0;
  #whenIdle: (() => void)[] = [];
  #isPumping = false;

  constructor(
    table: string,
    instance: string,
    host: string,
    types: Readonly<Record<string, ServedType>>,
    concurrency: number = Number.POSITIVE_INFINITY,
  ) {
    this.table = table;
    this.instance = instance;
    this.host = host;
    this.types = new Map(Object.entries(types));
    this.concurrency = concurrency;
  }

  /** Why it takes nothing new; undefined while it does. */
  get refusing(): string | undefined {
    return this.closing ?? this.accusation;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Why another request cannot begin; undefined when it can. */
  fullness(limits: ServerLimits, bodyBytes: number): string | undefined {
    if (this.#inFlight >= limits.inFlightMax) return `${this.#inFlight} requests are under way, which is its limit`;
    if (this.#inFlightBytes + bodyBytes > limits.inFlightBytesMax) return `${this.#inFlightBytes} bytes of requests are under way`;
    return undefined;
  }

  /** Whether a request has to wait until others have ended. */
  get isBusy(): boolean {
    return this.running.size >= this.concurrency || (this.#queue.size > 0 && !this.#isPumping);
  }

  begin(request: ServedRequest): void {
    this.#inFlight++;
    this.#inFlightBytes += request.bodyBytes;
    this.running.add(request);
  }

  end(request: ServedRequest): void {
    if (!this.running.delete(request)) return;
    this.#left(request.bodyBytes);
    if (this.#queue.size > 0) this.#pump();
  }

  enqueue(request: QueuedRequest): void {
    this.#inFlight++;
    this.#inFlightBytes += request.bodyBytes;
    this.#queue.add(request);
  }

  /** It will not begin. False when it does not wait any more. */
  dequeue(request: QueuedRequest): boolean {
    if (!this.#queue.drop(request)) return false;
    this.#left(request.bodyBytes);
    return true;
  }

  /** Hands out all that wait, whatever is at work: who takes nothing new turns them away. */
  flush(): void {
    for (let request = this.#queue.take(); request !== undefined; request = this.#queue.take()) this.#handOut(request);
  }

  /** A handler that answers at once makes room for the next one at once: a loop, so that a long queue is no deep stack. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      while (this.running.size < this.concurrency) {
        const request = this.#queue.take();
        if (request === undefined) return;
        this.#handOut(request);
      }
    } finally {
      this.#isPumping = false;
    }
  }

  #handOut(request: QueuedRequest): void {
    this.#left(request.bodyBytes);
    request.link.begin(request);
  }

  #left(bodyBytes: number): void {
    this.#inFlight--;
    this.#inFlightBytes -= bodyBytes;
    if (this.#inFlight > 0) return;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle.push(resolve);
    });
  }
}
