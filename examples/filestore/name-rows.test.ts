import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compareNames } from "./file-record.ts";
import { MemoryRows } from "./memory-rows.ts";
import { listNames, readName, removeName, writeName } from "./name-rows.ts";

const characters = ["a", "b", "/", "\u0000", "é", "\ud7ff", "\ue000", "\ue001", "\uffff", "😀", "\u{10ffff}"];
/** Few long beginnings, so that names share them, and ends that fall on both sides of where they are cut. */
const nameOf = fc
  .tuple(
    fc.constantFrom("", "x".repeat(398), "x".repeat(400), "é".repeat(200), `${"x".repeat(399)}😀`, "y".repeat(799), "y".repeat(800)),
    fc.array(fc.constantFrom(...characters), { maxLength: 6 }),
  )
  .map(([start, rest]) => start + rest.join(""))
  .filter((name) => name !== "" && Buffer.byteLength(name) <= 1024);

function filled(names: readonly string[]): MemoryRows {
  const rows = new MemoryRows();
  for (const name of names) writeName(rows, 1, name, Buffer.from(name));
  return rows;
}

function listed(rows: MemoryRows, prefix: string, after?: string): string[] {
  return Array.from(listNames(rows, 1, prefix, after), (bytes) => Buffer.from(bytes).toString());
}

test("names of any length are listed in the order of their bytes, below a prefix and after a name", () => {
  fc.assert(
    fc.property(fc.uniqueArray(nameOf, { maxLength: 30 }), nameOf, fc.nat(1024), nameOf, (names, prefixed, cut, after) => {
      const rows = filled(names);
      const sorted = names.toSorted(compareNames);
      assert.deepEqual(listed(rows, ""), sorted);
      const prefix = prefixed.slice(0, cut).toWellFormed() === prefixed.slice(0, cut) ? prefixed.slice(0, cut) : "";
      assert.deepEqual(
        listed(rows, prefix, after),
        sorted.filter((name) => name.startsWith(prefix) && compareNames(name, after) > 0),
      );
    }),
    { numRuns: 300 },
  );
});

test("what is removed leaves nothing behind, and what is written twice counts once", () => {
  fc.assert(
    fc.property(fc.uniqueArray(nameOf, { maxLength: 12 }), fc.nat(12), (names, kept) => {
      const rows = filled([...names, ...names]);
      for (const name of names.slice(kept)) {
        removeName(rows, 1, name);
        removeName(rows, 1, name);
        assert.equal(readName(rows, 1, name), undefined);
      }
      assert.deepEqual(new Set(rows.rows.keys()), new Set(filled(names.slice(0, kept)).rows.keys()));
      assert.deepEqual(listed(rows, ""), names.slice(0, kept).toSorted(compareNames));
    }),
    { numRuns: 200 },
  );
});

test("partitions do not see one another's names", () => {
  const rows = filled(["a", "z".repeat(1024)]);
  assert.deepEqual([...listNames(rows, 2, "")], []);
  assert.equal(readName(rows, 2, "a"), undefined);
});
