import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SequenceWindow } from "./multicast-window.ts";

test("each number counts once, in whatever order they come", () => {
  const window = new SequenceWindow(64);
  assert.deepEqual(
    [1, 3, 2, 3, 1, 64, 1, 65, 66, 2, 3].map((sequence) => window.take(sequence)),
    [true, true, true, false, false, true, false, true, true, false, false],
  );
});

test("what is further back than the window counts as if it had come; a leap forgets nothing that matters", () => {
  const window = new SequenceWindow(64);
  assert.ok(window.take(1000));
  assert.equal(window.take(936), false);
  assert.ok(window.take(937) && window.take(999));
  assert.ok(window.take(5000) && window.take(4999) && !window.take(4999) && !window.take(1000));
});

test("against a set of all that have come: never twice, and always the first time within the window", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 300 }), (sequences) => {
      const window = new SequenceWindow(128);
      const come = new Set<number>();
      let highest = 0;
      for (const sequence of sequences) {
        const isNew = !come.has(sequence) && sequence > highest - 128;
        assert.equal(window.has(sequence), !isNew);
        assert.equal(window.take(sequence), isNew);
        come.add(sequence);
        highest = Math.max(highest, sequence);
      }
    }),
  );
});
