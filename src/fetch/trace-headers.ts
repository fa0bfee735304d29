import { type TraceContext, type TraceOptions, readTraceText, traceText } from "../requests/index.ts";

/** The place in a trace that a request belongs to: what it says itself, else `active`. Undefined for what cannot be read. */
export function traceOf({ traceparent, tracestate }: TraceOptions, active: TraceContext | undefined): TraceContext | undefined {
  const text = traceparent === undefined ? undefined : traceText({ traceparent, tracestate });
  return text === undefined ? active : readTraceText(text);
}

/** The same headers with the trace, unless they name one themselves. */
export function tracedHeaders(headers: RequestInit["headers"], trace: TraceContext | undefined): RequestInit["headers"] {
  if (trace === undefined) return headers;
  const traced = new Headers(headers);
  if (traced.has("traceparent")) return headers;
  traced.set("traceparent", trace.traceparent);
  if (trace.tracestate === undefined) traced.delete("tracestate");
  else traced.set("tracestate", trace.tracestate);
  return traced;
}

/**
 * The same for headers in one of the forms that undici takes: an object, an array of names and values in turn, or another iterable of pairs of
 * them, which becomes such an array. What is of another form is left as it is.
 */
export function tracedDispatchHeaders(headers: unknown, trace: TraceContext): unknown {
  const more = Object.entries(trace);
  if (headers === undefined || headers === null) return Object.fromEntries(more);
  if (Array.isArray(headers)) {
    const names: readonly unknown[] = headers.filter((_, index) => index % 2 === 0);
    return names.some(isTraceparent) ? headers : [...headers, ...more.flat()];
  }
  if (typeof headers !== "object") return headers;
  if (isIterable(headers)) {
    const pairs = [...headers];
    const isOwn = pairs.some((pair) => Array.isArray(pair) && isTraceparent(pair[0]));
    return [...pairs.flat(), ...(isOwn ? [] : more.flat())];
  }
  return Object.keys(headers).some(isTraceparent) ? headers : { ...headers, ...trace };
}

function isIterable(value: object): value is Iterable<unknown> {
  return Symbol.iterator in value && typeof value[Symbol.iterator] === "function";
}

function isTraceparent(name: unknown): boolean {
  return typeof name === "string" && name.toLowerCase() === "traceparent";
}
