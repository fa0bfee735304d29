import assert from "node:assert/strict";
import { once } from "node:events";
import { type RequestListener, createServer } from "node:http";
import { Readable } from "node:stream";
import { type TestContext, describe, test } from "node:test";
import { Agent, interceptors } from "undici";
import { fleetDispatcher, fleetFetch } from "../../src/index.ts";
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

/** A fleet with two equal servers behind the key GW, and a port that nobody listens on. */
async function equalServers(t: TestContext, answer: (free: number) => RequestListener) {
  const fleet = await memoryDirectory({ host: "HOST1" });
  const free = createServer().listen(0, "127.0.0.1");
  await once(free, "listening");
  const closed = portOf(free);
  free.close();
  for (const number of [1, 2]) {
    const server = createServer(answer(closed)).listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    await fleet.add("gateway", `GW.${number}`, { host: "HOST1", port: portOf(server) });
  }
  const agent = new Agent();
  t.after(async () => {
    await agent.close();
    await fleet.close();
  });
  return { fleet, agent, closed };
}

function portOf(server: ReturnType<typeof createServer>): number {
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

describe("a write over real connections", () => {
  for (const status of [303, 307])
    test(`[DSD-19] is carried out once when it is answered with ${status} and the place that it leads to refuses`, async (t) => {
      let executed = 0;
      const { fleet, agent } = await equalServers(t, (closed) => (request, response) => {
        if (request.method === "POST") executed++;
        request.resume().on("end", () => response.writeHead(status, { location: `http://127.0.0.1:${closed}/done` }).end());
      });
      const ask = fleetFetch(fleet);
      await assert.rejects(ask("muster://gateway/GW/pay", { method: "POST", body: "1 EUR" }), {
        code: "fetch/redirect-failed",
        effect: "maybe",
      });
      assert.equal(executed, 1);
      const manual = await ask("muster://gateway/GW/pay", { method: "POST", body: "1 EUR", redirect: "manual" });
      assert.equal(manual.status, status);
      ask.close();
      // An interceptor below ours follows by itself.
      const dispatcher = fleetDispatcher(fleet);
      const client = agent.compose(interceptors.redirect({ maxRedirections: 3 }), dispatcher);
      const posted = client.request({ origin: "muster://gateway/GW", path: "/pay", method: "POST", body: "1 EUR" });
      await assert.rejects(posted, { code: "fetch/unknown", effect: "maybe" });
      assert.equal(executed, 3);
      dispatcher.close();
      assert.deepEqual(fleet.search("states"), []);
    });

  test("a redirect is followed as fetch does it, to its own server and to another", async (t) => {
    const { fleet } = await equalServers(t, () => (request, response) => {
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => {
        if (request.url === "/a") response.writeHead(307, { location: "b/c" }).end("moved");
        else if (request.url === "/b/c") response.writeHead(302, { location: "/d" }).end();
        else response.end(`${request.method} ${request.url} ${body} ${request.headers["content-type"]}`);
      });
    });
    const ask = fleetFetch(fleet);
    const answer = await ask("muster://gateway/GW/a", { method: "POST", body: "x" });
    assert.deepEqual([answer.redirected, new URL(answer.url).pathname, await answer.text()], [true, "/d", "GET /d  undefined"]);
    ask.close();
  });

  test("whose stream fails midway fails with the stream's error, and nothing is stored", async (t) => {
    const stored: string[] = [];
    const { fleet, agent, closed } = await equalServers(t, () => (request, response) => {
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("error", () => {});
      request.on("end", () => {
        stored.push(body);
        response.end("stored");
      });
    });
    async function* source() {
      yield Buffer.from("first half, ");
      // Fails as a server of ours would.
      yield Buffer.from(await (await fetch(`http://127.0.0.1:${closed}/second-half`)).arrayBuffer());
    }
    const failed = (error: unknown) => error instanceof TypeError && String(error.cause).includes(`:${closed}`);
    const ask = fleetFetch(fleet);
    const dispatcher = fleetDispatcher(fleet);
    const client = agent.compose(dispatcher);
    for (const method of ["PUT", "POST"] as const) {
      await assert.rejects(ask("muster://gateway/GW/file", { method, body: ReadableStream.from(source()), duplex: "half" }), failed);
      const sent = client.request({ origin: "muster://gateway/GW", path: "/file", method, body: Readable.from(source()) });
      await assert.rejects(sent, failed);
    }
    assert.deepEqual(stored, []);
    ask.close();
    dispatcher.close();
  });
});
