import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { traceOf, tracedDispatchHeaders, tracedHeaders } from "./trace-headers.ts";

const trace = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate: "a=1" };
const parentOnly = { traceparent: trace.traceparent };

describe("the trace in the headers of a request", () => {
  test("is what the request says, else what is active, else nothing", () => {
    assert.deepEqual(traceOf(trace, parentOnly), trace);
    assert.deepEqual(traceOf({ traceparent: "nonsense" }, parentOnly), parentOnly);
    assert.deepEqual(traceOf({}, parentOnly), parentOnly);
    assert.equal(traceOf({}, undefined), undefined);
  });

  test("stands beside the others, in every form that fetch takes; who names one itself keeps it", () => {
    for (const headers of [{ a: "b" }, [["a", "b"]] satisfies [string, string][], new Headers({ a: "b" })]) {
      const traced = new Headers(tracedHeaders(headers, trace));
      assert.deepEqual([...traced], [["a", "b"], ...Object.entries(trace)]);
      assert.equal(tracedHeaders(headers, undefined), headers);
    }
    const own = { TraceParent: "own" };
    assert.equal(tracedHeaders(own, trace), own);
    assert.deepEqual([...new Headers(tracedHeaders({ tracestate: "of=another" }, parentOnly))], Object.entries(parentOnly));
  });

  test("and in every form that undici takes", () => {
    assert.deepEqual(tracedDispatchHeaders(undefined, trace), trace);
    assert.deepEqual(tracedDispatchHeaders(null, parentOnly), parentOnly);
    assert.deepEqual(tracedDispatchHeaders({ a: "b" }, trace), { a: "b", ...trace });
    assert.deepEqual(tracedDispatchHeaders(["a", "b"], parentOnly), ["a", "b", "traceparent", trace.traceparent]);
    assert.deepEqual(tracedDispatchHeaders(new Map([["a", "b"]]), parentOnly), ["a", "b", "traceparent", trace.traceparent]);
    for (const own of [{ TRACEPARENT: "own" }, ["traceparent", "own"]]) assert.equal(tracedDispatchHeaders(own, trace), own);
    assert.deepEqual(tracedDispatchHeaders(new Headers({ traceparent: "own" }), trace), ["traceparent", "own"]);
    assert.equal(tracedDispatchHeaders("of another form", trace), "of another form");
  });
});
