import assert from "node:assert/strict";
import { test } from "node:test";
import { Sweep, requireAllPartitions } from "./sweep.ts";

class Objects {
  readonly kept = new Set<string>();

  async *ids(): AsyncGenerator<string> {
    yield* this.kept;
  }

  async delete(id: string): Promise<boolean> {
    return this.kept.delete(id);
  }
}

const options = { orphanAfterMs: 1000, batch: 2 };

test("an object without a file goes when it has been known long enough, never before", async () => {
  const objects = new Objects();
  const sweep = new Sweep(objects, async () => new Set(["used"]), options);
  for (const id of ["used", "orphan", "other"]) objects.kept.add(id);
  assert.equal(await sweep.round(0), 0);
  objects.kept.add("new");
  assert.equal(await sweep.round(999), 0);
  assert.equal(await sweep.round(1000), 2);
  assert.deepEqual([...objects.kept], ["used", "new"]);
  assert.equal(await sweep.round(1999), 1);
});

test("nothing is deleted while a partition is silent, and the age is kept for the next round", async () => {
  const objects = new Objects();
  let silent = true;
  const ask = async () => {
    if (silent) requireAllPartitions(new Set([0, 1, 3]), 4);
    return new Set<string>();
  };
  const sweep = new Sweep(objects, ask, options);
  objects.kept.add("orphan");
  await sweep.round(0);
  await assert.rejects(sweep.round(5000), { code: "filestore/partition-silent" });
  assert.deepEqual([...objects.kept], ["orphan"]);
  silent = false;
  assert.equal(await sweep.round(5001), 1);
});
