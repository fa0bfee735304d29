import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import * as api from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider, InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { type Fleet, connect, fleetFetch, prometheusText } from "../../src/index.ts";
import { isRecord } from "../../src/kernel/index.ts";
import { type Address, formatAddress } from "../../src/transport/index.ts";
import { LocalFleet } from "./local-fleet.ts";

const trace = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate: "rojo=00f067aa0ba902b7" };

interface Span {
  readonly name: string;
  readonly kind: api.SpanKind;
  readonly traceId: string;
  readonly spanId: string;
  readonly parent: string | undefined;
  readonly status: api.SpanStatusCode;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** Callers in this process, servers in processes of their own, OpenTelemetry's own SDK in both. */
describe("requests that belong to a trace", () => {
  const fleet = new LocalFleet();
  const exporter = new InMemorySpanExporter();
  const heard: (readonly [string | undefined, string | undefined])[] = [];
  const http = createServer(({ headers }, response) => {
    heard.push([headers["traceparent"]?.toString(), headers["tracestate"]?.toString()]);
    response.end("answer");
  });
  const folder = mkdtempSync(path.join(tmpdir(), "muster-tracing-"));
  let door: Address;
  let plain: Fleet;
  let traced: Fleet;
  const servers = new Map<string, ChildProcess>();

  before(async () => {
    api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    api.trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
    ({ door } = await fleet.startHost("HOST1", "127.0.0.1"));
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    const place = http.address();
    assert.ok(typeof place === "object" && place !== null);
    const options = { agent: formatAddress(door), preset: "test", heartbeats: "loop" } as const;
    plain = await connect(options);
    traced = await connect({ ...options, openTelemetry: api });
    await plain.serve("gateway", "WEB.1.1", { port: place.port });
    for (const [key, ...words] of [
      ["PLAIN.1.1", "plain"],
      ["PLAIN.2.1", "plain"],
      ["SPANS.1.1", "spans"],
      ["SPANS.2.1", "spans"],
      ["GROUP.1.1", "spans", path.join(folder, "1")],
      ["GROUP.1.2", "spans", path.join(folder, "2")],
    ] as const)
      servers.set(key, await fleet.fork("traced-server.mjs", door, key, ...words));
  });

  after(async () => {
    await plain.close();
    await traced.close();
    await fleet.close();
    http.close();
    http.closeAllConnections();
    rmSync(folder, { recursive: true });
    api.trace.disable();
    api.context.disable();
  });

  async function spansOf(...keys: readonly string[]): Promise<readonly Span[]> {
    const own = exporter.getFinishedSpans().map(spanOf);
    const others = await Promise.all(
      keys.map(async (key) => {
        const server = servers.get(key);
        assert.ok(server !== undefined);
        server.send("tell");
        const [told]: unknown[] = await once(server, "message");
        return isRecord(told) && Array.isArray(told["spans"]) ? (told["spans"] as Span[]) : [];
      }),
    );
    return [...own, ...others.flat()];
  }

  test("from the caller through a handler to what that asks, and as a header to what it fetches, without OpenTelemetry", async () => {
    heard.length = 0;
    const body = { next: "PLAIN.2.1", url: "muster://gateway/WEB.1.1/" };
    const answer = await plain.request("PLAIN.1.1", "relay", body, trace);
    assert.deepEqual(answer, { by: "PLAIN.1.1", trace, next: { by: "PLAIN.2.1", trace, next: null } });
    assert.deepEqual(heard, [[trace.traceparent, trace.tracestate]]);
  });

  test("a caller's own headers are left as they are, and a trace that cannot be read is left out", async () => {
    heard.length = 0;
    const ask = fleetFetch(plain);
    const url = "muster://gateway/WEB.1.1/";
    await ask(url, { headers: { TraceParent: "its own" }, muster: trace });
    await ask(url, { muster: { traceparent: "nonsense" } });
    await ask(url, { headers: { tracestate: "of=another" }, muster: { traceparent: trace.traceparent } });
    ask.close();
    assert.deepEqual(heard, [
      ["its own", undefined],
      [undefined, undefined],
      [trace.traceparent, undefined],
    ]);
  });

  test("with OpenTelemetry each request has a span at its caller and one at its server, each below the one before", async () => {
    heard.length = 0;
    exporter.reset();
    const tracer = api.trace.getTracer("test");
    await tracer.startActiveSpan("whole", async (whole) => {
      await traced.request("SPANS.1.1", "relay", { next: "SPANS.2.1", url: "muster://gateway/WEB.1.1/" });
      whole.end();
    });
    const spans = await spansOf("SPANS.1.1", "SPANS.2.1");
    const whole = spans.find(({ name }) => name === "whole");
    assert.ok(whole !== undefined);
    const chain = [whole];
    for (;;) {
      const next = spans.filter(({ parent }) => parent === chain.at(-1)?.spanId);
      if (next[0] === undefined) break;
      assert.equal(next.length, 1);
      chain.push(next[0]);
    }
    const { CLIENT, SERVER, INTERNAL } = api.SpanKind;
    assert.deepEqual(
      chain.map(({ name, kind }) => [name, kind]),
      [
        ["whole", INTERNAL],
        ["SPANS/relay", CLIENT],
        ["SPANS/relay", SERVER],
        ["SPANS/relay", CLIENT],
        ["SPANS/relay", SERVER],
      ],
    );
    for (const { traceId } of chain) assert.equal(traceId, whole.traceId);
    const [, client, server] = chain;
    assert.deepEqual(
      ["rpc.system", "rpc.service", "rpc.method", "muster.key", "muster.server", "server.address"].map((name) => client?.attributes[name]),
      ["muster", "SPANS", "relay", "SPANS.1.1", "SPANS.1.1", "127.0.0.1"],
    );
    assert.equal(typeof client?.attributes["server.port"], "number");
    assert.equal(server?.attributes["muster.server"], "SPANS.1.1");
    assert.deepEqual(
      heard.map(([parent]) => parent?.slice(3, 52)),
      [`${whole.traceId}-${server?.spanId}`],
    );
  });

  test("a request that fails has spans that say so, with the code of its error; the caller's explicit trace counts before its own", async () => {
    exporter.reset();
    await assert.rejects(traced.request("SPANS.1.1", "relay", { fail: true }, trace), { code: "requests/handler-failed" });
    const spans = (await spansOf("SPANS.1.1")).filter(({ traceId }) => trace.traceparent.includes(traceId));
    assert.deepEqual(
      spans.map(({ kind, status, attributes }) => [kind, status, attributes["error.type"]]),
      [
        [api.SpanKind.CLIENT, api.SpanStatusCode.ERROR, "requests/handler-failed"],
        [api.SpanKind.SERVER, api.SpanStatusCode.ERROR, "Error"],
      ],
    );
    assert.equal(spans[0]?.parent, trace.traceparent.slice(36, 52));
    assert.equal(spans[1]?.parent, spans[0]?.spanId);
  });

  test("an ordered write has one span at its caller and one where it was run, whoever else holds a copy", async () => {
    exporter.reset();
    const answer = await traced.request("GROUP.1", "put", null, trace);
    const spans = (await spansOf("GROUP.1.1", "GROUP.1.2")).filter(({ traceId }) => trace.traceparent.includes(traceId));
    assert.deepEqual(
      spans.map(({ name, kind }) => [name, kind]),
      [
        ["GROUP/put", api.SpanKind.CLIENT],
        ["GROUP/put", api.SpanKind.SERVER],
      ],
    );
    assert.equal(spans[1]?.parent, spans[0]?.spanId);
    assert.ok(isRecord(answer) && isRecord(answer["trace"]) && String(answer["trace"]["traceparent"]).includes(spans[0]?.spanId ?? "none"));
  });

  test("what a program has asked for is counted by type, in numbers and as Prometheus reads them", async () => {
    const types = plain.metrics().requests.types;
    const relay = types.find(({ service, type }) => service === "PLAIN" && type === "relay");
    assert.ok(relay !== undefined && relay.answered === 1 && relay.latencyMs.p50 > 0 && relay.latencyMs.sum >= 1);
    const text = prometheusText(plain.metrics());
    assert.ok(text.includes('muster_fleet_request_duration_ms_count{service="PLAIN",type="relay"} 1\n'), text);
  });
});

function spanOf(span: ReadableSpan): Span {
  const { name, kind, status, attributes, parentSpanContext } = span;
  const { traceId, spanId } = span.spanContext();
  return { name, kind, traceId, spanId, parent: parentSpanContext?.spanId, status: status.code, attributes };
}
