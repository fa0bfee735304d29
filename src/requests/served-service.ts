import type { RequestEffect, RequestHandler, ServedType, ServerLimits } from "./options.ts";
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
  readonly running = new Set<ServedRequest>();
  /** Set when it closes: it takes nothing new any more. */
  closing: string | undefined = undefined;
  /** What the roll, as this program knows it, says against it. */
  accusation: string | undefined = undefined;
  /** The roll has named it once: before that its absence means nothing. */
  wasNamed = false;
  /** Handlers that promised an answer and have not ended, also those whose caller has gone. */
  #inFlight = 0;
  #inFlightBytes = 0;
  #whenIdle: (() => void)[] = [];

  constructor(table: string, instance: string, host: string, types: Readonly<Record<string, ServedType>>) {
    this.table = table;
    this.instance = instance;
    this.host = host;
    this.types = new Map(Object.entries(types));
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

  begin(request: ServedRequest): void {
    this.#inFlight++;
    this.#inFlightBytes += request.bodyBytes;
    this.running.add(request);
  }

  end(request: ServedRequest): void {
    if (!this.running.delete(request)) return;
    this.#inFlight--;
    this.#inFlightBytes -= request.bodyBytes;
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

/** What a number on a link stands for. */
export interface ServedTarget {
  readonly service: ServedService | undefined;
  readonly name: string;
  readonly type: string;
  readonly handle: RequestHandler | undefined;
  /** What the newest declaration says that this server knows. */
  readonly effect: RequestEffect;
  /** The state of all declarations that it was read from. */
  readonly generation: number;
  /** The declaration that the caller goes by. */
  readonly sequence: number;
}
