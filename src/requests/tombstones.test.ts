import assert from "node:assert/strict";
import { test } from "node:test";
import { Tombstones } from "./tombstones.ts";

test("[I23] a tombstone stops the attempt that it names, once, and no other attempt of the same request", () => {
  const tombstones = new Tombstones(10);
  tombstones.add("caller", 7, 1, 1000, 0);
  assert.equal(tombstones.take("caller", 7, 2), false);
  assert.equal(tombstones.take("other", 7, 1), false);
  assert.equal(tombstones.take("caller", 7, 1), true);
  assert.equal(tombstones.take("caller", 7, 1), false);
});

test("at the limit those past their deadline go first, then the oldest", () => {
  const tombstones = new Tombstones(3);
  tombstones.add("c", 1, 1, 5000, 0);
  tombstones.add("c", 2, 1, 10, 0);
  tombstones.add("c", 3, 1, 5000, 0);
  tombstones.add("c", 4, 1, 5000, 20);
  assert.deepEqual([tombstones.size, tombstones.take("c", 1, 1), tombstones.take("c", 2, 1)], [3, true, false]);
  tombstones.add("c", 5, 1, 5000, 20);
  tombstones.add("c", 6, 1, 5000, 20);
  assert.deepEqual([tombstones.size, tombstones.take("c", 3, 1), tombstones.take("c", 4, 1)], [3, false, true]);
});
