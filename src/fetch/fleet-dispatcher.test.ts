import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { FleetHandle } from "../fleet/index.ts";
import { MusterError, SeededRandom, errorOf } from "../kernel/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { type Dispatch, type FleetInterceptor, fleetInterceptor } from "./index.ts";
import { MemoryServers, first, networkError, second, silence, twoServers } from "./memory-servers.ts";
import type { DispatchController, DispatchHandler, DispatchOptions } from "./undici.ts";

/** What a request's handler was told. */
class Told implements DispatchHandler {
  readonly events: string[] = [];
  text = "";
  error: unknown;
  controller: DispatchController | undefined;
  readonly ended: Promise<void>;
  #end: () => void = () => {};

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  onRequestStart(controller: DispatchController): void {
    this.events.push("start");
    this.controller = controller;
  }

  onResponseStart(controller: DispatchController, status: number): void {
    assert.equal(controller, this.controller);
    this.events.push(`head ${status}`);
  }

  onResponseData(_controller: DispatchController, chunk: Uint8Array): void {
    this.text += Buffer.from(chunk).toString();
  }

  onResponseEnd(): void {
    this.events.push("end");
    this.#end();
  }

  onResponseError(_controller: DispatchController, error: unknown): void {
    this.events.push("error");
    this.error = error;
    this.#end();
  }
}

/** undici's part, on servers in memory. */
function dispatchTo(servers: MemoryServers): Dispatch {
  return (options, handler) => {
    void send(servers, options, handler);
    return true;
  };
}

async function send(servers: MemoryServers, { origin, path, method, body }: DispatchOptions, handler: DispatchHandler): Promise<void> {
  const aborting = new AbortController();
  const controller: DispatchController = {
    aborted: false,
    paused: false,
    reason: null,
    abort: (reason) => aborting.abort(reason),
    pause: () => {},
    resume: () => {},
  };
  try {
    handler.onRequestStart?.(controller, {});
    const sent = isStream(body) ? await collect(body) : body;
    const response = await servers.fetch(`${String(origin)}${path}`, {
      method,
      signal: aborting.signal,
      ...(typeof sent === "string" ? { body: sent } : {}),
    });
    handler.onResponseStart?.(controller, response.status, Object.fromEntries(response.headers));
    handler.onResponseData?.(controller, Buffer.from(await response.arrayBuffer()));
    aborting.signal.throwIfAborted();
    handler.onResponseEnd?.(controller, {});
  } catch (thrown) {
    handler.onResponseError?.(controller, thrown instanceof TypeError ? thrown.cause : thrown);
  }
}

async function collect(body: AsyncIterable<unknown>): Promise<string> {
  const chunks: string[] = [];
  for await (const chunk of body) chunks.push(String(chunk));
  return chunks.join("");
}

function isStream(body: unknown): body is AsyncIterable<unknown> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}

