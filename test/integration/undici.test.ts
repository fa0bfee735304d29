import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { test } from "node:test";
import { Agent } from "undici";
import { fleetDispatcher } from "../../src/index.ts";
import { memoryDirectory } from "../../src/testing/memory-directory.ts";

/** A server that drops the connection of every other request once it has read it. */
async function flakyServer(name: string) {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      seen.push(`${request.method} ${request.url} ${body}`);
      if (request.url === "/drop" && seen.length % 2 === 1) request.socket.destroy();
      else response.setHeader("x-name", name).end(`${name} ${body}`);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { server, seen, port: address.port };
}

test("[DSD-19] undici itself: requests to a key are composed with the fleet, moved when safe, and streamed", async () => {
  const fleet = await memoryDirectory({ host: "HOST1" });
  const servers = [await flakyServer("one"), await flakyServer("two")];
  await fleet.add("gateway", "GW.1", { host: "HOST1", port: servers[0]?.port ?? 0 });
  await fleet.add("gateway", "GW.2", { host: "HOST1", port: servers[1]?.port ?? 0 });
  const agent = new Agent();
  const client = agent.compose(fleetDispatcher(fleet));
  const origin = "muster://gateway/GW";
  for (let count = 0; count < 10; count++) {
    const { statusCode, body, headers } = await client.request({ origin, path: "/drop", method: "GET" });
    assert.equal(statusCode, 200);
    assert.equal((await body.text()).trim(), headers["x-name"]);
  }
  const posted = await client.request({
    origin,
    path: "/x",
    method: "POST",
    body: Readable.from([Buffer.from("a "), Buffer.from("stream")]),
  });
  assert.match(await posted.body.text(), /a stream$/);
  const before = servers.reduce((sum, { seen }) => sum + seen.length, 0);
  await assert.rejects(
    async () => {
      for (let count = 0; count < 3; count++)
        await (await client.request({ origin, path: "/drop", method: "POST", body: "once" })).body.text();
    },
    { code: "fetch/unknown", effect: "maybe" },
  );
  const posts = servers.flatMap(({ seen }) => seen).filter((line) => line === "POST /drop once");
  assert.ok(posts.length <= 3 && servers.reduce((sum, { seen }) => sum + seen.length, 0) - before === posts.length);
  // An abort reaches the connection.
  const controller = new AbortController();
  const aborted = client.request({ origin: "muster://GW.9", path: "/", method: "GET", signal: controller.signal });
  await assert.rejects(aborted, { code: "fetch/unknown-key" });
  await agent.close();
  for (const { server } of servers) server.close();
  await fleet.close();
});
