import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type PartitionRow,
  flawOfPartition,
  moveOf,
  ownerOf,
  parsePartitionRow,
  partitionRowValue,
  readPartitionRow,
  slotOf,
  slotsCount,
  spreadOver,
  withMoves,
  withOwners,
} from "./partition-row.ts";

const map = spreadOver(["MDS.1", "MDS.2", "MDS.3"]);
const moving = (): PartitionRow => withMoves(map, [0, 1, 200], "MDS.2") ?? map;

describe("partition maps", () => {
  test("every key has a slot, always the same", () => {
    assert.equal(slotOf("a"), 0xca);
    const slots = new Set(Array.from({ length: 5000 }, (_, at) => slotOf(`key ${at}`)));
    assert.equal(slots.size, slotsCount);
  });

  test("a new one gives all slots away in equal parts, and comes back from its row as it was", () => {
    assert.deepEqual(
      map.runs.map(({ first, last, instance }) => [first, last, instance]),
      [
        [0, 85, "MDS.1"],
        [86, 170, "MDS.2"],
        [171, 255, "MDS.3"],
      ],
    );
    for (const one of [map, moving()]) assert.deepEqual(parsePartitionRow(partitionRowValue(one)), one);
    assert.equal(flawOfPartition(undefined, map), undefined);
    assert.notEqual(flawOfPartition(undefined, moving()), undefined);
  });

  test("a move names the revision at which it was asked for; it is over when its slot has an owner of that revision", () => {
    const asked = moving();
    assert.deepEqual(moveOf(asked, 200), { slot: 200, to: "MDS.2", revision: 2 });
    assert.equal(ownerOf(asked, 200)?.instance, "MDS.3");
    assert.equal(withMoves(asked, [0, 100], "MDS.2"), undefined);
    const done = withOwners(asked, "MDS.2", new Map([[200, 2]]));
    assert.equal(flawOfPartition(asked, done), undefined);
    assert.deepEqual(
      done.moves.map(({ slot }) => slot),
      [0, 1],
    );
    assert.deepEqual(ownerOf(done, 200), { first: 200, last: 200, instance: "MDS.2", revision: 2 });
    assert.equal(done.revision, 3);
    assert.notEqual(flawOfPartition(done, asked), undefined);
    assert.notEqual(flawOfPartition(done, { ...done, revision: 4, moves: [] }), undefined);
    assert.notEqual(flawOfPartition(done, { ...withOwners(done, "MDS.3", new Map([[200, 2]])) }), undefined);
  });

  test("what an owner knows better than an older map is put in, and a wish that is younger stays", () => {
    const wished = withMoves(withMoves(map, [7], "MDS.3") ?? map, [8], "MDS.3") ?? map;
    const known = withOwners(
      wished,
      "MDS.2",
      new Map([
        [7, 9],
        [8, 2],
      ]),
    );
    assert.equal(known.revision, 9);
    assert.deepEqual(known.moves, [{ slot: 8, to: "MDS.3", revision: 3 }]);
    assert.equal(flawOfPartition(wished, known), undefined);
  });

  test("a row that cannot be one is refused", () => {
    const value = partitionRowValue(moving());
    assert.ok(typeof value === "object" && value !== null && !Array.isArray(value));
    const run = { first: 0, last: 255, instance: "MDS.1", revision: 1 };
    for (const wrong of [
      null,
      {},
      { ...value, revision: 0 },
      { ...value, slots: 128 },
      { ...value, runs: [] },
      { ...value, runs: [{ ...run, last: 254 }] },
      { ...value, runs: [{ ...run, revision: 3 }] },
      { ...value, runs: [run, run] },
      { ...value, moves: [{ slot: 1, to: "MDS.1", revision: 2 }] },
      { ...value, moves: [{ slot: 256, to: "MDS.2", revision: 2 }] },
      { ...value, moves: [{ slot: 1, to: "MDS.2", revision: 1 }] },
    ]) {
      assert.throws(() => parsePartitionRow(wrong), { code: "tables/bad-partition" });
      assert.equal(readPartitionRow(wrong), undefined);
    }
  });
});
