import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { FleetHandle } from "../fleet/index.ts";
import { type JsonValue, MusterError, SeededRandom } from "../kernel/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { type FetchOptions, type FleetFetch, createFleetFetch } from "./index.ts";
import { MemoryServers, first, networkError, second, silence, twoServers } from "./memory-servers.ts";

describe("fetch by key", () => {
  let fleet: FleetHandle;
  let servers: MemoryServers;
  let clock: ManualClock;
  let fleetFetch: FleetFetch;

  const client = (options: FetchOptions = {}) =>
    createFleetFetch(fleet, options, { clock, random: new SeededRandom(1), fetch: servers.fetch });
  const textOf = async (answer: Promise<Response>) => (await answer).text();
  const fails = (answer: Promise<unknown>, code: string, effect: string) =>
    assert.rejects(answer, (error) => error instanceof MusterError && error.code === code && error.effect === effect);
  const state = (key: string, name: string): JsonValue => ({ state: name, reason: key, by: "test", sinceUnixMs: 0 });

  /** Lets everything happen that needs no time. */
  async function settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Lets time pass until the promise has settled. */
  async function passing<T>(promise: Promise<T>): Promise<T> {
    let open = true;
    const close = () => {
      open = false;
    };
    promise.then(close, close);
    for (await settle(); open; await settle()) clock.advance(5);
    return promise;
  }

  beforeEach(async () => {
    fleet = await twoServers();
    servers = new MemoryServers();
    clock = new ManualClock();
    fleetFetch = client();
    servers.set(first, () => new Response("first"));
    servers.set(second, () => new Response("second"));
  });

  afterEach(async () => {
    fleetFetch.close();
    await fleet.close();
  });

  test("a key is found on the roll, path and query arrive as they were written", async () => {
    assert.equal(await textOf(fleetFetch("muster://gateway/GW.1/a/b%20c?d=e%2Ff#g")), "first");
    assert.equal(await textOf(fleetFetch(new URL("muster://DSD_MTID_GATEWAY/GW.2"))), "second");
    assert.equal(await textOf(fleetFetch("muster://GW.2/x", { method: "POST", body: "text" })), "second");
    assert.deepEqual(servers.arrivals, [
      { origin: first, method: "GET", path: "/a/b%20c?d=e%2Ff", body: "" },
      { origin: second, method: "GET", path: "/", body: "" },
      { origin: second, method: "POST", path: "/x", body: "text" },
    ]);
  });

  test("a service is asked at each of its servers in turn, and a request object is as good as a URL", async () => {
    const answers = await Promise.all([1, 2, 3, 4].map(() => textOf(fleetFetch(new Request("muster://gateway/GW/")))));
    assert.deepEqual(answers.toSorted(), ["first", "first", "second", "second"]);
    const request = new Request("muster://GW.1/", { method: "PUT", body: "whole", headers: { "x-a": "b" } });
    await fleetFetch(request);
    assert.deepEqual(servers.arrivals.at(-1), { origin: first, method: "PUT", path: "/", body: "whole" });
  });

  test("other URLs pass through", async () => {
    servers.set("http://example.test", () => new Response("elsewhere"));
    assert.equal(await textOf(fleetFetch("http://example.test/x")), "elsewhere");
  });

  test("addresses that name nobody, or two, are refused at once", async () => {
    await fleet.addTable("other");
    await fleet.add("other", "GW.1", { host: "HOST1", port: 81 });
    await fails(fleetFetch("muster://GW.1/"), "fetch/ambiguous-key", "none");
    await fails(fleetFetch("muster://GW.9/"), "fetch/unknown-key", "none");
    await fails(fleetFetch("muster://gateway"), "fetch/bad-url", "none");
    await fails(fleetFetch("muster://gateway/GW.9/"), "fetch/no-server", "none");
    await fails(fleetFetch("muster://gateway:80/GW.1/"), "fetch/bad-url", "none");
    await fails(fleetFetch("muster://gateway/%zz/"), "fetch/bad-url", "none");
    assert.equal(servers.count(), 0);
  });

  test("[DSD-19] a refused connection goes to another server at once, is avoided by this caller, and its owner is told", async () => {
    servers.remove(first);
    for (let count = 0; count < 10; count++) assert.equal(await textOf(fleetFetch("muster://GW/")), "second");
    clock.advance(20);
    await settle();
    const doubt = fleet.get("states", "gateway/GW.1")?.value;
    assert.match(JSON.stringify(doubt), /"state":"doubted".*10\.0\.0\.1:80 cannot be reached.*ECONNREFUSED/);
    assert.equal(fleet.get("gateway", "GW.1")?.valid, true);
    // Its time is over: it is tried again.
    servers.set(first, () => new Response("first"));
    clock.advance(1001);
    assert.deepEqual((await Promise.all([1, 2].map(() => textOf(fleetFetch("muster://GW/"))))).toSorted(), ["first", "second"]);
  });

  test("[DSD-19] a refused connection has sent nothing, so that a POST goes to another server too", async () => {
    servers.remove(first);
    for (let count = 0; count < 4; count++)
      assert.equal(await textOf(fleetFetch("muster://GW/", { method: "POST", body: "once" })), "second");
    assert.equal(servers.count(), 4);
  });

  test("[DSD-19] a POST whose connection ends is never sent again: unknown, effect maybe", async () => {
    const broken = () => Promise.reject(networkError("ECONNRESET", "read"));
    servers.set(first, broken);
    servers.set(second, broken);
    await fails(fleetFetch("muster://GW/", { method: "POST", body: "once" }), "fetch/unknown", "maybe");
    assert.equal(servers.count(), 1);
    await fails(fleetFetch("muster://GW/", { method: "PUT", body: "once", muster: { repeatable: false } }), "fetch/unknown", "maybe");
    assert.equal(servers.count(), 2);
  });

  test("[DSD-19] what may run twice is sent again when its connection ends: safe methods, PUT, and what the caller marks", async () => {
    servers.set(first, () => Promise.reject(networkError("UND_ERR_SOCKET", "")));
    for (const init of [{ method: "GET" }, { method: "PUT", body: "x" }, { method: "POST", body: "x", muster: { repeatable: true } }]) {
      clock.advance(10_000);
      for (let count = 0; count < 2; count++) assert.equal(await textOf(fleetFetch("muster://GW/", init)), "second");
    }
  });

  test("[DSD-19] an attempt whose server is pushed invalid moves at once; a POST there is unknown", async () => {
    servers.set(first, silence);
    const read = fleetFetch("muster://GW.1/", { muster: { find: { policy: "primary-first" } } });
    const reads = [1, 2].map(() => textOf(fleetFetch("muster://GW/")));
    const write = fleetFetch("muster://GW.1/", { method: "POST", body: "x" });
    await settle();
    assert.equal(servers.count(first), 3);
    const unknown = fails(write, "fetch/unknown", "maybe");
    await fleet.add("gateway", "GW.1", { host: "HOST1", port: 80 }, { valid: false });
    assert.deepEqual(await Promise.all(reads), ["second", "second"]);
    await unknown;
    // The one that may go nowhere else waits for the roll.
    await fleet.add("gateway", "GW.1", { host: "HOST2", port: 80 });
    assert.equal(await textOf(read), "second");
    assert.equal(servers.count(), 3 + 1 + 1 + 1);
  });

  test("[DSD-17] an attempt over a route that is pushed invalid moves to the next route of the same host", async () => {
    await fleet.add("host-route", "HOST1.1", "10.1.0.1");
    servers.set(first, silence);
    servers.set("http://10.1.0.1", () => new Response("other route"));
    const answer = textOf(fleetFetch("muster://GW.1/"));
    await settle();
    await fleet.add("host-route", "HOST1.0", "10.0.0.1", { valid: false });
    assert.equal(await answer, "other route");
  });

  test("a server that is suspected gives up what may run twice when there is another, and keeps the rest", async () => {
    servers.set(first, silence);
    const reads = [1, 2].map(() => textOf(fleetFetch("muster://GW/")));
    const write = fleetFetch("muster://GW.1/", { method: "POST", body: "x", muster: { deadlineMs: 500 } });
    await settle();
    await fleet.add("states", "gateway/GW.1", state("GW.1", "suspect"));
    assert.deepEqual(await Promise.all(reads), ["second", "second"]);
    await fails(passing(write), "fetch/deadline", "maybe");
  });

  test("Retry-After: another server at once when there is one; else the same after the time, within the deadline", async () => {
    const busy = () => new Response("busy", { status: 503, headers: { "retry-after": "2" } });
    servers.set(first, busy);
    for (let count = 0; count < 4; count++) assert.equal(await textOf(fleetFetch("muster://GW/")), "second");
    assert.equal(servers.count(first), 1, "it is left alone as long as it has asked for");
    clock.advance(2001);
    let asked = 0;
    servers.set(first, () => (asked++ === 0 ? busy() : new Response("ready")));
    const startMonoMs = clock.monoMs();
    assert.equal(await passing(textOf(fleetFetch("muster://GW.1/"))), "ready");
    assert.ok(clock.monoMs() - startMonoMs >= 2000 && clock.monoMs() - startMonoMs < 2100, `${clock.monoMs() - startMonoMs}`);
  });

  test("Retry-After: the answer is the caller's when the time is beyond the deadline, or the request may not run twice", async () => {
    servers.set(first, () => new Response("busy", { status: 429, headers: { "retry-after": "20" } }));
    assert.equal((await fleetFetch("muster://GW.1/")).status, 429);
    servers.set(first, () => new Response("busy", { status: 503, headers: { "retry-after": "0" } }));
    assert.equal((await fleetFetch("muster://GW.1/", { method: "POST", body: "x" })).status, 503);
    servers.set(first, () => new Response("busy", { status: 503 }));
    assert.equal((await fleetFetch("muster://GW.1/")).status, 503);
    assert.equal(servers.count(), 3);
  });

  test("Retry-After: what has asked for time is not sure to have done nothing, and other answers of it do not end its pause", async () => {
    const busy = () => new Response("busy", { status: 503, headers: { "retry-after": "1" } });
    const busyOnce = () => {
      servers.set(first, () => {
        servers.remove(first);
        return busy();
      });
    };
    busyOnce();
    await fails(passing(fleetFetch("muster://GW.1/", { method: "PUT", body: "x" })), "fetch/given-up", "maybe");
    busyOnce();
    await fails(passing(fleetFetch("muster://GW.1/")), "fetch/given-up", "none");
    clock.advance(60_000);
    servers.set(first, () => new Response("busy", { status: 503, headers: { "retry-after": "60" } }));
    assert.equal((await fleetFetch("muster://GW.1/", { method: "POST", body: "x" })).status, 503);
    const before = servers.count(first);
    for (let count = 0; count < 4; count++) assert.equal(await textOf(fleetFetch("muster://GW/")), "second");
    assert.equal(servers.count(first), before, "it has asked for a minute");
  });

  test("a lookup that fails between two attempts does not hide that the first may have had an effect", async () => {
    const breaks: ((error: Error) => void)[] = [];
    servers.set(first, () => new Promise((_resolve, reject) => breaks.push(reject)));
    await fleet.addTable("other");
    await fleet.add("other", "GW.7", { host: "HOST1", port: 80 });
    const put = fails(fleetFetch("muster://other/GW.7/", { method: "PUT", body: "x" }), "tables/unknown-table", "maybe");
    const get = fails(fleetFetch("muster://other/GW.7/"), "tables/unknown-table", "none");
    await settle();
    await fleet.delete("other", "GW.7", { force: true });
    await fleet.removeTable("other");
    for (const end of breaks) end(networkError("ECONNRESET", "read"));
    await passing(Promise.all([put, get]));
  });

  test("one deadline over all attempts, and the caller's signal at any time", async () => {
    servers.set(first, silence);
    const startMonoMs = clock.monoMs();
    await fails(passing(fleetFetch("muster://GW.1/", { muster: { deadlineMs: 300 } })), "fetch/deadline", "none");
    assert.ok(clock.monoMs() - startMonoMs <= 305);
    const controller = new AbortController();
    const aborted = fleetFetch("muster://GW.1/", { signal: controller.signal });
    await settle();
    const reason = new Error("not wanted");
    controller.abort(reason);
    await assert.rejects(aborted, reason);
    await assert.rejects(fleetFetch("muster://GW.1/", { signal: controller.signal }), reason);
    assert.equal(clock.timers, 0);
  });

  test("without a valid server it waits for one, and says so when none comes", async () => {
    await fleet.add("gateway", "GW.1", { host: "HOST1", port: 80 }, { valid: false });
    const answer = textOf(fleetFetch("muster://GW.1/"));
    await settle();
    assert.equal(servers.count(), 0);
    await fleet.add("gateway", "GW.1", { host: "HOST1", port: 80 });
    assert.equal(await answer, "first");
    await fleet.add("gateway", "GW.1", { host: "HOST1", port: 80 }, { valid: false });
    await fails(passing(fleetFetch("muster://GW.1/")), "fetch/no-server", "none");
  });

  test("attempts end: a lone server that refuses is tried again with pauses, and not for ever", async () => {
    servers.remove(first);
    await fails(passing(fleetFetch("muster://GW.1/", { method: "POST", body: "x" })), "fetch/given-up", "none");
    const startMonoMs = clock.monoMs();
    const answer = textOf(fleetFetch("muster://GW.1/"));
    await settle();
    servers.set(first, () => new Response("back"));
    assert.equal(await passing(answer), "back");
    assert.ok(clock.monoMs() - startMonoMs < 100);
  });

  test("a storm of broken connections spends one budget, and what is over fails with what it met", async () => {
    const broken = () => Promise.reject(networkError("ECONNRESET", "read"));
    servers.set(first, broken);
    servers.set(second, broken);
    const ends = await passing(Promise.allSettled(Array.from({ length: 200 }, () => fleetFetch("muster://GW/"))));
    const codes = ends.map((end) => (end.status === "rejected" && end.reason instanceof MusterError ? end.reason.code : "answered"));
    assert.ok(codes.includes("fetch/budget-spent"));
    assert.ok(servers.count() <= 2 * 200 + 100, `${servers.count()} attempts`);
  });

  test("a stream that was partly read is not sent again, one that nobody has touched is", async () => {
    const streamed = () =>
      new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(Buffer.from("part"));
          controller.close();
        },
      });
    servers.set(first, () => Promise.reject(networkError("ECONNRESET", "read")));
    servers.set(second, () => Promise.reject(networkError("ECONNRESET", "read")));
    await fails(fleetFetch("muster://GW/", { method: "PUT", body: streamed(), duplex: "half" }), "fetch/body-used", "maybe");
    assert.equal(servers.count(), 1);
    servers.remove(first);
    servers.set(second, () => new Response("second"));
    clock.advance(60_000);
    for (let count = 0; count < 2; count++)
      assert.equal(await textOf(fleetFetch("muster://GW/", { method: "PUT", body: streamed(), duplex: "half" })), "second");
    assert.deepEqual(servers.arrivals.at(-1), { origin: second, method: "PUT", path: "/", body: "part" });
  });

  test("an answer is streamed through as it comes, and ends early when its host is gone", async () => {
    let push: (text: string) => void = () => {};
    servers.set(
      first,
      () =>
        new Response(
          new ReadableStream({
            start(controller) {
              push = (text) => controller.enqueue(Buffer.from(text));
            },
          }),
          { headers: { "x-a": "b" } },
        ),
    );
    fleetFetch = createFleetFetch(
      fleet,
      {},
      {
        clock,
        random: new SeededRandom(1),
        fetch: async (input, init) => {
          const response = await servers.fetch(input, init);
          const { signal } = init ?? {};
          const aborted = new Promise<never>((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
          const reader = response.body?.getReader();
          const body = new ReadableStream({
            pull: async (controller) => controller.enqueue((await Promise.race([reader?.read(), aborted]))?.value),
          });
          return new Response(body, response);
        },
      },
    );
    const answer = await fleetFetch("muster://GW.1/");
    assert.equal(answer.headers.get("x-a"), "b");
    const reader = answer.body?.getReader();
    push("one");
    assert.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), "one");
    const next = reader?.read();
    await fleet.add("hosts", "HOST1", {}, { valid: false });
    await assert.rejects(next ?? Promise.resolve(), (error) => error instanceof MusterError && error.code === "fetch/answer-cut");
  });

  test("requests at once have a limit, counted until their answer is complete", async () => {
    fleetFetch = client({ inFlightMax: 2 });
    const answers = [await fleetFetch("muster://GW.1/"), await fleetFetch("muster://GW.2/")];
    await fails(fleetFetch("muster://GW.1/"), "fetch/too-many", "none");
    for (const answer of answers) await answer.text();
    assert.equal(await textOf(fleetFetch("muster://GW.1/")), "first");
    await (await fleetFetch("muster://GW.1/")).body?.cancel();
    await fleetFetch("muster://GW.1/");
  });

  test("a closed client refuses new requests", async () => {
    fleetFetch.close();
    await fails(fleetFetch("muster://GW.1/"), "fetch/closed", "none");
    assert.throws(() => client({ deadlineMs: 0 }), /deadlineMs is 0/);
  });
});
