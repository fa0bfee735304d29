import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom, randomBelow } from "../kernel/index.ts";
import { Replica, parseRouteText, parseValue, tableNumbers, tableRowText } from "../tables/index.ts";
import { Finder, parsePolicy } from "./index.ts";

const { tables, hosts, hostRoute, gateway, metadata, bitfile, metadataPartition, bitfilePartition } = tableNumbers;

/** The example fleet of the source, FIG. 2A to 2G. */
const figures: readonly (readonly [table: number, key: string, value: unknown, valid?: boolean])[] = [
  [gateway, "GW.1", parseRouteText("HOST2:8080")],
  [gateway, "GW.2", parseRouteText("HOST3:8080"), false],
  [metadata, "MDS.1", { members: ["MDS.1.1", "MDS.1.0"] }],
  [metadata, "MDS.1.0", parseRouteText("HOST11:1872")],
  [metadata, "MDS.1.1", parseRouteText('HOST9:1872 {"objectKey":"k1"}')],
  [metadata, "MDS.2", parseRouteText("HOST10:1872")],
  [metadata, "MDS.10", parseRouteText("HOST0:1900")],
  [bitfile, "BSS.4", parseRouteText("HOST11:1950")],
  [hostRoute, "HOST0.0", "10.7.6.4"],
  [hostRoute, "HOST0.1", "10.8.6.4"],
  [hostRoute, "HOST1.0", "10.17.6.4", false],
  [hostRoute, "HOST1.1", "10.16.0.2"],
  [hostRoute, "HOST2.0", "10.1.0.2"],
  [hostRoute, "HOST3.0", "10.1.0.3"],
  [hostRoute, "HOST9.0", "16.7.13.1"],
  [hostRoute, "HOST9.1", "16.8.13.1"],
  [hostRoute, "HOST10.0", { address: "fd00::10" }],
  [hostRoute, "HOST11.0", "16.7.13.11"],
  [metadataPartition, "0", "MDS.1"],
  [metadataPartition, "1", "MDS.1"],
  [metadataPartition, "2", "MDS.2"],
  [bitfilePartition, "0", "BSS.4"],
];

class Fleet {
  readonly replica = new Replica();
  readonly finder: Finder;
  ageMs = 0;
  #sequence = 0;

  constructor(rows = figures) {
    this.finder = new Finder(this.replica, { ageMs: () => this.ageMs });
    this.change((to) => {
      for (const [table, key, value, valid = true] of rows) {
        const kind = this.replica.tableByNumber(table)?.kind ?? "plain";
        to.put(table, key, parseValue(kind, key, value), valid, "", 0);
      }
    });
  }

