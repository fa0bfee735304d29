import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { FleetHandle, Operation } from "../fleet/index.ts";
import { parsePartitionRow, partitionRowValue, withOwners } from "../tables/index.ts";
import { memoryDirectory } from "../testing/memory-directory.ts";
import { runCli } from "./index.ts";
import { MemoryWorld } from "./memory-world.ts";

describe("moving keys on the command line", () => {
  let fleet: FleetHandle;

  beforeEach(async () => {
    fleet = await memoryDirectory({ host: "HOST1" });
    const operations = [1, 2].flatMap((number): Operation[] => {
      const server = `MDS.${number}.1`;
      const value = { epoch: 1, members: [{ server, replica: "00000000000000aa" }], synchronising: server, copiesMin: 1 };
      return [
        { op: "add", table: "metadata", key: server, value: { host: "HOST1", port: 1870 + number } },
        { op: "add", table: "groups", key: `metadata/MDS.${number}`, value },
      ];
    });
    await fleet.change(operations);
  });

  afterEach(() => fleet.close());

  const muster = async (...argv: readonly string[]) => {
    const world = new MemoryWorld(fleet);
    const code = await runCli(argv, world);
    return { code, out: world.stdout.text, err: world.stderr.text };
  };
  const map = () => parsePartitionRow(fleet.get("partitions", "metadata/MDS")?.value ?? null);
  const arrive = (instance: string, slots: readonly number[]) => {
    const next = withOwners(map(), instance, new Map(slots.map((slot) => [slot, map().revision])));
    return fleet.add("partitions", "metadata/MDS", partitionRowValue(next));
  };

  test("a map is made over groups that are there, once, and shown", async () => {
    assert.match((await muster("groups", "--map", "MDS")).err, /MDS has no partition map/);
    assert.match((await muster("groups", "--map", "MDS", "--over", "MDS.1,MDS.9")).err, /MDS\.9 has no ordering group/);
    const made = await muster("groups", "--map", "MDS", "--over", "MDS.1,MDS.2");
    assert.equal(made.code, 0, made.err);
    assert.match(made.out, /^GROUP +SLOTS +HAS +GETS *\nMDS\.1 +128 +0-127 *\nMDS\.2 +128 +128-255 *\n$/);
    assert.equal((await muster("groups", "--map", "MDS", "--over", "MDS.1,MDS.2")).code, 1);
    assert.equal((await muster("groups", "--over", "MDS.1,MDS.2")).code, 2);
  });

  test("a move is asked for, shown as long as it is on its way, and may be asked for again", async () => {
    await muster("groups", "--map", "MDS", "--over", "MDS.1,MDS.2");
    const asked = await muster("move", "MDS", "--slot", "3-5", "--to", "MDS.2", "--no-wait");
    assert.equal(asked.code, 0, asked.err);
    assert.match(asked.err, /on the way to MDS\.2: slots 3-5/);
    assert.match((await muster("groups", "--map", "MDS")).out, /MDS\.2 +128 +128-255 +3-5/);
    const { revision } = map();
    assert.equal((await muster("move", "MDS", "--slot", "4", "--to", "MDS.2", "--no-wait")).code, 0);
    assert.equal(map().revision, revision);
    assert.match((await muster("move", "MDS", "--slot", "4", "--to", "MDS.1", "--no-wait")).err, /slot 4 of MDS is on its way to MDS\.2/);
    await arrive("MDS.2", [3, 4, 5]);
    const there = await muster("move", "MDS", "--slot", "3-5", "--to", "MDS.2");
    assert.equal(there.out, "MDS.2 has slots 3-5 of MDS\n");
    assert.deepEqual(JSON.parse((await muster("move", "MDS", "--slot", "3", "--to", "MDS.2", "--json")).out).left, []);
  });

  test("a key stands for its slot; what cannot be meant is refused", async () => {
    await muster("groups", "--map", "MDS", "--over", "MDS.1,MDS.2");
    const asked = await muster("move", "MDS", "--key", "a", "--to", "MDS.1", "--no-wait", "--json");
    assert.deepEqual(JSON.parse(asked.out).slots, [202]);
    for (const wrong of [
      ["--to", "MDS.2"],
      ["--slot", "1"],
      ["--slot", "1", "--key", "a", "--to", "MDS.2"],
      ["--slot", "256", "--to", "MDS.2"],
      ["--slot", "5-3", "--to", "MDS.2"],
    ])
      assert.equal((await muster("move", "MDS", ...wrong)).code, 2, wrong.join(" "));
    assert.match((await muster("move", "MDS", "--slot", "1", "--to", "MDS.7", "--no-wait")).err, /"MDS\.7" is no ordering group/);
  });
});
