// A server of requests as a program of its own: node traced-server.mjs LIBRARY AGENT KEY spans|plain [DATA]
// "relay" asks what its body names; with DATA it keeps its state in an ordering group. Asked by a message, it tells its spans.
import * as api from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [library, agent, key, how, data] = process.argv.slice(2);
const exporter = new InMemorySpanExporter();
if (how === "spans") {
  api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  api.trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
}
const { connect, fleetFetch } = await import(library);
const fleet = await connect({ agent, preset: "test", ...(how === "spans" ? { openTelemetry: api } : {}) });
const ask = fleetFetch(fleet);
const relay = async ({ next, url, fail }, { trace }) => {
  await new Promise((resolve) => setTimeout(resolve, 1));
  if (fail === true) throw new Error("as it was told");
  const given = how === "spans" ? {} : { ...trace };
  const answer = next === undefined ? null : await fleet.request(next, "relay", {}, given);
  if (url !== undefined) await (await ask(url, { muster: given })).text();
  return { by: key, trace: trace ?? null, next: answer };
};
const put = (_, { state, trace }) => {
  state.put("a", new Uint8Array([1]));
  return { by: key, trace: trace ?? null };
};
if (data === undefined) await fleet.serve("metadata", key, { port: 0, types: { relay: { effect: "read", handle: relay } } });
else await fleet.serve("metadata", key, { port: 0, group: { data }, types: { put: { effect: "write", handle: put } } });
process.on("message", () => {
  const spans = exporter.getFinishedSpans().map((span) => {
    const { name, kind, status, attributes, parentSpanContext } = span;
    const { traceId, spanId } = span.spanContext();
    return { name, kind, traceId, spanId, parent: parentSpanContext?.spanId, status: status.code, attributes, events: span.events.length };
  });
  process.send({ spans });
});
process.send("serving");
