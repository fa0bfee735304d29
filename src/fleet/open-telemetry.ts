import { MusterError, errorOf } from "../kernel/index.ts";
import {
  type RequestSpan,
  type SendKind,
  type ServedSpan,
  type SpanPlace,
  type TraceContext,
  type Tracer,
  isPassedOn,
  serviceOf,
} from "../requests/index.ts";

/**
 * What this library uses of `@opentelemetry/api` (version 1), said in its own words: the application that traces has the package and
 * passes it on, so nobody else needs it.
 */
export interface OpenTelemetryApi {
  readonly ROOT_CONTEXT: OpenTelemetryContext;
  readonly context: {
    active(): OpenTelemetryContext;
    with<Result>(context: OpenTelemetryContext, act: () => Result): Result;
  };
  readonly trace: {
    getTracer(name: string): OpenTelemetryTracer;
    setSpan(context: OpenTelemetryContext, span: OpenTelemetrySpan): OpenTelemetryContext;
    setSpanContext(context: OpenTelemetryContext, place: OpenTelemetryPlace): OpenTelemetryContext;
    getSpanContext(context: OpenTelemetryContext): OpenTelemetryPlace | undefined;
  };
  isSpanContextValid(place: OpenTelemetryPlace): boolean;
  createTraceState(text: string): { serialize(): string };
}

/** Values that belong to what the program is doing. */
interface OpenTelemetryContext {
  getValue(key: symbol): unknown;
  setValue(key: symbol, value: unknown): OpenTelemetryContext;
  deleteValue(key: symbol): OpenTelemetryContext;
}

interface OpenTelemetryTracer {
  startSpan(
    name: string,
    options: { readonly kind: number; readonly attributes: OpenTelemetryAttributes },
    context: OpenTelemetryContext,
  ): OpenTelemetrySpan;
}

interface OpenTelemetrySpan {
  isRecording(): boolean;
  spanContext(): OpenTelemetryPlace;
  setAttributes(attributes: OpenTelemetryAttributes): unknown;
  addEvent(name: string, attributes: OpenTelemetryAttributes): unknown;
  setStatus(status: { readonly code: number; readonly message?: string }): unknown;
  recordException(error: Error): void;
  end(): void;
}

type OpenTelemetryAttributes = Record<string, string | number>;

interface OpenTelemetryPlace {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
  readonly isRemote?: boolean | undefined;
  readonly traceState?: { serialize(): string } | undefined;
}

const instrument = "@musterhq/muster";
/** SpanKind. */
const server = 1;
const client = 2;
/** SpanStatusCode. */
const failed = 2;

/**
 * Spans by OpenTelemetry's conventions for calls (rpc.*): one for each request, with an event for each message that it sends, and one around each
 * handler. Who is asked is told in the form of the W3C, whatever propagator the application has set; baggage is not carried.
 */
export class OpenTelemetrySpans implements Tracer {
  readonly #api: OpenTelemetryApi;
  readonly #tracer: OpenTelemetryTracer;

  constructor(api: OpenTelemetryApi) {
    this.#api = api;
    this.#tracer = api.trace.getTracer(instrument);
  }

  request(key: string, type: string, parent: TraceContext | undefined): RequestSpan {
    const within = parent === undefined ? this.#api.context.active() : this.#remote(parent);
    const service = serviceOf(key);
    const attributes = { "rpc.system": "muster", "rpc.service": service, "rpc.method": type, "muster.key": key };
    const span = this.#tracer.startSpan(`${service}/${type}`, { kind: client, attributes }, within);
    return new ClientSpan(span, this.#traceOf(span.spanContext()));
  }

  serve<Result>({ server: instance, type, trace, requestId, caller, attempt }: ServedSpan, handle: () => Result): Result {
    const { context, trace: spans } = this.#api;
    const within = trace === undefined ? this.#api.ROOT_CONTEXT : this.#remote(trace);
    const service = serviceOf(instance);
    const attributes = {
      "rpc.system": "muster",
      "rpc.service": service,
      "rpc.method": type,
      "muster.server": instance,
      "muster.request_id": requestId,
      ...(attempt === undefined ? {} : { "muster.attempt": attempt }),
      ...(caller === undefined ? {} : { "muster.caller": caller.name, "network.peer.address": caller.address }),
    };
    const span = this.#tracer.startSpan(`${service}/${type}`, { kind: server, attributes }, within);
    let result: Result;
    try {
      result = context.with(spans.setSpan(within, span), handle);
    } catch (thrown) {
      end(span, thrown);
      throw thrown;
    }
    if (result instanceof Promise)
      result.then(
        () => span.end(),
        (thrown: unknown) => end(span, thrown),
      );
    else span.end();
    return result;
  }

  current(): TraceContext | undefined {
    const place = this.#api.trace.getSpanContext(this.#api.context.active());
    return place === undefined ? undefined : this.#traceOf(place);
  }

  #remote({ traceparent, tracestate }: TraceContext): OpenTelemetryContext {
    const [, traceId = "", spanId = "", flags = ""] = traceparent.split("-");
    const place: OpenTelemetryPlace = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
    const { ROOT_CONTEXT, trace, createTraceState } = this.#api;
    if (!this.#api.isSpanContextValid(place)) return ROOT_CONTEXT;
    return trace.setSpanContext(ROOT_CONTEXT, tracestate === undefined ? place : { ...place, traceState: createTraceState(tracestate) });
  }

  #traceOf(place: OpenTelemetryPlace): TraceContext | undefined {
    if (!this.#api.isSpanContextValid(place)) return undefined;
    const { traceId, spanId, traceFlags, traceState } = place;
    const traceparent = `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, "0")}`;
    const tracestate = traceState?.serialize() ?? "";
    return tracestate === "" ? { traceparent } : { traceparent, tracestate };
  }
}

class ClientSpan implements RequestSpan {
  readonly trace: TraceContext | undefined;
  readonly #span: OpenTelemetrySpan;

  constructor(span: OpenTelemetrySpan, trace: TraceContext | undefined) {
    this.#span = span;
    this.trace = trace;
  }

  sent(kind: SendKind, attempt: number, { instance, address, port }: SpanPlace): void {
    if (!this.#span.isRecording()) return;
    const place = { "muster.server": instance, "server.address": address, "server.port": port };
    this.#span.addEvent("muster.sent", { "muster.copy": kind, "muster.attempt": attempt, ...place });
    if (kind === "first") this.#span.setAttributes(place);
  }

  answered(attempt: number, { instance, address, port }: SpanPlace): void {
    if (!this.#span.isRecording()) return;
    this.#span.setAttributes({ "muster.attempt": attempt, "muster.server": instance, "server.address": address, "server.port": port });
  }

  left(): void {
    if (this.#span.isRecording()) this.#span.addEvent("muster.not_awaited", {});
    this.#span.end();
  }

  ended(error?: unknown): void {
    end(this.#span, error);
  }
}

function end(span: OpenTelemetrySpan, thrown: unknown): void {
  if (isPassedOn(thrown)) {
    if (span.isRecording()) span.addEvent("muster.passed_on", { "muster.why": errorOf(thrown).message });
  } else if (thrown !== undefined && span.isRecording()) {
    const error = errorOf(thrown);
    span.setAttributes({ "error.type": error instanceof MusterError ? error.code : error.name });
    span.setStatus({ code: failed, message: error.message });
    span.recordException(error);
  }
  span.end();
}
