import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { FleetHandle } from "../fleet/index.ts";
import { MusterError, SeededRandom } from "../kernel/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { type FleetFetch, createFleetFetch } from "./index.ts";
import { MemoryServers, first, networkError, second, silence, twoServers } from "./memory-servers.ts";
import { nextHop, redirectsMax } from "./redirects.ts";

const to = (status: number, location: string) => new Response(null, { status, headers: { location } });

describe("the request after a redirect", () => {
  const hop = (init: RequestInit, status: number, location = "/there") => nextHop({ url: `${first}/a/b`, init }, to(status, location), 0);

  test("is as fetch makes it: method and body are kept, or a GET without them", () => {
    const body = "x";
    for (const [method, status, kept] of [
      ...([301, 302, 303] as const).map((status) => ["POST", status, "GET"] as const),
      ...([307, 308] as const).map((status) => ["POST", status, "POST"] as const),
      ...([301, 302, 307, 308] as const).map((status) => ["PUT", status, "PUT"] as const),
      ["PUT", 303, "GET"] as const,
    ]) {
      const next = hop({ method, body, headers: { "content-type": "text/x", accept: "text/y" } }, status);
      const headers = new Headers(next?.init.headers);
      assert.deepEqual([next?.init.method, next?.init.body], kept === "GET" ? ["GET", undefined] : [kept, body], `${method} ${status}`);
      assert.deepEqual([headers.get("content-type"), headers.get("accept")], [kept === "GET" ? null : "text/x", "text/y"]);
    }
    assert.equal(hop({ method: "HEAD" }, 303)?.init.method, "HEAD");
  });

  test("an address may be relative; secrets stay with their origin", () => {
    const init = { headers: { authorization: "a", cookie: "b", accept: "c" } };
    const here = hop(init, 302, "../c?d=e");
    assert.deepEqual([here?.url, [...new Headers(here?.init.headers).keys()]], [`${first}/c?d=e`, ["accept", "authorization", "cookie"]]);
    const away = hop(init, 302, "//10.0.0.2/c");
    assert.deepEqual([away?.url, [...new Headers(away?.init.headers).keys()]], [`${second}/c`, ["accept"]]);
  });

  test("other answers are the last one; what cannot be followed fails as it does with fetch", () => {
    for (const status of [200, 300, 304, 404]) assert.equal(hop({}, status), undefined);
    assert.equal(nextHop({ url: first, init: {} }, new Response(null, { status: 302 }), 0), undefined);
    assert.throws(() => hop({}, 302, "muster://GW.1/"), TypeError);
    assert.throws(() => hop({}, 302, "http://["), TypeError);
    assert.throws(() => nextHop({ url: first, init: {} }, to(302, "/"), redirectsMax), TypeError);
    assert.throws(() => hop({ method: "POST", body: new ReadableStream() }, 307), TypeError);
    assert.equal(hop({ method: "POST", body: new ReadableStream() }, 303)?.init.method, "GET");
  });
});

