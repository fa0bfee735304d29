import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { DoorFleet, type FleetHandle } from "../fleet/index.ts";
import { formatRevision, silentTelemetry } from "../kernel/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { memoryDirectory } from "../testing/memory-directory.ts";
import { type HttpApp, type HttpAppOptions, httpApp } from "./http-app.ts";
import { openApi } from "./openapi.ts";
import { PrometheusMeter } from "./prometheus-meter.ts";
import { httpRoutes } from "./routes.ts";

type Json = ReturnType<typeof JSON.parse>;

describe("the HTTP door", () => {
  let fleet: FleetHandle;
  let app: HttpApp;
  let clock: ManualClock;
  let meter: PrometheusMeter;

  function open(options: Partial<HttpAppOptions> = {}): HttpApp {
    meter = new PrometheusMeter();
    const counting = {
      log: silentTelemetry.log,
      count: (...args: Parameters<PrometheusMeter["count"]>) => meter.count(...args),
      gauge: (...args: Parameters<PrometheusMeter["gauge"]>) => meter.gauge(...args),
      observe: (...args: Parameters<PrometheusMeter["observe"]>) => meter.observe(...args),
    };
    clock = new ManualClock();
    const telemetry = counting;
    return httpApp({
      fleet: new DoorFleet(fleet),
      telemetry,
      clock,
      metrics: () => meter.render(),
      version: "1.2.3",
      loopbackOnly: true,
      ...options,
    });
  }

  const request = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    app.fetch(
      new Request(`http://127.0.0.1:7551${path}`, {
        method,
        headers,
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      }),
    );
  const get = (path: string, headers: Record<string, string> = {}) => request("GET", path, undefined, headers);

  async function json(answer: Promise<Response>, status = 200): Promise<Json> {
    const response = await answer;
    const body: Json = await response.json();
    assert.equal(response.status, status, JSON.stringify(body));
    if (status >= 400)
      assert.deepEqual(
        [typeof body.code, typeof body.message, typeof body.effect, typeof body.next],
        ["string", "string", "string", "string"],
      );
    return body;
  }

  before(async () => {
    fleet = await memoryDirectory({ host: "HOST1", routes: ["10.0.0.1"] });
    await fleet.addTable("notes", { symbol: "NOTES" });
    await fleet.add("metadata", "MDS.1.1", { host: "HOST1", port: 1872, data: { zone: "a" } });
    await fleet.add("metadata-partition", "1", "MDS.1");
  });

  beforeEach(() => {
    app = open();
  });

  after(() => fleet.close());

  test("tables, entries, find and partitions answer as the library and the CLI do", async () => {
    const tables = await json(get("/v1/tables"));
    assert.ok(tables.some((table: Json) => table.name === "metadata" && table.symbol === "DSD_MTID_METADATA"));
    const [entry] = await json(get("/v1/tables/metadata/entries?prefix=MDS.1.&where=zone=a"));
    assert.deepEqual(entry, await fleet.query("get", { table: "metadata", key: "MDS.1.1" }));
    assert.deepEqual(await json(get("/v1/tables/metadata/entries?where=zone=b")), []);
    const route = await json(get("/v1/find/metadata/MDS.1"));
    assert.equal(`${route.instance} ${route.address}:${route.port}`, "MDS.1.1 10.0.0.1:1872");
    assert.deepEqual(
      (await json(get("/v1/find/DSD_MTID_METADATA/MDS?all=true&policy=rendezvous"))).map((found: Json) => found.instance),
      ["MDS.1.1"],
    );
    assert.equal((await json(get("/v1/partition/metadata-partition/4"))).instance, "MDS.1.1");
    await json(get("/v1/find/metadata/MDS.9"), 404);
    await json(get("/v1/partition/metadata-partition/0"), 404);
    assert.equal((await json(get("/v1/tables/nowhere/entries"), 404)).code, "tables/unknown-table");
    assert.equal((await json(get("/v1/find/metadata/MDS?policy=nearest"), 400)).code, "fleet/bad-query");
  });

  test("PUT adds and changes, GET reads it back with its revision, DELETE takes it away", async () => {
    const added = await request("PUT", "/v1/tables/notes/entries/N.1", { value: { a: 1 } });
    assert.equal(added.status, 201);
    const { revision }: Json = await added.json();
    const read = await get("/v1/tables/notes/entries/N.1");
    assert.equal(read.headers.get("etag"), `"${revision}"`);
    assert.deepEqual(await read.json(), { table: "notes", key: "N.1", value: { a: 1 }, valid: true, revision, owner: null });
    await json(request("PUT", "/v1/tables/NOTES/entries/N.1", { value: 2, valid: false }));
    assert.equal(fleet.get("notes", "N.1")?.valid, false);
    assert.equal((await json(request("DELETE", "/v1/tables/notes/entries/N.1"))).key, "N.1");
    await json(get("/v1/tables/notes/entries/N.1"), 404);
    assert.equal((await json(request("DELETE", "/v1/tables/notes/entries/N.1"), 404)).code, "roll/no-such-entry");
  });

  test("keys may hold slashes, percent signs and anything else that is printable", async () => {
    for (const [path, name] of [
      ["a/b", "a/b"],
      ["a%2Fb%2F", "a/b/"],
      ["100%25", "100%"],
      ["%252F", "%2F"],
      ["gr%C3%BC%C3%9F%20dich", "grüß dich"],
      ["x/heartbeat", "x/heartbeat"],
    ]) {
      await json(request("PUT", `/v1/tables/notes/entries/${path}`, { value: name }), 201);
      assert.equal((await json(get(`/v1/tables/notes/entries/${path}`))).key, name);
      assert.equal(fleet.get("notes", name ?? "")?.value, name);
      await json(request("DELETE", `/v1/tables/notes/entries/${path}`));
    }
    await json(get("/v1/tables/notes/entries/%E4%F6"), 400);
    assert.equal((await json(request("PUT", "/v1/tables/notes/entries/a%07b", { value: 1 }), 400)).code, "tables/bad-key");
  });

  test("If-Match and If-None-Match are conditions of the change", async () => {
    const path = "/v1/tables/notes/entries/C";
    const first = await json(request("PUT", path, { value: 1 }, { "if-none-match": "*" }), 201);
    assert.equal((await json(request("PUT", path, { value: 2 }, { "if-none-match": "*" }), 409)).code, "roll/condition-failed");
    await json(request("PUT", path, { value: 2 }, { "if-match": `"${first.revision}"` }));
    await json(request("PUT", path, { value: 3 }, { "if-match": first.revision }), 409);
    await json(request("DELETE", path, undefined, { "if-match": first.revision }), 409);
    await json(request("PUT", path, { value: 3 }, { "if-match": "yesterday" }), 400);
    assert.equal(fleet.get("notes", "C")?.value, 2);
  });

  test("a change of several operations takes effect together or not at all", async () => {
    const operations = [
      { op: "add", table: "notes", key: "T.1", value: 1 },
      { op: "add", table: "notes", key: "T.2", value: 2, valid: false },
      { op: "set-valid", table: "notes", key: "T.2", valid: true },
    ];
    const { revision } = await json(request("POST", "/v1/change", { operations }));
    for (const key of ["T.1", "T.2"])
      assert.equal(formatRevision(fleet.get("notes", key)?.revision ?? { epoch: 0, sequence: 0 }), revision);
    const refused = {
      operations: [
        { op: "delete", table: "notes", key: "T.1" },
        { op: "delete", table: "notes", key: "NONE" },
      ],
    };
    await json(request("POST", "/v1/change", refused), 404);
    assert.notEqual(fleet.get("notes", "T.1"), undefined);
    const conditional = {
      operations: [{ op: "delete", table: "notes", key: "T.1" }],
      ifRevision: [{ table: "notes", key: "T.9", revision: "1.1" }],
    };
    await json(request("POST", "/v1/change", conditional), 409);
    assert.equal((await json(request("POST", "/v1/change", { operations, coherent: true }), 409)).code, "fleet/no-leased-table");
  });

  test("a heartbeat binds the entry, adds it when it brings a value, and is refused for what is not there", async () => {
    assert.equal(
      (await json(request("POST", "/v1/tables/gateway/entries/GW.1/heartbeat", { maxPeriodMs: 3000 }), 404)).code,
      "roll/no-such-entry",
    );
    await json(request("POST", "/v1/tables/gateway/entries/GW.1/heartbeat", { maxPeriodMs: 3000, value: { host: "HOST1", port: 80 } }));
    const entry = fleet.get("gateway", "GW.1");
    assert.deepEqual([entry?.valid, entry?.owner === null], [true, false]);
    await json(request("POST", "/v1/tables/gateway/entries/GW.1/heartbeat", { maxPeriodMs: 3000, onExpiry: { action: "delete" } }));
    await json(request("POST", "/v1/tables/gateway/entries/GW.1/heartbeat", { maxPeriodMs: 1 }), 400);
    await json(request("POST", "/v1/tables/gateway/entries/GW.1/heartbeat", { maxPeriodMs: 300, onExpiry: { action: "reboot" } }), 400);
    await json(request("POST", "/v1/tables/gateway/entries/GW.1/heartbeat", {}), 400);
    await json(request("DELETE", "/v1/tables/gateway/entries/GW.1?force=true"));
    assert.equal(fleet.get("gateway", "GW.1"), undefined);
  });

  test("health, readiness and metrics", async () => {
    assert.equal((await json(get("/healthz"))).status, "ok");
    assert.equal((await json(get("/readyz"))).status, "ready");
    const { clock: stopped } = { clock };
    app = httpApp({
      fleet: Object.assign(Object.create(new DoorFleet(fleet)), {
        readiness: () => ({ ready: false, reason: "the replica is not loaded yet" }),
      }),
      telemetry: silentTelemetry,
      clock: stopped,
      metrics: () => meter.render(),
      version: "1.2.3",
      loopbackOnly: true,
    });
    const refused = await json(get("/readyz"), 503);
    assert.deepEqual([refused.code, refused.message], ["doors/not-ready", "the replica is not loaded yet"]);
    app = open();
    await json(get("/v1/tables"));
    const metrics = await get("/metrics");
    assert.match(metrics.headers.get("content-type") ?? "", /^text\/plain/);
    const text = await metrics.text();
    assert.match(text, /muster_http_requests_total\{method="get",route="\/v1\/tables",status="200"\} 1/);
    assert.match(text, /muster_http_request_ms_bucket\{le="[0-9.]+",route="\/v1\/tables"\} 1/);
    assert.match(text, /process_resident_memory_bytes/);
  });

  test("a change that no directory answers ends in time, and says that it may still take effect", async () => {
    const waiting = Object.assign(Object.create(new DoorFleet(fleet)), { change: () => new Promise(() => {}), query: () => null });
    app = open({ fleet: waiting });
    const answer = json(request("PUT", "/v1/tables/notes/entries/L", { value: 1 }), 503);
    while (clock.timers === 0) await new Promise((resolve) => setImmediate(resolve));
    clock.advance(10_000);
    const { code, effect } = await answer;
    assert.deepEqual([code, effect], ["doors/no-directory", "maybe"]);
  });

  test("unknown paths and methods are answered in JSON and say what there is", async () => {
    assert.match((await json(get("/v2/tables"), 404)).next, /\/openapi\.json/);
    const method = await request("PATCH", "/v1/tables/notes/entries/N");
    assert.equal(method.status, 405);
    assert.equal(method.headers.get("allow"), "HEAD, GET, PUT, DELETE");
    assert.equal((await request("DELETE", "/v1/tables")).status, 405);
    assert.equal((await request("HEAD", "/v1/tables")).status, 200);
  });

  test("bad bodies are refused with the reason", async () => {
    const path = "/v1/tables/notes/entries/B";
    for (const body of ["", "{", "[]", "null", '"text"', "{}", '{"value":1,"valid":"yes"}']) await json(request("PUT", path, body), 400);
    for (const body of [
      {},
      { operations: [] },
      { operations: [7] },
      { operations: [{ op: "bind", table: "notes", key: "B" }] },
      { operations: [{ op: "add", table: "notes", key: "B" }] },
    ])
      await json(request("POST", "/v1/change", body), 400);
    const large = JSON.stringify({ value: "x".repeat(1024 * 1024) });
    assert.equal((await json(request("PUT", path, large), 413)).code, "doors/too-large");
    assert.equal((await json(request("PUT", path, { value: "x".repeat(70_000) }), 413)).code, "tables/value-too-long");
    const many = Array.from({ length: 101 }, (_, index) => ({ op: "add", table: "notes", key: `M.${index}`, value: 1 }));
    await json(request("POST", "/v1/change", { operations: many }), 413);
    await json(request("PUT", "/v1/tables/metadata/entries/MDS.8.1", { value: { host: "HOST77", port: 1 } }), 409);
    assert.equal(fleet.get("notes", "B"), undefined);
  });

  test("on loopback only requests that name loopback are served, and foreign pages may not write", async () => {
    const from = (host: string, headers: Record<string, string> = {}, method = "GET") =>
      app.fetch(new Request("http://127.0.0.1:7551/v1/tables/notes/entries/H", { method, headers: { host, ...headers } }));
    const body = { method: "DELETE", origin: "http://evil.example" };
    for (const host of ["127.0.0.1:7551", "localhost", "[::1]:7551", "fleet.localhost:1"])
      assert.equal((await from(host)).status, 404, host);
    for (const host of ["evil.example", "evil.example:7551", "127.0.0.1.evil.example", "localhost.evil.example"])
      assert.equal((await from(host)).status, 403, host);
    assert.equal((await from("127.0.0.1:7551", { origin: body.origin }, body.method)).status, 403);
    assert.equal((await from("127.0.0.1:7551", { origin: "http://127.0.0.1:7551" }, body.method)).status, 404);
    app = open({ loopbackOnly: false });
    assert.equal((await from("muster.example")).status, 404);
  });

  test("every route is described in /openapi.json and nothing else is; every reference leads somewhere", async () => {
    const description = await json(get("/openapi.json"));
    assert.deepEqual(description, JSON.parse(JSON.stringify(openApi("1.2.3"))));
    const described = Object.entries(description.paths).flatMap(([path, operations]) =>
      Object.keys(Object(operations)).map((method) => `${method} ${path}`),
    );
    assert.deepEqual(described.sort(), httpRoutes.map(({ method, path }) => `${method} ${path}`).sort());
    for (const [, name] of JSON.stringify(description).matchAll(/"#\/components\/schemas\/(\w+)"/g))
      assert.ok(name !== undefined && name in description.components.schemas, name);
    for (const { path } of httpRoutes)
      for (const [, name] of path.matchAll(/\{(\w+)\}/g)) {
        const operations: Json[] = Object.values(description.paths[path]);
        for (const operation of operations)
          assert.ok(operation.parameters.some((parameter: Json) => parameter.in === "path" && parameter.name === name));
      }
  });
});
