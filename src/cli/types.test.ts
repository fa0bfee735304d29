import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { FleetHandle } from "../fleet/index.ts";
import { memoryDirectory } from "../testing/memory-directory.ts";
import { runCli } from "./index.ts";
import { MemoryWorld } from "./memory-world.ts";

describe("types of requests on the command line", () => {
  let fleet: FleetHandle;

  beforeEach(async () => {
    fleet = await memoryDirectory({ host: "HOST1" });
    await fleet.change([
      { op: "add", table: "request-types", key: "MDS/stat", value: { effect: "read" } },
      { op: "add", table: "request-types", key: "MDS/put", value: { effect: "write" } },
      { op: "add", table: "request-types", key: "BSS/read", value: { effect: "read", subset: { where: { zone: "a" } }, copies: "all" } },
    ]);
  });

  afterEach(() => fleet.close());

  const muster = async (...argv: readonly string[]) => {
    const world = new MemoryWorld(fleet);
    const code = await runCli(argv, world);
    return { code, out: world.stdout.text, err: world.stderr.text };
  };
  const rowOf = (key: string) => fleet.get("request-types", key)?.value;

  test("muster types lists what each does, who answers it, and who says so", async () => {
    const people = await muster("types");
    assert.equal(people.code, 0);
    assert.match(people.out, /^TYPE +EFFECT +SERVERS +COPIES +BUDGET +SAID BY\nBSS\/read +read +zone=a +all +its servers\n/);
    const listed = JSON.parse((await muster("types", "MDS", "--json")).out);
    assert.deepEqual(
      listed.map((one: object) => ({ ...one, revision: "" })),
      [
        { service: "MDS", type: "put", effect: "write", by: "servers", revision: "" },
        { service: "MDS", type: "stat", effect: "read", by: "servers", revision: "" },
      ],
    );
    const none = await muster("types", "GW");
    assert.equal(none.code, 1);
    assert.match(none.err, /all of its requests are writes/);
  });

  test("[MRT-2] [MRT-3] muster types set changes what is said, keeps the rest and the servers' word, and waits until everybody knows", async () => {
    const set = await muster("types", "set", "MDS/stat", "--subset", "MDS.1.1,HOST2", "--copies", "all", "--budget", "0.2");
    assert.equal(set.code, 0, set.err);
    assert.match(set.out, /MDS\/stat: read; answered by MDS\.1\.1, HOST2/);
    assert.match(set.err, /every node knows/);
    const served = { effect: "read" };
    const subset = ["MDS.1.1", "HOST2"];
    assert.deepEqual(rowOf("MDS/stat"), { effect: "read", subset, copies: "all", budget: 0.2, by: "operator", served });
    await muster("types", "set", "MDS/stat", "--effect", "write", "--budget", "default");
    assert.deepEqual(rowOf("MDS/stat"), { effect: "write", subset, copies: "all", by: "operator", served });
    const again = await muster("types", "set", "MDS/stat", "--subset", "zone=a,disk=fast", "--effect", "default", "--json");
    const { revision, ...said } = JSON.parse(again.out);
    assert.match(revision, /^\d+\.\d+$/);
    assert.deepEqual(said, {
      type: "MDS/stat",
      declared: { effect: "read", subset: { where: { zone: "a", disk: "fast" } }, copies: "all", by: "operator", served },
      detached: 0,
    });
    await muster("types", "set", "MDS/stat", "--subset", "default");
    assert.match((await muster("types", "MDS")).out, /MDS\/stat +read +all +all +an operator/);
  });

  test("[MRT-3] a rule over the body is set as JSON and shown in words", async () => {
    const rule = {
      when: {
        any: [
          { path: "op", in: ["put", "delete"] },
          { path: "to", exists: true },
        ],
      },
      effect: "write",
      else: "read",
    };
    assert.equal((await muster("types", "set", "MDS/file", "--effect", JSON.stringify(rule))).code, 0);
    assert.deepEqual(rowOf("MDS/file"), { effect: rule, by: "operator" });
    assert.match((await muster("types", "MDS")).out, /MDS\/file +write if op is one of put, delete or to is there, else read/);
  });

  test("muster types unset gives the word back to the servers; without one the type is a write", async () => {
    await muster("types", "set", "MDS/stat", "--effect", "write");
    assert.equal((await muster("types", "unset", "MDS/stat")).code, 0);
    assert.deepEqual(rowOf("MDS/stat"), { effect: "read" });
    await muster("types", "set", "MDS/new", "--effect", "read");
    const gone = await muster("types", "unset", "MDS/new");
    assert.match(gone.out, /nobody says anything of MDS\/new any more: it is a write/);
    assert.equal(rowOf("MDS/new"), undefined);
    const twice = await muster("types", "unset", "MDS/stat");
    assert.equal(twice.code, 1);
    assert.match(twice.err, /nothing about MDS\/stat is set by hand/);
  });

  test("[MRT-2] muster doctor names types whose subset has no living server", async () => {
    await fleet.change([
      { op: "add", table: "metadata", key: "MDS.1.1", value: { host: "HOST1", port: 1871 } },
      { op: "add", table: "bitfile", key: "BSS.1.1", value: { host: "HOST1", port: 1872, data: { zone: "a" } } },
    ]);
    await muster("types", "set", "MDS/stat", "--subset", "MDS.1.1,HOST2");
    assert.doesNotMatch((await muster("doctor", "--json")).out, /type-without-server/);
    await fleet.change([{ op: "set-valid", table: "metadata", key: "MDS.1.1", valid: false }]);
    const { findings } = JSON.parse((await muster("doctor", "--json")).out);
    assert.deepEqual(
      findings.filter(({ code }: { code: string }) => code === "type-without-server").map(({ about }: { about: string }) => about),
      ["request-types/MDS/stat"],
    );
  });

  test("what cannot be meant is refused with the reason, and changes nothing", async () => {
    const before = fleet.position;
    for (const args of [
      ["MDS/stat", "--effect", "often"],
      ["MDS/stat", "--effect", "{"],
      ["MDS/stat", "--effect", '{"when":{"path":""},"effect":"write","else":"read"}'],
      ["MDS/stat", "--copies", "two"],
      ["MDS/stat", "--budget", "2"],
      ["MDS/stat", "--subset", "HOST1,zone=a"],
      ["MDS/stat", "--ordering-key", "a..b"],
      ["MDS", "--effect", "read"],
      ["MDS/new", "--copies", "all"],
    ]) {
      const { code, err } = await muster("types", "set", ...args);
      assert.equal(code, 2, `${args.join(" ")}: ${err}`);
      assert.match(err, /next:/);
    }
    assert.deepEqual(fleet.position, before);
    assert.equal(await runCli(["types"], new MemoryWorld()), 3);
  });
});
