import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Replica, type ReplicaObserver, builtInTableRows, primaryOf, tableNumbers, tableRowText } from "./index.ts";

const { tables, hosts, metadata, gateway } = tableNumbers;

function replicaOf(effects: (replica: Replica) => void): Replica {
  const replica = new Replica();
  replica.begin(1, 1);
  effects(replica);
  replica.end();
  return replica;
}

describe("a replica", () => {
  test("[DSD-2] tables are known by name and symbol; a change may define one and fill it in either order", () => {
    const row = tableRowText({ name: "cache", number: 40, kind: "plain", symbol: "DSD_MTID_CACHE" });
    const replica = replicaOf((to) => {
      to.put(40, "a", "1", true, "", 0);
      to.put(tables, "cache", row, true, "", 0);
      to.put(40, "b", "2", true, "", 0);
    });
    assert.deepEqual(
      replica.search("DSD_MTID_CACHE").map(({ table, key, value }) => [table, key, value]),
      [
        ["cache", "a", 1],
        ["cache", "b", 2],
      ],
    );
    assert.equal(replica.table("DSD_MTID_GATEWAY")?.number, gateway);
    assert.throws(() => replica.search("none"), { code: "tables/unknown-table" });
    replica.begin(1, 2);
    replica.remove(tables, "cache");
    replica.end();
    assert.throws(() => replica.get("cache", "a"), { code: "tables/unknown-table" });
    assert.equal(replica.size, 0);
  });

  test("[DSD-1] a hundred tables are added without anything but rows of `tables`", () => {
    const replica = replicaOf((to) => {
      for (const { key, text } of builtInTableRows()) to.put(tables, key, text, true, "", 0);
      for (let number = 32; number < 132; number++) {
        to.put(tables, `t${number}`, tableRowText({ name: `t${number}`, number, kind: "plain" }), true, "", 0);
        to.put(number, "k", String(number), true, "", 0);
      }
    });
    assert.equal(replica.tables().length, 116);
    for (let number = 32; number < 132; number++) assert.equal(replica.get(`t${number}`, "k")?.value, number);
  });

  test("a change that does not come to its end shows nothing, and the next one is whole", () => {
    const replica = replicaOf((to) => to.put(metadata, "a", "1", true, "", 0));
    replica.begin(1, 2);
    replica.put(metadata, "half", "1", true, "", 0);
    replica.remove(metadata, "a");
    assert.deepEqual(
      replica.search("metadata").map((entry) => entry.key),
      ["a"],
    );
    replica.begin(1, 2);
    replica.put(metadata, "b", "1", true, "", 0);
    replica.end();
    assert.deepEqual(
      replica.search("metadata").map((entry) => entry.key),
      ["a", "b"],
    );
  });

  test("positions never run backwards", () => {
    const replica = replicaOf(() => {});
    replica.advance(2, 10);
    replica.advance(2, 10);
    for (const [epoch, sequence] of [
      [1, 11],
      [2, 10],
      [2, 9],
    ] as const)
      assert.throws(() => replica.begin(epoch, sequence), { code: "tables/position-backwards" });
    assert.throws(() => replica.advance(2, 9), { code: "tables/position-backwards" });
    assert.throws(() => replica.beginLoad([]).finish(1, 99), { code: "tables/position-backwards" });
    replica.begin(3, 5);
    replica.end();
    assert.deepEqual(replica.position, { epoch: 3, sequence: 5 });
  });

  test("an entry is one frozen object until its row, or the validity of its host, changes", () => {
    const replica = replicaOf((to) => to.put(metadata, "MDS.1", '{"host":"HOST9","port":1,"data":{"zone":"a"}}', true, "", 0));
    const entry = replica.get("metadata", "MDS.1");
    assert.equal(replica.get("DSD_MTID_METADATA", "MDS.1"), entry);
    assert.equal(replica.search("metadata", "MDS")[0], entry);
    assert.ok(Object.isFrozen(entry) && Object.isFrozen(entry?.value));
    replica.begin(1, 2);
    replica.put(hosts, "HOST9", "{}", false, "", 0);
    replica.end();
    assert.deepEqual([entry?.valid, replica.get("metadata", "MDS.1")?.valid], [true, false]);
    assert.deepEqual(replica.get("metadata", "MDS.1")?.revision, { epoch: 1, sequence: 1 });
    assert.equal(
      JSON.stringify(replica.get("metadata", "MDS.1")),
      '{"table":"metadata","key":"MDS.1","value":{"host":"HOST9","port":1,"data":{"zone":"a"}},"valid":false,"revision":"1.1","owner":null}',
    );
  });

  test("[DSD-21] the primary is the first valid member, host included, and moves with the change that invalidates it", () => {
    const route = (host: string) => `{"host":"${host}","port":1872}`;
    const replica = replicaOf((to) => {
      to.put(metadata, "MDS.1", '{"members":["MDS.1.1","MDS.1.0"]}', true, "", 0);
      to.put(metadata, "MDS.1.1", route("HOST9"), true, "", 0);
      to.put(metadata, "MDS.1.0", route("HOST11"), true, "", 0);
    });
    const primary = () => primaryOf(replica, "metadata", "MDS.1");
    assert.equal(primary(), "MDS.1.1");
    const moved: (string | undefined)[] = [];
    replica.subscribe({ tables: ["metadata"] }, () => void moved.push(primary()));
    replica.begin(1, 2);
    replica.setValid(metadata, "MDS.1.1", false);
    replica.end();
    assert.deepEqual(moved, ["MDS.1.0"]);
    replica.begin(1, 3);
    replica.setValid(metadata, "MDS.1.1", true);
    replica.put(hosts, "HOST9", "{}", false, "", 0);
    replica.end();
    assert.equal(primary(), "MDS.1.0");
    replica.begin(1, 4);
    replica.setValid(metadata, "MDS.1", false);
    replica.end();
    assert.equal(primary(), undefined);
    assert.equal(primaryOf(replica, "metadata", "MDS.1.0"), undefined);
  });

  test("of an ordering group the synchronising server is the primary, or nobody is", () => {
    const route = '{"host":"HOST9","port":1872}';
    const group = (synchronising: string) =>
      JSON.stringify({
        epoch: 2,
        members: ["MDS.1.0", "MDS.1.1"].map((server) => ({ server, replica: "00000000000000aa" })),
        synchronising,
        copiesMin: 1,
      });
    const replica = replicaOf((to) => {
      to.put(metadata, "MDS.1", '{"members":["MDS.1.1","MDS.1.0"]}', true, "", 0);
      for (const key of ["MDS.1.0", "MDS.1.1"]) to.put(metadata, key, route, true, "", 0);
      to.put(tableNumbers.groups, "metadata/MDS.1", group("MDS.1.0"), true, "", 0);
    });
    const primary = () => primaryOf(replica, "metadata", "MDS.1");
    assert.equal(primary(), "MDS.1.0");
    replica.begin(1, 2);
    replica.setValid(metadata, "MDS.1.0", false);
    replica.end();
    assert.equal(primary(), undefined, "a valid member does not take over by itself");
    replica.begin(1, 3);
    replica.put(tableNumbers.groups, "metadata/MDS.1", group("MDS.1.1"), true, "", 0);
    replica.end();
    assert.equal(primary(), "MDS.1.1");
    replica.begin(1, 4);
    replica.put(tableNumbers.groups, "metadata/MDS.1", '"what nobody can read"', true, "", 0);
    replica.end();
    assert.equal(primary(), "MDS.1.1", "the first valid one of its members");
  });

  test("[DSD-33] criteria select by attributes, the same with and without an index", () => {
    const define = (name: string, number: number, index: readonly string[]) => tableRowText({ name, number, kind: "plain", index });
    const replica = replicaOf((to) => {
      to.put(tables, "plain", define("plain", 40, []), true, "", 0);
      to.put(tables, "indexed", define("indexed", 41, ["zone", "can"]), true, "", 0);
      for (let index = 0; index < 3000; index++)
        for (const table of [40, 41]) {
          const data = JSON.stringify({ zone: "abc"[index % 3], version: index % 7, can: index % 2 === 0 ? ["read", "write"] : ["read"] });
          to.put(table, `GW.${index}`, `{"host":"HOST${index % 9}","port":80,"data":${data}}`, true, "", 0);
        }
    });
    const keysOf = (table: string, prefix: string, where: Readonly<Record<string, string | number>>) =>
      replica.search(table, prefix, { where }).map((entry) => entry.key);
    for (const where of [
      { zone: "a" },
      { zone: "b", version: 3 },
      { version: "3" },
      { can: "write", zone: "c" },
      { zone: "none" },
      { other: 1 },
    ])
      for (const prefix of ["", "GW.1", "GW.29"]) {
        const plain = keysOf("plain", prefix, where);
        assert.deepEqual(keysOf("indexed", prefix, where), plain);
        assert.equal(plain.length > 0, !("other" in where) && where.zone !== "none", JSON.stringify(where));
      }
    replica.begin(1, 2);
    replica.put(41, "GW.0", '{"host":"HOST1","port":80,"data":{"zone":"z"}}', true, "", 0);
    replica.remove(41, "GW.3");
    replica.end();
    assert.deepEqual(keysOf("indexed", "", { zone: "z" }), ["GW.0"]);
    assert.equal(keysOf("indexed", "", { zone: "a" }).length, 998);
  });

  test("observers are told what was touched before the subscribers, hosts once, and of large loads that everything was", () => {
    const replica = new Replica();
    const told: string[] = [];
    const observer: ReplicaObserver = {
      touched: (table, key) => told.push(`${table}/${key}`),
      host: (name) => told.push(`host ${name}`),
      reset: () => told.push("reset"),
    };
    const leave = replica.observe(observer);
    replica.subscribe({ tables: ["metadata"] }, (event) => told.push(event.event));
    replica.begin(1, 1);
    replica.put(metadata, "a", '{"host":"HOST9","port":1}', true, "", 0);
    replica.put(hosts, "HOST9", "{}", true, "", 0);
    replica.setValid(hosts, "HOST9", false);
    replica.end();
    assert.deepEqual(told.splice(0), ["5/a", "2/HOST9", "2/HOST9", "host HOST9", "Add"]);
    const same = replica.beginLoad([{ table: metadata, prefix: "" }]);
    same.keep(metadata, "a");
    same.finish(1, 2);
    assert.deepEqual(told.splice(0), []);
    const large = replica.beginLoad([{ table: metadata, prefix: "" }]);
    for (let index = 0; index < 2000; index++) large.put(metadata, `b${index}`, "1", true, "", 0, 1, 2);
    large.finish(1, 3);
    assert.equal(told.splice(0)[0], "reset");
    leave();
    replica.begin(1, 4);
    replica.remove(metadata, "b1");
    replica.end();
    assert.deepEqual(told, ["Delete"]);
  });
});

