import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type FileRecord, compareNames } from "./file-record.ts";
import { mergePages } from "./listing.ts";
import { partitionCount, partitionOf } from "./placement.ts";

function recordOf(name: string): FileRecord {
  return {
    name,
    object: "0".repeat(32),
    size: 0,
    sha256: "0".repeat(64),
    type: "",
    copies: ["BSS.1"],
    createdUnixMs: 0,
    modifiedUnixMs: 0,
  };
}

/** What the metadata servers answer: each partition's first `limit` names after `after`. */
function pagesOf(names: readonly string[], after: string, limit: number) {
  return Array.from({ length: partitionCount }, (_, partition) => {
    const mine = names
      .filter((name) => partitionOf("metadata", name) === partition && compareNames(name, after) > 0)
      .toSorted(compareNames);
    return { records: mine.slice(0, limit).map(recordOf), more: mine.length > limit };
  });
}

test("page after page gives every name once, in the order of its bytes", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.string({ unit: "grapheme", minLength: 1, maxLength: 6 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 9 }),
      (names, limit) => {
        const seen: string[] = [];
        for (let after: string | undefined = ""; after !== undefined; ) {
          const page = mergePages(pagesOf(names, after, limit), limit);
          assert.ok(page.files.length <= limit);
          seen.push(...page.files.map(({ name }) => name));
          after = page.next;
        }
        assert.deepEqual(seen, names.toSorted(compareNames));
      },
    ),
  );
});

test("the last page has no next", () => {
  assert.equal(mergePages(pagesOf(["a", "b"], "", 2), 2).next, undefined);
  assert.equal(mergePages(pagesOf(["a", "b", "c"], "", 2), 2).next, "b");
  assert.deepEqual(mergePages(pagesOf([], "", 2), 2), { files: [] });
});
