import type { TraceContext, Tracer } from "../requests/index.ts";

/**
 * The places in traces of writes whose copies wait at one server, by the names of the writes: what the order makes of a copy knows nothing
 * of its caller. A server that runs a write without ever having had a copy of it has no trace of it.
 */
export class GroupTraces {
  readonly #server: string;
  readonly #tracer: Tracer | undefined;
  readonly #waiting = new Map<string, TraceContext>();

  constructor(server: string, tracer: Tracer | undefined) {
    this.#server = server;
    this.#tracer = tracer;
  }

  /** A copy is here as long as `act` takes. */
  async during<Result>(requestId: () => string, trace: TraceContext | undefined, act: () => Promise<Result>): Promise<Result> {
    if (trace === undefined) return act();
    const name = requestId();
    this.#waiting.set(name, trace);
    try {
      return await act();
    } finally {
      this.#waiting.delete(name);
    }
  }

  of(requestId: string): TraceContext | undefined {
    return this.#waiting.size === 0 ? undefined : this.#waiting.get(requestId);
  }

  /** Runs a write, recorded where somebody records. */
  run<Result>(type: string, requestId: string, trace: TraceContext | undefined, handle: () => Result): Result {
    if (this.#tracer === undefined) return handle();
    return this.#tracer.serve({ server: this.#server, type, trace, requestId, caller: undefined, attempt: undefined }, handle);
  }
}
