import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type GroupRow, groupEpochBlock } from "../tables/index.ts";
import { EnoughCopies } from "./enough-copies.ts";

const row = (epoch: number, count: number, copiesMin: number): GroupRow => {
  const members = Array.from({ length: count }, (_, at) => ({ server: `MDS.1.${at + 1}`, replica: "a".repeat(16) }));
  return { epoch, members, synchronising: "MDS.1.1", copiesMin };
};

const nothing = { epoch: 0, index: 0 };

describe("whether enough members hold an outcome for it to be told", () => {
  test("not while there are too few, but for what was committed when there were enough", () => {
    const copies = new EnoughCopies();
    assert.equal(copies.rowChanged(row(1, 2, 2), nothing, 1), false);
    assert.equal(copies.mayTell(5, { epoch: 1, index: 5 }), true);
    assert.equal(copies.rowChanged(row(2, 1, 2), { epoch: 1, index: 5 }, 2), false);
    assert.deepEqual(
      [5, 6].map((index) => copies.mayTell(index, { epoch: 2, index: 6 })),
      [true, false],
    );
    assert.equal(copies.rowChanged(row(3, 2, 2), { epoch: 2, index: 6 }, 3), true);
    assert.equal(copies.mayTell(6, { epoch: 2, index: 6 }), true);
  });

  test("not in a row of another block, before something of its own is committed, unless one copy is enough", () => {
    for (const copiesMin of [1, 2]) {
      const copies = new EnoughCopies();
      copies.rowChanged(row(groupEpochBlock, 2, copiesMin), { epoch: 3, index: 4 }, groupEpochBlock);
      assert.equal(copies.mayTell(4, { epoch: 3, index: 4 }), copiesMin === 1);
      assert.equal(copies.mayTell(4, { epoch: groupEpochBlock, index: 5 }), true);
    }
  });

  test("a row of another block in which nothing was committed makes sure of nothing, when members are given up again", () => {
    const copies = new EnoughCopies();
    copies.rowChanged(row(2, 2, 2), { epoch: 2, index: 31 }, 2);
    copies.rowChanged(row(3, 1, 2), { epoch: 2, index: 31 }, 3);
    // Committed by the one that was left, and told to nobody; then an older roll is put back, which names two again.
    const alone = { epoch: 2, index: 37 };
    copies.rowChanged(row(groupEpochBlock, 2, 2), alone, groupEpochBlock);
    copies.rowChanged(row(groupEpochBlock + 1, 1, 2), alone, groupEpochBlock + 1);
    const told = (epoch: number) => [31, 32, 37].map((index) => copies.mayTell(index, { epoch, index: 38 }));
    assert.deepEqual(told(groupEpochBlock + 1), [true, false, false]);
    copies.rowChanged(row(groupEpochBlock + 2, 2, 2), { epoch: groupEpochBlock + 1, index: 38 }, groupEpochBlock + 2);
    assert.deepEqual(told(groupEpochBlock + 1), [true, true, true]);
  });

  test("not of an epoch that is promised before its row is seen, whose members nobody knows here", () => {
    const copies = new EnoughCopies();
    copies.rowChanged(row(1, 3, 3), nothing, 1);
    copies.promising(2, 5);
    copies.promising(3, 6);
    const told = () => [5, 6].map((index) => copies.mayTell(index, { epoch: 2, index: 6 }));
    assert.deepEqual(told(), [true, false]);
    copies.rowChanged(row(2, 2, 3), { epoch: 2, index: 6 }, 3);
    assert.deepEqual(told(), [true, false], "and that it was told of the older row is not forgotten");
    copies.rowChanged(row(3, 3, 3), { epoch: 2, index: 6 }, 3);
    assert.deepEqual(told(), [true, true]);
  });

  test("nothing by a row that is older than what was promised in a former life", () => {
    const copies = new EnoughCopies();
    copies.rowChanged(row(4, 2, 2), { epoch: 4, index: 9 }, 5);
    assert.equal(copies.mayTell(9, { epoch: 4, index: 9 }), false);
    copies.rowChanged(row(5, 2, 2), { epoch: 4, index: 9 }, 5);
    assert.equal(copies.mayTell(9, { epoch: 4, index: 9 }), true);
  });
});