  change(effects: (replica: Replica) => void): void {
    this.replica.begin(1, ++this.#sequence);
    effects(this.replica);
    this.replica.end();
  }

  /** "instance@address:port" of find, or "nothing". */
  find(table: string, key: string, options?: Parameters<Finder["find"]>[2]): string {
    return show(this.finder.find(table, key, options));
  }
}

function show(route: ReturnType<Finder["find"]>): string {
  return route === undefined ? "nothing" : `${route.instance}@${route.address}:${route.port}`;
}

describe("find server", () => {
  test("[DSD-6] the example of the source: HOST9:1872 becomes 16.7.13.1:1872 in one call", () => {
    const fleet = new Fleet();
    const route = fleet.finder.find("DSD_MTID_METADATA", "MDS.1");
    assert.deepEqual(JSON.parse(JSON.stringify(route)), {
      key: "MDS.1",
      instance: "MDS.1.1",
      host: "HOST9",
      address: "16.7.13.1",
      port: 1872,
      data: { objectKey: "k1" },
      revision: "1.1",
      ageMs: 0,
      alternates: [{ key: "MDS.1", instance: "MDS.1.0", host: "HOST11", address: "16.7.13.11", port: 1872, revision: "1.1" }],
    });
    assert.ok(Object.isFrozen(route));
  });

  test("[DSD-4] a server instance is itself, a service instance of one server needs no second row, and segments are respected", () => {
    const fleet = new Fleet();
    assert.equal(fleet.find("metadata", "MDS.1.0"), "MDS.1.0@16.7.13.11:1872");
    assert.equal(fleet.find("metadata", "MDS.2"), "MDS.2@fd00::10:1872");
    assert.equal(fleet.find("metadata", "MDS.10"), "MDS.10@10.7.6.4:1900");
    assert.equal(fleet.find("metadata", "MD"), "nothing");
    assert.equal(fleet.find("gateway", "GW.2"), "nothing");
    assert.deepEqual(fleet.finder.findAll("metadata", "MDS").map(show), [
      "MDS.1.1@16.7.13.1:1872",
      "MDS.10@10.7.6.4:1900",
      "MDS.2@fd00::10:1872",
    ]);
    for (const open of ["MDS.", ""])
      assert.deepEqual(fleet.finder.findAll("metadata", open).map(show), fleet.finder.findAll("metadata", "MDS").map(show));
    assert.equal(fleet.find("metadata", "MDS.1."), "MDS.1.0@16.7.13.11:1872");
  });

  test("[DSD-5] the lowest-numbered valid route is current, the others are the alternates of a server instance", () => {
    const fleet = new Fleet();
    assert.deepEqual(
      fleet.finder.findAll("metadata", "MDS.1.1").map((route) => route.address),
      ["16.7.13.1", "16.8.13.1"],
    );
    fleet.change((to) => to.setValid(hostRoute, "HOST9.0", false));
    assert.equal(fleet.find("metadata", "MDS.1"), "MDS.1.1@16.8.13.1:1872");
    fleet.change((to) => to.setValid(hostRoute, "HOST9.1", false));
    assert.equal(fleet.find("metadata", "MDS.1.1"), "nothing");
    fleet.change((to) => to.setValid(hostRoute, "HOST9.0", true));
    assert.equal(fleet.find("metadata", "MDS.1.1"), "MDS.1.1@16.7.13.1:1872");
  });

  test("[DSD-7] [DSD-8] [DSD-9] a partition leads to its server in one call: 6 mod 3 is partition 0, 8 mod 3 is partition 2", () => {
    const { finder } = new Fleet();
    const at = (key: string | number) => show(finder.findPartition("DSD_MTID_METADATA_PART", key));
    assert.equal(at(0), "MDS.1.1@16.7.13.1:1872");
    assert.equal(at("1"), "MDS.1.1@16.7.13.1:1872");
    assert.equal(at(6), "MDS.1.1@16.7.13.1:1872");
    assert.equal(at(8), "MDS.2@fd00::10:1872");
    assert.equal(at("100000000000000000000000000000000000000000000000000001"), at(2));
    assert.equal(at(-1), at(2));
    assert.equal(show(finder.findPartition("bitfile-partition", "0")), "BSS.4@16.7.13.11:1950");
    assert.equal(show(finder.findPartition("bitfile-partition", "1")), "nothing");
    assert.notEqual(at("a name"), "nothing");
    assert.equal(at("a name"), at("a name"));
    assert.throws(() => finder.findPartition("metadata", "0"), { code: "find/not-a-partition-table" });
    assert.throws(() => finder.findPartition("metadata-partition", 1.5), { code: "find/bad-partition-key" });
    assert.throws(() => finder.findPartition("metadata-partition", ""), { code: "find/bad-partition-key" });
  });

  test("[DSD-8] rendezvous moves only what must move, and follows the weights", () => {
    const table = tableRowText({ name: "shard", number: 40, kind: "partition", mapping: { by: "rendezvous" }, servers: "metadata" });
    const fleet = new Fleet([]);
    fleet.change((to) => {
      to.put(tables, "shard", table, true, "", 0);
      to.put(hostRoute, "H.0", '"10.0.0.1"', true, "", 0);
      for (let index = 0; index < 5; index++) {
        to.put(metadata, `S.${index}`, `{"host":"H","port":${index + 1}}`, true, "", 0);
        to.put(40, `p${index}`, index === 0 ? '{"server":"S.0","weight":4}' : `"S.${index}"`, true, "", 0);
      }
    });
    const keys = Array.from({ length: 4000 }, (_, index) => `file-${index}`);
    const owners = () => keys.map((key) => fleet.finder.findPartition("shard", key)?.instance);
    const before = owners();
    const heavy = before.filter((owner) => owner === "S.0").length / keys.length;
    assert.ok(heavy > 0.46 && heavy < 0.54, `half of the weight has ${heavy} of the keys`);
    fleet.change((to) => to.remove(40, "p3"));
    const after = owners();
    for (const [index, owner] of before.entries()) if (owner !== "S.3") assert.equal(after[index], owner);
    assert.ok(!after.includes("S.3"));
    fleet.change((to) => to.put(40, "p3", '"S.3"', true, "", 0));
    assert.deepEqual(owners(), before);
  });

  test("[DSD-21] a failure of the primary, of its host or of nothing that matters", () => {
    const fleet = new Fleet();
    const first = fleet.finder.find("metadata", "MDS.1");
    fleet.change((to) => to.setValid(bitfile, "BSS.4", false));
    fleet.change((to) => to.put(hosts, "HOST77", "{}", false, "", 0));
    fleet.change((to) => to.put(metadata, "MDS.3", '{"host":"HOST3","port":1}', true, "", 0));
    assert.equal(fleet.finder.find("metadata", "MDS.1"), first, "the same object as long as nothing touches it");
    fleet.change((to) => to.setValid(metadata, "MDS.1.1", false));
    assert.equal(fleet.find("metadata", "MDS.1"), "MDS.1.0@16.7.13.11:1872");
    fleet.change((to) => to.put(hosts, "HOST11", "{}", false, "", 0));
    assert.equal(fleet.find("metadata", "MDS.1"), "nothing");
    fleet.change((to) => to.remove(hosts, "HOST11"));
    assert.equal(fleet.find("metadata", "MDS.1"), "MDS.1.0@16.7.13.11:1872");
  });

  test("[DSD-33] criteria choose among the members and instances that have the attributes", () => {
    const fleet = new Fleet([]);
    fleet.change((to) => {
      to.put(hostRoute, "H.0", '"10.0.0.1"', true, "", 0);
      for (let index = 0; index < 6; index++)
        to.put(
          gateway,
          `GW.${index}`,
          `{"host":"H","port":${index + 1},"data":{"zone":"${"abc"[index % 3]}","version":${index}}}`,
          true,
          "",
          0,
        );
      to.put(gateway, "I.1", '{"members":["GW.0","GW.4"]}', true, "", 0);
    });
    const found = [1, 2, 3, 4].map(() => fleet.find("gateway", "GW", { where: { zone: "a" } }));
    assert.deepEqual(new Set(found), new Set(["GW.0@10.0.0.1:1", "GW.3@10.0.0.1:4"]));
    assert.equal(fleet.find("gateway", "GW", { where: { zone: "a", version: 3 } }), "GW.3@10.0.0.1:4");
    assert.equal(fleet.find("gateway", "I.1", { where: { zone: "b" } }), "GW.4@10.0.0.1:5");
    assert.equal(fleet.find("gateway", "GW.1", { where: { zone: "a" } }), "nothing");
    fleet.change((to) => to.setValid(gateway, "GW.3", false));
    assert.equal(fleet.find("gateway", "GW", { where: { version: 3 } }), "nothing");
  });

  test("policies: each in turn, the first, by weight, by seed", () => {
    const fleet = new Fleet([]);
    fleet.change((to) => {
      to.put(hostRoute, "H.0", '"10.0.0.1"', true, "", 0);
      for (const [index, weight] of [3, 1, 0, 2].entries())
        to.put(gateway, `GW.${index}`, `{"host":"H","port":${index + 1},"data":{"weight":${weight}}}`, true, "", 0);
    });
    const take = (count: number, options?: Parameters<Finder["find"]>[2]) =>
      Array.from({ length: count }, () => fleet.finder.find("gateway", "GW", options)?.instance ?? "nothing");
    const counts = (names: readonly string[]) => [0, 1, 2, 3].map((index) => names.filter((name) => name === `GW.${index}`).length);
    assert.deepEqual(counts(take(40)), [10, 10, 10, 10]);
    assert.deepEqual(counts(take(40, { policy: "round-robin" })), [10, 10, 10, 10]);
    assert.deepEqual(take(3, { policy: "primary-first" }), ["GW.0", "GW.0", "GW.0"]);
    assert.deepEqual(counts(take(60, { policy: "weighted" })), [30, 10, 0, 20]);
    assert.ok(!take(6, { policy: "weighted" }).join().includes("GW.0,GW.0,GW.0"), "heavy servers are spread");
    assert.deepEqual(
      fleet.finder.findAll("gateway", "GW", { policy: "weighted" }).map((route) => route.instance),
      ["GW.0", "GW.3", "GW.1", "GW.2"],
    );
    const seeds = Array.from({ length: 300 }, (_, index) => `seed ${index}`);
    const bySeed = () => seeds.map((seed) => fleet.finder.find("gateway", "GW", { policy: "rendezvous", seed }));
    const before = bySeed();
    assert.deepEqual(bySeed().map(show), before.map(show));
    for (const [index, seed] of seeds.entries())
      assert.deepEqual(
        fleet.finder.findAll("gateway", "GW", { policy: "rendezvous", seed }).map(show),
        [before[index], ...(before[index]?.alternates ?? [])].map(show),
      );
    fleet.change((to) => to.setValid(gateway, "GW.1", false));
    for (const [index, route] of bySeed().entries()) {
      const chosen = before[index];
      assert.equal(show(route), show(chosen?.instance === "GW.1" ? chosen.alternates[0] : chosen), "who loses its server gets its next");
    }
    assert.equal(parsePolicy("weighted"), "weighted");
    assert.throws(() => parsePolicy("nearest"), { code: "find/bad-policy" });
  });

  test("the age is read when somebody looks, from the same object", () => {
    const fleet = new Fleet();
    const route = fleet.finder.find("metadata", "MDS.2");
    assert.equal(route?.ageMs, 0);
    fleet.ageMs = 1234;
    assert.equal(route?.ageMs, 1234);
  });

  test("in turn means in turn also for services that change all the time", () => {
    const fleet = new Fleet([]);
    fleet.change((to) => {
      to.put(hostRoute, "H.0", '"10.0.0.1"', true, "", 0);
      for (const index of [0, 1, 2]) to.put(gateway, `GW.${index}`, `{"host":"H","port":${index + 1}}`, true, "", 0);
    });
    const counts = new Map<string, number>();
    for (let turn = 0; turn < 300; turn++) {
      const instance = fleet.finder.find("gateway", "GW")?.instance ?? "nothing";
      counts.set(instance, (counts.get(instance) ?? 0) + 1);
      fleet.change((to) => to.put(gateway, "GW.2", `{"host":"H","port":${turn + 10}}`, true, "", 0));
    }
    assert.deepEqual([...counts.values()], [100, 100, 100]);
  });

  test("memory of answers is bounded, for what is found and for what is not", () => {
    const replica = new Replica();
    replica.begin(1, 1);
    replica.put(hostRoute, "H.0", '"10.0.0.1"', true, "", 0);
    for (let index = 0; index < 500; index++) replica.put(gateway, `GW.${index}`, `{"host":"H","port":${index + 1}}`, true, "", 0);
    replica.end();
    const finder = new Finder(replica, { ageMs: () => 0, memosMax: 100, missingMax: 10 });
    for (let round = 0; round < 2; round++)
      for (let index = 0; index < 500; index++) {
        assert.equal(finder.find("gateway", `GW.${index}`)?.port, index + 1);
        assert.equal(finder.find("gateway", `none.${index}`), undefined);
        assert.ok(finder.memoCount <= 110);
      }
    for (const zone of Array.from({ length: 500 }, (_, index) => `z${index}`)) finder.find("gateway", "GW.1", { where: { zone } });
    assert.ok(finder.memoCount <= 110);
  });

  test("names, kinds and lost tables", () => {
    const fleet = new Fleet();
    assert.throws(() => fleet.finder.find("none", "a"), { code: "tables/unknown-table" });
    assert.equal(fleet.find("host-route", "HOST9.0"), "nothing");
    const cache = tableRowText({ name: "cache", number: 40, kind: "plain" });
    fleet.change((to) => {
      to.put(tables, "cache", cache, true, "", 0);
      to.put(40, "C.1", '{"host":"HOST9","port":11211}', true, "", 0);
    });
    assert.equal(fleet.find("cache", "C"), "C.1@16.7.13.1:11211");
    fleet.change((to) => to.remove(tables, "cache"));
    assert.throws(() => fleet.finder.find("cache", "C"), { code: "tables/unknown-table" });
  });

  test("a lookup that is remembered allocates nothing", () => {
    const { finder } = new Fleet();
    const random = new SeededRandom(1);
    const keys = Array.from({ length: 1024 }, () => ["MDS", "MDS.1", "MDS.2", "MDS.1.1", "none"][randomBelow(random, 5)] ?? "MDS");
    const ask = (calls: number) => {
      let ports = 0;
      for (let call = 0; call < calls; call++) ports = (ports + (finder.find("metadata", keys[call & 1023] ?? "")?.port ?? 0)) | 0;
      return ports;
    };
    ask(200_000);
    const before = process.memoryUsage().heapUsed;
    ask(1_000_000);
    const grownBytes = process.memoryUsage().heapUsed - before;
    assert.ok(grownBytes < 400_000, `${grownBytes} bytes for a million lookups`);
  });
});
