import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { namesTag, parseByteRange } from "./byte-range.ts";

test("a range names its first and last byte, an open end, or a suffix", () => {
  assert.deepEqual(parseByteRange("bytes=0-0", 10), { kind: "part", startByte: 0, endByte: 0 });
  assert.deepEqual(parseByteRange("bytes=4-", 10), { kind: "part", startByte: 4, endByte: 9 });
  assert.deepEqual(parseByteRange("bytes=-3", 10), { kind: "part", startByte: 7, endByte: 9 });
  assert.deepEqual(parseByteRange("bytes=2-900", 10), { kind: "part", startByte: 2, endByte: 9 });
  assert.deepEqual(parseByteRange("bytes=-900", 10), { kind: "part", startByte: 0, endByte: 9 });
});

test("a range behind the end cannot be satisfied", () => {
  assert.deepEqual(parseByteRange("bytes=10-", 10), { kind: "unsatisfiable" });
  assert.deepEqual(parseByteRange("bytes=0-", 0), { kind: "unsatisfiable" });
  assert.deepEqual(parseByteRange("bytes=-0", 10), { kind: "unsatisfiable" });
});

test("what is not one well-formed range is the whole", () => {
  for (const header of [undefined, "", "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b"])
    assert.deepEqual(parseByteRange(header, 10), { kind: "whole" }, String(header));
});

test("a range that is given never leaves the representation", () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.nat(2000), fc.nat(2000), (size, first, last) => {
      const range = parseByteRange(`bytes=${first}-${last}`, size);
      if (range.kind !== "part") return;
      assert.ok(range.startByte >= 0 && range.startByte <= range.endByte && range.endByte < size);
    }),
  );
});

test("an entity tag is found in a list, weak or not, and * is whatever exists", () => {
  assert.equal(namesTag('"a", W/"b"', '"b"'), true);
  assert.equal(namesTag('"a"', '"b"'), false);
  assert.equal(namesTag("*", '"b"'), true);
  assert.equal(namesTag("*", undefined), false);
});