describe("a staged load", () => {
  test("shows nothing before its end, and nothing at all when it is abandoned", () => {
    const replica = replicaOf((to) => to.put(metadata, "old", "1", true, "", 0));
    const load = replica.beginLoad([{ table: "all", prefix: "" }]);
    load.put(metadata, "new", "1", true, "", 0, 1, 2);
    assert.deepEqual(
      replica.search("metadata").map((entry) => entry.key),
      ["old"],
    );
    assert.equal(replica.stagedRows, 1);
    load.abandon();
    assert.throws(() => load.finish(1, 2), { code: "tables/load-closed" });
    assert.equal(replica.stagedRows, 0);
    assert.deepEqual(
      replica.search("metadata").map((entry) => entry.key),
      ["old"],
    );
  });

  test("keeps, replaces, adds and removes within its ranges only, and later words win", () => {
    const replica = replicaOf((to) => {
      for (const key of ["a.1", "a.2", "a.3", "b.1"]) to.put(metadata, key, '"old"', true, "", 0);
      to.put(gateway, "a.1", '"old"', true, "", 0);
    });
    const told: string[] = [];
    replica.subscribe({ tables: ["metadata", "gateway"] }, ({ event, entry }) => void told.push(`${event} ${entry?.key}`));
    const load = replica.beginLoad([{ table: metadata, prefix: "a." }]);
    load.keep(metadata, "a.1");
    load.put(metadata, "a.2", '"new"', true, "", 0, 1, 2);
    load.put(metadata, "a.4", '"new"', true, "", 0, 1, 2);
    load.put(metadata, "a.5", '"new"', true, "", 0, 1, 2);
    load.remove(metadata, "a.5");
    load.finish(1, 2);
    assert.deepEqual(
      replica.search("metadata").map(({ key, value }) => `${key} ${String(value)}`),
      ["a.1 old", "a.2 new", "a.4 new", "b.1 old"],
    );
    assert.equal(replica.entryCount(gateway), 1);
    assert.deepEqual(told.sort(), ["Add a.2", "Add a.4", "Delete a.3"]);
  });

  test("refuses to keep what is not there", () => {
    const load = new Replica().beginLoad([]);
    assert.throws(() => load.keep(metadata, "a"), { code: "tables/nothing-to-keep" });
  });

  test("fills a table that was removed and defined anew while the load was under way", () => {
    const cache = tableRowText({ name: "cache", number: 40, kind: "plain" });
    const replica = replicaOf((to) => to.put(tables, "cache", cache, true, "", 0));
    const load = replica.beginLoad([{ table: 40, prefix: "" }]);
    load.put(40, "k", "1", true, "", 0, 1, 1);
    for (const [sequence, remove] of [
      [2, true],
      [3, false],
    ] as const) {
      replica.begin(1, sequence);
      if (remove) replica.remove(tables, "cache");
      else replica.put(tables, "cache", cache, true, "", 0);
      replica.end();
    }
    load.finish(1, 3);
    assert.equal(replica.get("cache", "k")?.value, 1);
    assert.equal(replica.size, 2);
  });
});
