import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import * as api from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { askTraced, passOn } from "../requests/index.ts";
import { OpenTelemetrySpans } from "./open-telemetry.ts";

const exporter = new InMemorySpanExporter();
const served = { server: "MDS.1.1", type: "look", trace: undefined, requestId: "a:1", caller: undefined, attempt: 1 };

describe("spans of OpenTelemetry", () => {
  before(() => {
    api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    api.trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  });

  beforeEach(() => exporter.reset());

  after(() => {
    api.trace.disable();
    api.context.disable();
  });

  test("a request with a trace that cannot be read belongs to what is active, as one without does", async () => {
    const spans = new OpenTelemetrySpans(api);
    await api.trace.getTracer("test").startActiveSpan("whole", async (whole) => {
      for (const options of [undefined, {}, { traceparent: "nonsense" }, { traceparent: "" }, { tracestate: "a=1" }])
        await askTraced(spans, "MDS.1.1", "look", options, () => Promise.resolve(null));
      whole.end();
    });
    const [whole, ...asked] = exporter.getFinishedSpans().toReversed();
    assert.equal(asked.length, 5);
    for (const { parentSpanContext } of asked) assert.equal(parentSpanContext?.spanId, whole?.spanContext().spanId);
  });

  test("a handler that passes its request on has not failed, one that throws anything else has", async () => {
    const spans = new OpenTelemetrySpans(api);
    assert.throws(() =>
      spans.serve(served, () => {
        throw passOn("not here");
      }),
    );
    await assert.rejects(spans.serve(served, () => Promise.reject(passOn("not here"))));
    await assert.rejects(spans.serve(served, () => Promise.reject(new Error("broken"))));
    const { UNSET, ERROR } = api.SpanStatusCode;
    assert.deepEqual(
      exporter.getFinishedSpans().map(({ status, events }) => [status.code, events[0]?.name]),
      [
        [UNSET, "muster.passed_on"],
        [UNSET, "muster.passed_on"],
        [ERROR, "exception"],
      ],
    );
  });
});