describe("an interceptor for undici", () => {
  let fleet: FleetHandle;
  let servers: MemoryServers;
  let clock: ManualClock;
  let interceptor: FleetInterceptor;
  let dispatch: Dispatch;

  async function ask(options: Partial<DispatchOptions> & { readonly muster?: object } = {}): Promise<Told> {
    const told = new Told();
    const request = { origin: "muster://gateway/GW", path: "/x", method: "GET", ...options };
    assert.equal(dispatch(request, told), true);
    await told.ended;
    return told;
  }

  async function settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  beforeEach(async () => {
    fleet = await twoServers();
    servers = new MemoryServers();
    clock = new ManualClock();
    interceptor = fleetInterceptor(fleet, {}, { clock, random: new SeededRandom(1) });
    dispatch = interceptor(dispatchTo(servers));
    servers.set(first, () => new Response("first"));
    servers.set(second, () => new Response("second"));
  });

  afterEach(async () => {
    interceptor.close();
    await fleet.close();
  });

  test("an origin names a key, its handler sees one request; other origins pass through", async () => {
    const told = await ask({ origin: "muster://gateway/GW.1", path: "/a?b=c" });
    assert.deepEqual([told.events, told.text], [["start", "head 200", "end"], "first"]);
    await ask({ origin: new URL("muster://GW.2") });
    servers.set("http://example.test", () => new Response("elsewhere"));
    assert.equal((await ask({ origin: "http://example.test" })).text, "elsewhere");
    assert.deepEqual(
      servers.arrivals.map(({ origin, path }) => `${origin}${path}`),
      [`${first}/a?b=c`, `${second}/x`, "http://example.test/x"],
    );
  });

  test("a request's trace goes out with its headers, at each attempt", async () => {
    const sent: unknown[] = [];
    dispatch = interceptor((options: DispatchOptions & { readonly headers?: unknown }, handler) => {
      sent.push(options.headers);
      return dispatchTo(servers)(options, handler);
    });
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    servers.remove(first);
    for (let count = 0; count < 2; count++) assert.equal((await ask({ muster: { traceparent } })).text, "second");
    assert.ok(sent.length === 3, `${sent.length} attempts`);
    await ask();
    assert.deepEqual(sent, [{ traceparent }, { traceparent }, { traceparent }, undefined]);
  });

  test("[DSD-19] a refused or broken connection moves what may run twice, and the handler hears nothing of it", async () => {
    servers.remove(first);
    for (let count = 0; count < 4; count++) assert.deepEqual((await ask()).events, ["start", "head 200", "end"]);
    clock.advance(20_000);
    servers.set(first, () => Promise.reject(networkError("ECONNRESET", "read")));
    for (let count = 0; count < 4; count++) assert.equal((await ask()).text, "second");
  });

  test("[DSD-19] a write that may have started ends with fetch/unknown and is not sent again", async () => {
    for (const origin of [first, second]) servers.set(origin, () => Promise.reject(networkError("UND_ERR_SOCKET", "")));
    const told = await ask({ method: "POST", body: "once" });
    assert.ok(told.error instanceof MusterError && told.error.code === "fetch/unknown" && told.error.effect === "maybe");
    assert.equal(servers.count(), 1);
  });

  test("[DSD-19] a pushed failure moves a request whose answer is awaited", async () => {
    servers.set(first, silence);
    const told = ask({ origin: "muster://gateway/GW.1" });
    await settle();
    await fleet.add("gateway", "GW.1", { host: "HOST2", port: 80 });
    assert.equal((await told).text, "second");
  });

  test("Retry-After moves a request, and the answer that is not wanted is not handed on", async () => {
    servers.set(first, () => new Response("busy", { status: 503, headers: { "retry-after": "60" } }));
    for (let count = 0; count < 4; count++) assert.deepEqual([(await ask()).events.length, servers.count(first)], [3, 1]);
    assert.deepEqual((await ask({ origin: "muster://GW.1", muster: { deadlineMs: 1000 } })).events, ["start", "head 503", "end"]);
  });

  test("a stream is read by the attempt that is connected", async () => {
    servers.remove(first);
    async function* body() {
      yield "one ";
      yield "two";
    }
    for (let count = 0; count < 2; count++) assert.equal((await ask({ method: "PUT", body: Readable.from(body()) })).text, "second");
    assert.equal(servers.arrivals.at(-1)?.body, "one two");
  });

  test("a stream that fails ends the request with its own error, and no part of it is sent as the whole", async () => {
    const error = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED", syscall: "connect" });
    async function* body() {
      yield "half";
      throw error;
    }
    for (const method of ["PUT", "POST"]) assert.equal((await ask({ method, body: Readable.from(body()) })).error, error);
    assert.equal(servers.count(), 0);
  });

  test("[DSD-19] what an interceptor below has sent twice is not unsent because the second one was refused", async () => {
    const inner = dispatchTo(servers);
    const again: Dispatch = (options, handler) => {
      const onResponseEnd = () => {
        servers.remove(first);
        inner(options, handler);
      };
      return inner(options, { ...handler, onResponseStart: () => {}, onResponseData: () => {}, onResponseEnd });
    };
    dispatch = interceptor(again);
    const told = await ask({ origin: "muster://GW.1", method: "POST", body: "once" });
    assert.ok(told.error instanceof MusterError && told.error.code === "fetch/unknown" && told.error.effect === "maybe");
    assert.equal(servers.count(), 1);
  });

  test("the handler may abort at any time, also while there is no server", async () => {
    const reason = new Error("not wanted");
    servers.set(first, silence);
    await fleet.add("gateway", "GW.2", { host: "HOST2", port: 80 }, { valid: false });
    for (const waits of [0, 1]) {
      if (waits === 1) await fleet.add("gateway", "GW.1", { host: "HOST1", port: 80 }, { valid: false });
      const told = new Told();
      dispatch({ origin: "muster://gateway/GW", path: "/", method: "GET" }, told);
      await settle();
      told.controller?.abort(reason);
      await told.ended;
      assert.deepEqual([told.events, told.error], [["start", "error"], reason]);
      assert.equal(told.controller?.aborted, true);
    }
    assert.equal(clock.timers, 0);
  });

  test("what cannot be asked for is told to the handler", async () => {
    for (const [origin, code] of [
      ["muster://gateway", "fetch/no-server"],
      ["muster://nobody", "fetch/unknown-key"],
      ["muster://gateway:1/GW.1", "fetch/bad-url"],
    ] as const) {
      const { error } = await ask({ origin });
      assert.equal(error instanceof MusterError ? error.code : errorOf(error).message, code);
    }
  });
});
