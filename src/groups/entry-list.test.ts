import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EntryList } from "./entry-list.ts";
import { type Entry, makeEntry } from "./entry.ts";

const action = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("append" as const), size: fc.integer({ min: 1, max: 300 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("drop" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }) },
);

test("a list of entries is a list of entries, however it is cut at both ends", () => {
  fc.assert(
    fc.property(fc.array(fc.array(action, { maxLength: 60 }), { maxLength: 30 }), (parts) => {
      const list = new EntryList();
      let model: Entry[] = [];
      let base = { epoch: 0, index: 0 };
      let epoch = 1;
      for (const one of parts.flat()) {
        if (one.kind === "append") {
          const lease = "x".repeat(one.size);
          const entry = makeEntry(epoch, base.index + model.length + 1, { kind: "lease-ended", lease });
          list.append(entry);
          model.push(entry);
        } else if (one.kind === "cut") {
          model = model.slice(0, Math.floor(model.length * one.share));
          list.cut(base.index + model.length);
          epoch++;
        } else {
          const count = Math.floor(model.length * one.share);
          const last = model[count - 1];
          list.dropTo(base.index + count);
          model = model.slice(count);
          if (last !== undefined) base = { epoch: last.epoch, index: last.index };
        }
        assert.deepEqual(list.base, base);
        assert.equal(list.end, base.index + model.length);
      }
      const last = model.at(-1);
      assert.deepEqual(list.last, last === undefined ? base : { epoch: last.epoch, index: last.index });
      assert.deepEqual(list.slice(base.index, list.end, Number.POSITIVE_INFINITY), model);
      const bytes = model.reduce((sum, entry) => sum + entry.bytes.length, 0);
      assert.equal(list.bytesBetween(base.index, list.end), bytes);
      for (const entry of model) assert.ok(list.has(entry) && list.at(entry.index) === entry);
      assert.equal(list.at(base.index), undefined);
      assert.equal(list.at(list.end + 1), undefined);
    }),
  );
});

test("what may stay is bounded by bytes and by number, and what is not committed always stays", () => {
  const list = new EntryList();
  for (let index = 1; index <= 10; index++) list.append(makeEntry(1, index, { kind: "lease-ended", lease: "x".repeat(97) }));
  assert.equal(list.bytesBetween(0, 10), 1000);
  assert.equal(list.keepFrom(10, 1000, 10), 1);
  assert.equal(list.keepFrom(10, 250, 10), 9);
  assert.equal(list.keepFrom(10, 1000, 3), 8);
  assert.equal(list.keepFrom(5, 250, 3), 6);
});
