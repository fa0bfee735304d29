import assert from "node:assert/strict";
import { test } from "node:test";
import { type FileRecord, compareNames } from "./file-record.ts";
import { MemoryRows } from "./memory-rows.ts";
import { deleteRecord, isOpen, listRecords, open, putRecord, readRecord, referencedObjects, takeOver } from "./metadata-records.ts";
import { partitionCount } from "./placement.ts";

let objects = 0;
function recordOf(name: string): FileRecord {
  const object = (objects++).toString(16).padStart(32, "0");
  return { name, object, size: 1, sha256: "0".repeat(64), type: "", copies: ["BSS.1", "BSS.2"], createdUnixMs: 1, modifiedUnixMs: 1 };
}

function listAll(rows: MemoryRows, prefix: string, limit: number): string[] {
  const names: string[] = [];
  for (let partition = 0; partition < partitionCount; partition++)
    for (let after = "", more = true; more; ) {
      const page = listRecords(rows, partition, { prefix, after, limit });
      names.push(...page.records.map(({ name }) => name));
      more = page.more;
      after = page.records.at(-1)?.name ?? "";
    }
  return names.toSorted(compareNames);
}

test("a change must name what it replaces, and the loser is told what stands there", () => {
  const rows = new MemoryRows();
  const first = recordOf("a");
  assert.deepEqual(putRecord(rows, first, "absent"), { done: true, version: 1 });
  assert.deepEqual(putRecord(rows, recordOf("a"), "absent"), { done: false, current: { ...first, version: 1 } });
  assert.equal(putRecord(rows, recordOf("a"), 1).done, true);
  assert.equal(putRecord(rows, recordOf("a"), 1).done, false);
  assert.equal(deleteRecord(rows, "a", 1).done, false);
});

test("a version never comes back, not even after a delete", () => {
  const rows = new MemoryRows();
  putRecord(rows, recordOf("a"), "absent");
  deleteRecord(rows, "a", 1);
  assert.deepEqual(putRecord(rows, recordOf("a"), "absent"), { done: true, version: 3 });
});

test("a listing ends with its page, at a limit of records or of bytes, and goes on from there", () => {
  const rows = new MemoryRows();
  const names = ["a", "a/b", "aé", "a😀", "b", "z".repeat(1024), ...Array.from({ length: 100 }, (_, n) => `f/${n}`)];
  for (const name of names) putRecord(rows, recordOf(name), "absent");
  assert.deepEqual(listAll(rows, "", 3), names.toSorted(compareNames));
  for (const prefix of ["a", "a/", "f/1", "zz", "nothing"])
    assert.deepEqual(listAll(rows, prefix, 2), names.filter((name) => name.startsWith(prefix)).toSorted(compareNames), prefix);
  // Each takes six times its length in JSON: an answer with a thousand of them would not fit into a frame.
  const long = Array.from({ length: 1500 }, (_, n) => `${"\u0001".repeat(1000)}${n}`);
  for (const name of long) putRecord(rows, recordOf(name), "absent");
  assert.ok(listRecords(rows, 0, { prefix: "\u0001", after: "", limit: 1000 }).more);
  assert.deepEqual(listAll(rows, "\u0001", 1000), long.toSorted(compareNames));
});

test("an object is referenced from its put to its replacement", () => {
  const rows = new MemoryRows();
  const first = recordOf("a");
  const second = recordOf("a");
  putRecord(rows, first, "absent");
  assert.deepEqual(referencedObjects(rows, [first.object, second.object]), [first.object]);
  putRecord(rows, second, 1);
  assert.deepEqual(referencedObjects(rows, [first.object, second.object]), [second.object]);
  deleteRecord(rows, "a", 2);
  assert.deepEqual(referencedObjects(rows, [first.object, second.object]), []);
});

test("records of an earlier format are taken over with their versions, and the rows say when they are complete", () => {
  const rows = new MemoryRows();
  const former = { ...recordOf("a"), version: 7 };
  assert.equal(isOpen(rows), false);
  takeOver(rows, [former]);
  takeOver(rows, [former]);
  assert.equal(isOpen(rows), false);
  open(rows, 9);
  assert.equal(isOpen(rows), true);
  assert.deepEqual(readRecord(rows, "a"), former);
  assert.deepEqual(referencedObjects(rows, [former.object]), [former.object]);
  assert.deepEqual(putRecord(rows, recordOf("a"), 7), { done: true, version: 10 });
  rows.put("format", Buffer.from("2"));
  assert.throws(() => isOpen(rows), { code: "filestore/other-format" });
});
