import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { Agent } from "undici";
import { fleetDispatcher } from "../../src/index.ts";
import { isRecord } from "../../src/kernel/index.ts";
import { memoryDirectory } from "../../src/testing/memory-directory.ts";

const trace = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate: "a=1" };
const pairs: readonly [string, string][] = [
  ["a", "b"],
  ["c", "d"],
];
const named: readonly [string, string][] = [...pairs, ["Traceparent", "own"]];

function* onceOnly(list: readonly [string, string][]): Generator<[string, string]> {
  yield* list;
}

test("undici sends the trace beside the own headers of a request, whatever form these have", async () => {
  const fleet = await memoryDirectory({ host: "HOST1" });
  const server = createServer(({ headers }, response) => response.end(JSON.stringify(headers))).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  await fleet.add("gateway", "GW.1", { host: "HOST1", port: address.port });
  const agent = new Agent();
  const client = agent.compose(fleetDispatcher(fleet));
  const sent = async (headers: Parameters<typeof client.request>[0]["headers"]) => {
    const request = { origin: "muster://gateway/GW", path: "/", method: "GET", headers: headers ?? null, muster: trace } as const;
    const { body } = await client.request(request);
    const got = await body.json();
    assert.ok(isRecord(got));
    return [got["a"], got["c"], got["traceparent"], got["tracestate"]];
  };
  try {
    for (const own of [new Map(pairs), new Headers([...pairs]), { a: "b", c: "d" }, ["a", "b", "c", "d"], onceOnly(pairs)])
      assert.deepEqual(await sent(own), ["b", "d", trace.traceparent, trace.tracestate]);
    for (const own of [new Map(named), new Headers([...named]), onceOnly(named)])
      assert.deepEqual(await sent(own), ["b", "d", "own", undefined]);
  } finally {
    await agent.close();
    server.close();
    await fleet.close();
  }
});
