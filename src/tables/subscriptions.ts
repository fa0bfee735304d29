import { type Telemetry, errorOf } from "../kernel/index.ts";
import type { Entry } from "./entry.ts";
import { metrics } from "./metrics.ts";

export interface FleetEvent {
  /** `Add` also when changed; `Subscribe`: some events were discarded, read the table again. */
  readonly event: "Add" | "Delete" | "Subscribe";
  readonly table: string;
  /** The row as it is now (`Add`) or as it last was (`Delete`). */
  readonly entry?: Entry;
}

export interface SubscribeOptions<Context> {
  /** Names or symbols. */
  readonly tables: readonly string[];
  /** Raw leading characters of the keys; default "", all of them. */
  readonly prefix?: string;
  /** Handed back with every call. */
  readonly context?: Context;
  /** Events kept for a handler that returns promises; the overflow becomes one `Subscribe`. Default 1,024. */
  readonly eventsMax?: number;
}

export interface Subscription {
  /** After this returns, no call of the handler follows. Idempotent. */
  cancel(): void;
}

/** What the replica knows of a subscription. */
export interface Subscriber {
  readonly tables: readonly string[];
  readonly prefix: string;
  readonly waiting: number;
  deliver(event: FleetEvent): void;
}

/**
 * One handler and what waits for it. A handler that returns a promise is called again when that has settled; meanwhile
 * events wait in a queue of `eventsMax`. When the queue would overflow, everything in it is replaced by one `Subscribe`
 * for each table concerned, delivered before whatever comes later: a slow subscriber costs a bounded amount of memory
 * and never holds anybody up.
 */
export class HandlerQueue<Context> implements Subscriber, Subscription {
  readonly tables: readonly string[];
  readonly prefix: string;
  readonly #handler: (event: FleetEvent, context: Context) => unknown;
  readonly #context: Context;
  readonly #eventsMax: number;
  readonly #telemetry: Telemetry;
  readonly #left: () => void;
  #waiting: FleetEvent[] = [];
  /** Tables of which events were discarded since the last `Subscribe` was delivered. */
  readonly #discarded = new Set<string>();
  #busy = false;
  #cancelled = false;

  constructor(
    options: { readonly tables: readonly string[]; readonly prefix: string; readonly eventsMax: number },
    handler: (event: FleetEvent, context: Context) => unknown,
    context: Context,
    telemetry: Telemetry,
    left: () => void,
  ) {
    this.tables = options.tables;
    this.prefix = options.prefix;
    this.#eventsMax = options.eventsMax;
    this.#handler = handler;
    this.#context = context;
    this.#telemetry = telemetry;
    this.#left = left;
  }

  /** Events that wait for a busy handler. */
  get waiting(): number {
    return this.#waiting.length + this.#discarded.size;
  }

  deliver(event: FleetEvent): void {
    if (this.#cancelled) return;
    if (this.#busy) this.#keep(event);
    else this.#call(event);
  }

  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.#waiting = [];
    this.#discarded.clear();
    this.#left();
  }

  #keep(event: FleetEvent): void {
    if (this.#waiting.length < this.#eventsMax) {
      this.#waiting.push(event);
      return;
    }
    for (const discarded of this.#waiting) this.#discarded.add(discarded.table);
    this.#discarded.add(event.table);
    this.#waiting = [];
    this.#telemetry.count(metrics.subscriptionOverflows);
  }

  #call(event: FleetEvent): void {
    let result: unknown;
    try {
      result = this.#handler(event, this.#context);
    } catch (thrown) {
      this.#failed(thrown);
      return;
    }
    if (!isThenable(result)) return;
    this.#busy = true;
    const next = () => this.#next();
    result.then(next, (thrown: unknown) => {
      this.#failed(thrown);
      next();
    });
  }

  /** Goes on after an asynchronous call; calls that turn out synchronous are made here, one after the other. */
  #next(): void {
    this.#busy = false;
    while (!this.#busy && !this.#cancelled) {
      const event = this.#takeNext();
      if (event === undefined) return;
      this.#call(event);
    }
  }

  #takeNext(): FleetEvent | undefined {
    for (const table of this.#discarded) {
      this.#discarded.delete(table);
      return Object.freeze({ event: "Subscribe", table });
    }
    return this.#waiting.shift();
  }

  #failed(thrown: unknown): void {
    this.#telemetry.count(metrics.handlerFailures);
    this.#telemetry.log("warn", "subscription-handler-failed", { message: errorOf(thrown).message });
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