describe("fetch by key, sent on by an answer", () => {
  const third = "http://10.0.0.3";
  let fleet: FleetHandle;
  let servers: MemoryServers;
  let clock: ManualClock;
  let fleetFetch: FleetFetch;

  const fails = (answer: Promise<unknown>, code: string, effect: string) =>
    assert.rejects(answer, (error) => error instanceof MusterError && error.code === code && error.effect === effect);
  const settle = async () => {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  };

  beforeEach(async () => {
    fleet = await twoServers();
    servers = new MemoryServers();
    clock = new ManualClock();
    fleetFetch = createFleetFetch(fleet, {}, { clock, random: new SeededRandom(1), fetch: servers.fetch });
    for (const origin of [first, second]) servers.set(origin, () => to(303, `${third}/done`));
  });

  afterEach(async () => {
    fleetFetch.close();
    await fleet.close();
  });

  test("the last answer is the caller's, and says that it was sent on", async () => {
    servers.set(third, ({ method, path, body }) => new Response(`${method} ${path} ${body}`));
    const answer = await fleetFetch("muster://GW/", { method: "POST", body: "x" });
    assert.deepEqual([answer.redirected, await answer.text()], [true, "GET /done "]);
    servers.set(third, () => new Response(null, { status: 204 }));
    assert.equal((await fleetFetch("muster://GW/")).redirected, true);
    assert.equal((await fleetFetch("muster://GW/", { redirect: "manual" })).status, 303);
  });

  test("[DSD-19] a write that was answered is not made again when the place that it was sent on to refuses", async () => {
    for (const status of [303, 307]) {
      for (const origin of [first, second]) servers.set(origin, () => to(status, `${third}/done`));
      const before = servers.count();
      await fails(fleetFetch("muster://GW/", { method: "POST", body: "x" }), "fetch/redirect-failed", "maybe");
      await fails(fleetFetch("muster://GW/", { method: "PUT", body: "x" }), "fetch/redirect-failed", "maybe");
      await fails(fleetFetch("muster://GW/"), "fetch/redirect-failed", "none");
      assert.equal(servers.count() - before, 3);
    }
    clock.advance(20);
    await settle();
    assert.deepEqual(fleet.search("states"), [], "the servers have answered");
  });

  test("[DSD-19] nor when its own server refuses what follows", async () => {
    servers.set(first, ({ method }) => {
      if (method === "POST") servers.remove(first);
      return to(303, "/done");
    });
    await fails(fleetFetch("muster://GW.1/", { method: "POST", body: "x" }), "fetch/redirect-failed", "maybe");
    assert.equal(servers.count(), 1);
  });

  test("[DSD-19] a read that its own server sent on is made again elsewhere when that server fails, or the roll says so", async () => {
    servers.set(first, ({ path }) => (path === "/" ? to(302, "/there/") : Promise.reject(networkError("ECONNRESET", "read"))));
    servers.set(second, () => new Response("second"));
    for (let count = 0; count < 2; count++) assert.equal(await (await fleetFetch("muster://GW/")).text(), "second");
    clock.advance(10_000);
    servers.set(first, ({ path }) => (path === "/" ? to(302, "/there/") : silence()));
    const answers = [1, 2].map(async () => (await fleetFetch("muster://GW/")).text());
    await settle();
    await fleet.add("gateway", "GW.1", { host: "HOST1", port: 80 }, { valid: false });
    assert.deepEqual(await Promise.all(answers), ["second", "second"]);
  });

  test("the deadline and the caller end what was sent on, the roll does not", async () => {
    servers.set(third, silence);
    const late = fails(fleetFetch("muster://GW.1/", { method: "POST", body: "x", muster: { deadlineMs: 300 } }), "fetch/deadline", "maybe");
    const controller = new AbortController();
    const reason = new Error("not wanted");
    const aborted = assert.rejects(fleetFetch("muster://GW.1/", { signal: controller.signal }), reason);
    await settle();
    await fleet.add("gateway", "GW.1", { host: "HOST1", port: 80 }, { valid: false });
    await settle();
    assert.equal(servers.count(third), 2);
    controller.abort(reason);
    clock.advance(300);
    await Promise.all([late, aborted]);
    assert.equal(clock.timers, 0);
  });

  test("what checks the last answer's integrity follows by itself, and a refusal then proves nothing", async () => {
    const modes: unknown[] = [];
    const following = createFleetFetch(
      fleet,
      {},
      {
        clock,
        random: new SeededRandom(1),
        fetch: async (_input, init) => {
          modes.push(init?.redirect);
          throw networkError("ECONNREFUSED", "connect", new URL(first));
        },
      },
    );
    const answer = following("muster://GW.1/", { method: "POST", body: "x", integrity: "sha256-x" });
    await fails(answer, "fetch/unknown", "maybe");
    assert.deepEqual(modes, [undefined]);
    following.close();
  });
});
