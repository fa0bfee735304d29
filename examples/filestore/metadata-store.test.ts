import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type FileRecord, compareNames } from "./file-record.ts";
import { MetadataStore } from "./metadata-store.ts";
import { partitionCount } from "./placement.ts";

async function storeFor(context: TestContext): Promise<{ store: MetadataStore; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), "filestore-"));
  const store = new MetadataStore(folder);
  context.after(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });
  return { store, folder };
}

let objects = 0;
function recordOf(name: string): FileRecord {
  const object = (objects++).toString(16).padStart(32, "0");
  return { name, object, size: 1, sha256: "0".repeat(64), type: "", copies: ["BSS.1", "BSS.2"], createdUnixMs: 1, modifiedUnixMs: 1 };
}

function listAll(store: MetadataStore, prefix: string, limit: number): string[] {
  const names: string[] = [];
  for (let partition = 0; partition < partitionCount; partition++)
    for (let after = "", more = true; more; ) {
      const page = store.list(partition, { prefix, after, limit });
      names.push(...page.records.map(({ name }) => name));
      more = page.more;
      after = page.records.at(-1)?.name ?? "";
    }
  return names.toSorted(compareNames);
}

test("a change must name what it replaces, and the loser is told what stands there", async (context) => {
  const { store } = await storeFor(context);
  const first = recordOf("a");
  assert.deepEqual(await store.put(first, "absent"), { done: true, version: 1 });
  assert.deepEqual(await store.put(recordOf("a"), "absent"), { done: false, current: { ...first, version: 1 } });
  const outcomes = await Promise.all([store.put(recordOf("a"), 1), store.put(recordOf("a"), 1), store.delete("a", 1)]);
  assert.deepEqual(
    outcomes.map(({ done }) => done),
    [true, false, false],
  );
});

test("a version never comes back, not even after a delete and a restart", async (context) => {
  const { store, folder } = await storeFor(context);
  await store.put(recordOf("a"), "absent");
  await store.delete("a", 1);
  await store.close();
  const again = new MetadataStore(folder);
  context.after(() => again.close());
  assert.deepEqual(await again.put(recordOf("a"), "absent"), { done: true, version: 3 });
});

test("a listing walks each partition in the order of the names' bytes, and ends with the prefix", async (context) => {
  const { store } = await storeFor(context);
  const names = [
    "a",
    "a/b",
    "a/b/c",
    "a\u0000",
    "aé",
    "a😀",
    "a\uffff",
    "b",
    "z".repeat(1024),
    ...Array.from({ length: 100 }, (_, n) => `f/${n}`),
  ];
  for (const name of names) await store.put(recordOf(name), "absent");
  assert.deepEqual(listAll(store, "", 3), names.toSorted(compareNames));
  assert.deepEqual(listAll(store, "", 1000), names.toSorted(compareNames));
  for (const prefix of ["a", "a/", "f/", "f/1", "zz", "nothing"])
    assert.deepEqual(listAll(store, prefix, 2), names.filter((name) => name.startsWith(prefix)).toSorted(compareNames), prefix);
});

test("an object is referenced from its put to its replacement", async (context) => {
  const { store } = await storeFor(context);
  const first = recordOf("a");
  const second = recordOf("a");
  await store.put(first, "absent");
  assert.deepEqual(store.referenced([first.object, second.object]), [first.object]);
  await store.put(second, 1);
  assert.deepEqual(store.referenced([first.object, second.object]), [second.object]);
  await store.delete("a", 2);
  assert.deepEqual(store.referenced([first.object, second.object]), []);
});
