import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type JsonValue, MusterError } from "../kernel/index.ts";
import { memoryDirectory } from "../testing/memory-directory.ts";
import { type FleetHandle, QueryAnswers, type QueryView, answerQuery } from "./index.ts";

/** What a test reads of an answer: plain data, as it arrives at the other side of a link. */
function plain(value: JsonValue): ReturnType<typeof JSON.parse> {
  return JSON.parse(JSON.stringify(value));
}

describe("queries", () => {
  let fleet: FleetHandle;
  const ask = (verb: string, args: unknown = {}) => plain(answerQuery(fleet, verb, args));

  before(async () => {
    fleet = await memoryDirectory({ host: "HOST1", routes: ["10.0.0.1", "10.1.0.1"] });
    await fleet.add("host-route", "HOST2.0", "10.0.0.2");
    await fleet.change([
      { op: "add", table: "metadata", key: "MDS.1.1", value: { host: "HOST1", port: 1872, data: { zone: "a" } } },
      { op: "add", table: "metadata", key: "MDS.1.2", value: { host: "HOST2", port: 1873, data: { zone: "b", version: 2 } } },
      { op: "add", table: "metadata", key: "MDS.2", value: { host: "HOST2", port: 1874 } },
      { op: "add", table: "metadata-partition", key: "0", value: "MDS.1" },
      { op: "add", table: "metadata-partition", key: "1", value: "MDS.2" },
      { op: "add", table: "metadata-partition", key: "2", value: "MDS.9" },
    ]);
  });

  after(() => fleet.close());

  test("[DSD-6] find takes the table, the key and the host step in one answer, with its alternates in order", () => {
    const route = ask("find", { table: "metadata", key: "MDS.1" });
    assert.equal(typeof route.ageMs, "number");
    const revision = ask("get", { table: "metadata", key: "MDS.1.1" }).revision;
    assert.deepEqual(
      {
        ...route,
        ageMs: 0,
        alternates: route.alternates.map((other: { address: string; port: number }) => `${other.address}:${other.port}`),
      },
      {
        key: "MDS.1",
        instance: "MDS.1.1",
        host: "HOST1",
        address: "10.0.0.1",
        port: 1872,
        data: { zone: "a" },
        revision,
        ageMs: 0,
        alternates: ["10.0.0.2:1873"],
      },
    );
    assert.equal(ask("find", { table: "metadata", key: "MDS.7" }), null);
  });

  test("what goes out on a link is the same answer, written out, with the age of the moment", () => {
    const answers = new QueryAnswers(() => fleet);
    const sent = (verb: string, args: unknown) => JSON.parse(answers.answer(verb, args).toString());
    for (const key of ["MDS.1", "MDS.1.2", "MDS.2", "MDS.2", "MDS.1"]) {
      const route = sent("find", { table: "metadata", key });
      assert.equal(typeof route.ageMs, "number");
      assert.deepEqual({ ...route, ageMs: 0 }, { ...ask("find", { table: "metadata", key }), ageMs: 0 });
    }
    assert.equal(sent("find", { table: "metadata", key: "MDS.7" }), null);
    assert.deepEqual(sent("tables", {}), ask("tables"));
    assert.throws(() => answers.answer("find", { table: "metadata" }), { code: "fleet/bad-query" });
    assert.throws(() => answers.answer("nothing", {}), { code: "fleet/unknown-query" });
  });

  test("find-all lists all that find could choose; where selects by attributes, as an object or as text", () => {
    const addresses = (args: JsonValue) => ask("find-all", args).map((route: { address: string }) => route.address);
    assert.deepEqual(addresses({ table: "metadata", key: "MDS.1" }), ["10.0.0.1", "10.0.0.2"]);
    assert.deepEqual(addresses({ table: "metadata", key: "MDS.1", where: { zone: "b" } }), ["10.0.0.2"]);
    assert.deepEqual(addresses({ table: "metadata", key: "MDS.1", where: "zone=b,version=2" }), ["10.0.0.2"]);
    assert.deepEqual(addresses({ table: "metadata", key: "MDS.1", where: "zone=c" }), []);
  });

  test("find-partition maps a number or a text to a server", () => {
    for (const key of [4, "4"]) {
      const route = ask("find-partition", { table: "metadata-partition", key });
      assert.equal(`${route.instance} ${route.address}:${route.port}`, "MDS.2 10.0.0.2:1874");
    }
    assert.equal(ask("find-partition", { table: "metadata-partition", key: 5 }), null);
  });

  test("[DSD-12] search lists by prefix, the empty prefix the whole table; entries show epoch and sequence as one text", () => {
    const keys = (args: JsonValue) => ask("search", args).map((entry: { key: string }) => entry.key);
    assert.deepEqual(keys({ table: "metadata", prefix: "MDS.1" }), ["MDS.1", "MDS.1.1", "MDS.1.2"]);
    assert.deepEqual(keys({ table: "DSD_MTID_METADATA" }), ["MDS.1", "MDS.1.1", "MDS.1.2", "MDS.2"]);
    const [entry] = ask("search", { table: "metadata", prefix: "MDS.2" });
    assert.match(entry.revision, /^\d+\.\d+$/);
    const rest = { table: "metadata", key: "MDS.2", value: { host: "HOST2", port: 1874 }, valid: true, owner: null };
    assert.deepEqual(entry, { ...rest, revision: entry.revision });
  });

  test("search-page gives a large table in pieces that together are the search, each row once", async () => {
    await fleet.addTable("large");
    const value = "x".repeat(30_000);
    for (let start = 0; start < 90; start += 30)
      await fleet.change([...Array(30).keys()].map((index) => ({ op: "add", table: "large", key: `K${start + index}`, value }) as const));
    const keys: string[] = [];
    let pages = 0;
    for (let after: string | null = ""; after !== null; pages++) {
      const page: { entries: { key: string }[]; after: string | null } = ask("search-page", { table: "large", after });
      assert.ok(JSON.stringify(page).length < 1.2 * 1024 * 1024);
      keys.push(...page.entries.map((entry) => entry.key));
      after = page.after;
    }
    assert.deepEqual(
      keys,
      ask("search", { table: "large" }).map((entry: { key: string }) => entry.key),
    );
    assert.ok(pages >= 3);
    const few = ask("search-page", { table: "metadata", limit: 2 });
    assert.deepEqual([few.entries.length, few.after], [2, "MDS.1.1"]);
  });

  test("hosts names the current route of each host and how many servers lie on it", () => {
    const [first, second] = ask("hosts");
    assert.deepEqual([first.host, first.valid, first.servers, first.agent], ["HOST1", true, 1, true]);
    assert.deepEqual(
      first.routes.map((route: { route: string; address: string; current: boolean }) => [route.route, route.address, route.current]),
      [
        ["HOST1.0", "10.0.0.1", true],
        ["HOST1.1", "10.1.0.1", false],
      ],
    );
    assert.deepEqual([second.host, second.agent, second.servers], ["HOST2", false, 2]);
    assert.deepEqual(ask("hosts", { host: "HOST7" }), []);
  });

  test("[DSD-5] when the lowest-numbered route turns invalid, the next one is current, and why says so", async () => {
    await fleet.change([{ op: "set-valid", table: "host-route", key: "HOST1.0", valid: false }]);
    assert.deepEqual(
      ask("hosts", { host: "HOST1" })[0].routes.map((route: { valid: boolean; current: boolean }) => [route.valid, route.current]),
      [
        [false, false],
        [true, true],
      ],
    );
    assert.equal(ask("find", { table: "metadata", key: "MDS.1" }).address, "10.1.0.1");
    const [finding] = ask("why", { key: "MDS.1.1" }).findings;
    assert.ok(
      finding.because.some((reason: string) => reason.includes("over HOST1.1, the lowest-numbered valid one, because HOST1.0 is invalid")),
    );
    await fleet.change([{ op: "set-valid", table: "host-route", key: "HOST1.0", valid: true }]);
    assert.equal(ask("find", { table: "metadata", key: "MDS.1" }).address, "10.0.0.1");
  });

  test("why tells the entry's own validity from its host's", async () => {
    await fleet.change([{ op: "set-valid", table: "metadata", key: "MDS.2", valid: false }]);
    const own = ask("why", { key: "MDS.2", table: "metadata" }).findings[0];
    assert.equal(own.usable, false);
    assert.match(own.because[0], /^the entry itself is invalid since/);
    assert.match(own.next, /muster delete metadata MDS\.2/);
    await fleet.change([{ op: "set-valid", table: "metadata", key: "MDS.2", valid: true }]);
    await fleet.add("hosts", "HOST2", {}, { valid: false });
    const host = ask("why", { key: "MDS.2", table: "metadata" }).findings[0];
    assert.equal(host.usable, false);
    assert.match(host.because[0], /^its host HOST2 is gone since/);
    assert.match(host.next, /start the agent of HOST2/);
    assert.equal(ask("why", { key: "HOST2" }).findings[0].shape, "host");
    await fleet.add("hosts", "HOST2", {});
  });

  test("why knows primaries, backups, services, partitions, tables, and what may have been meant", () => {
    const shapeOf = (key: string, table: string) => {
      const [finding] = ask("why", { key, table }).findings;
      return [finding.shape, finding.usable];
    };
    assert.deepEqual(shapeOf("MDS.1", "metadata"), ["service instance", true]);
    assert.deepEqual(shapeOf("MDS", "metadata"), ["service", true]);
    assert.deepEqual(shapeOf("0", "metadata-partition"), ["partition", true]);
    assert.deepEqual(shapeOf("2", "metadata-partition"), ["partition", false]);
    assert.deepEqual(shapeOf("metadata", "tables"), ["table", true]);
    assert.deepEqual(shapeOf("HOST1.0", "host-route"), ["host route", true]);
    assert.ok(ask("why", { key: "MDS.1.2" }).findings[0].because.includes("it is a backup of MDS.1; the primary is MDS.1.1"));
    const nothing = ask("why", { key: "mds.1.3" });
    assert.deepEqual([nothing.found, nothing.similar], [false, ["metadata/MDS.1", "metadata/MDS.1.1", "metadata/MDS.1.2"]]);
  });

  test("doctor finds partitions that map to nothing, services without a primary, and hosts that are gone", async () => {
    const codes = () => ask("doctor").findings.map((finding: { code: string; about: string }) => `${finding.code} ${finding.about}`);
    assert.deepEqual(codes(), ["partition-to-nothing metadata-partition/2"]);
    await fleet.add("hosts", "HOST2", {}, { valid: false });
    await fleet.change([{ op: "set-valid", table: "metadata", key: "MDS.1.1", valid: false }]);
    const found = codes();
    for (const expected of ["service-without-primary metadata/MDS.1", "server-without-alternate metadata/MDS.2", "host-gone HOST2"])
      assert.ok(found.includes(expected), `${expected} in ${found.join(", ")}`);
    assert.equal(ask("doctor").healthy, false);
    await fleet.add("hosts", "HOST2", {});
    await fleet.change([{ op: "set-valid", table: "metadata", key: "MDS.1.1", valid: true }]);
    await fleet.add("metadata-partition", "2", "MDS.2");
    assert.deepEqual(ask("doctor"), { healthy: true, findings: [] });
  });

  test("doctor says when lookups are cut off from the directory", () => {
    const view: QueryView = {
      ...{ host: undefined, position: fleet.position, detached: true, ageMs: 60_000 },
      tables: () => [],
      get: () => undefined,
      search: () => [],
      find: () => undefined,
      findAll: () => [],
      findPartition: () => undefined,
      serversOn: () => 0,
      status: () => ({ plaintext: true }),
      reach: () => [],
    };
    const { healthy, findings } = plain(answerQuery(view, "doctor", {}));
    assert.equal(healthy, false);
    assert.deepEqual(
      findings.map((finding: { code: string }) => finding.code),
      ["detached", "plaintext"],
    );
  });

  test("status puts the node's own words beside position and age", () => {
    const status = ask("status");
    assert.deepEqual(
      [status.host, status.role, status.detached, status.position],
      ["HOST1", "directory", false, `${fleet.position.epoch}.${fleet.position.sequence}`],
    );
  });

  test("what cannot be meant is refused with the reason", () => {
    const refused = (verb: string, args: unknown) => {
      try {
        answerQuery(fleet, verb, args);
      } catch (thrown) {
        if (thrown instanceof MusterError && thrown.next !== undefined) return thrown.code;
        throw thrown;
      }
      return "accepted";
    };
    assert.equal(refused("find", { table: "metadata" }), "fleet/bad-query");
    assert.equal(refused("find", { table: 7, key: "MDS" }), "fleet/bad-query");
    assert.equal(refused("find", "metadata"), "fleet/bad-query");
    assert.equal(refused("find", { table: "metadata", key: "MDS", policy: "nearest" }), "fleet/bad-query");
    assert.equal(refused("find", { table: "metadata", key: "MDS", where: "zone" }), "fleet/bad-query");
    assert.equal(refused("find", { table: "metadata", key: "MDS", where: { zone: {} } }), "fleet/bad-query");
    assert.equal(refused("find", { table: "metadata", key: "x".repeat(5000) }), "fleet/bad-query");
    assert.equal(refused("find-partition", { table: "metadata-partition", key: 1.5 }), "fleet/bad-query");
    assert.equal(refused("find-partition", { table: "metadata", key: 1 }), "find/not-a-partition-table");
    assert.equal(refused("search-page", { table: "metadata", limit: 0 }), "fleet/bad-query");
    assert.equal(refused("search", { table: "nowhere" }), "tables/unknown-table");
    assert.equal(refused("reboot", {}), "fleet/unknown-query");
  });
});
