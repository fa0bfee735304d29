import assert from "node:assert/strict";
import { test } from "node:test";
import { Barrier } from "./barrier.ts";
import type { Marker } from "./child.ts";

/** Only what a barrier looks at. */
interface MarkedChild {
  following: boolean;
  markers: Marker[];
}

function children(count: number): MarkedChild[] {
  return Array.from({ length: count }, () => ({ following: true, markers: [] }));
}

test("a barrier ends when every stream has answered, and not before", () => {
  const barrier = new Barrier<MarkedChild>();
  const all = children(2);
  let done = 0;
  barrier.start(all, 7, () => done++);
  const [a, b] = all;
  assert.ok(a !== undefined && b !== undefined);
  const id = a.markers[0]?.id ?? 0;
  assert.deepEqual(a.markers, [{ id, sequence: 7 }]);
  barrier.answered(a, id);
  barrier.answered(a, id);
  assert.equal(done, 0);
  barrier.left(b);
  assert.equal(done, 1);
  assert.equal(barrier.size, 0);
});

test("a barrier over no children ends at once; a child that follows nothing is not waited for", () => {
  const barrier = new Barrier<MarkedChild>();
  let done = 0;
  barrier.start([], 1, () => done++);
  barrier.start([{ following: false, markers: [] }], 1, () => done++);
  assert.equal(done, 2);
});
