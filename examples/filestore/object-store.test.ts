import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type TestContext, test } from "node:test";
import { blockBytes } from "./object-file.ts";
import { ObjectStore } from "./object-store.ts";

const id = "0123456789abcdef0123456789abcdef";

async function temporaryFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "filestore-"));
  context.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Bytes that differ everywhere, in chunks that fit no block. */
function bytesOf(size: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: size }, (_, index) => (index * 31 + (index >> 8)) & 255));
}

async function* chunksOf(bytes: Buffer, chunkBytes = 60_001): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

async function readAll(store: ObjectStore, startByte?: number, endByte?: number): Promise<Buffer> {
  await using object = await store.open(id);
  assert.ok(object);
  const chunks: Buffer[] = [];
  for await (const chunk of object.read(startByte, endByte)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test("an object of any size comes back as it was, with its SHA-256, also after a restart", async (context) => {
  const folder = await temporaryFolder(context);
  for (const size of [0, 1, blockBytes - 1, blockBytes, blockBytes + 1, 3 * blockBytes + 7]) {
    const bytes = bytesOf(size);
    const store = await ObjectStore.open(folder);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    assert.deepEqual(await store.write(id, chunksOf(bytes)), { size, sha256 });
    const again = await ObjectStore.open(folder);
    assert.deepEqual(await readAll(again), bytes);
    assert.deepEqual(await Readable.from(again.ids()).toArray(), [id]);
  }
});

test("any range is exactly those bytes", async (context) => {
  const store = await ObjectStore.open(await temporaryFolder(context));
  const bytes = bytesOf(2 * blockBytes + 100);
  await store.write(id, chunksOf(bytes));
  const edges = [0, 1, blockBytes - 1, blockBytes, blockBytes + 1, 2 * blockBytes, bytes.length - 1];
  for (const start of edges)
    for (const end of edges) if (start <= end) assert.deepEqual(await readAll(store, start, end), bytes.subarray(start, end + 1));
});

test("damage on the disk is found before a damaged byte leaves, in a full read and in a range", async (context) => {
  const folder = await temporaryFolder(context);
  const store = await ObjectStore.open(folder);
  const bytes = bytesOf(3 * blockBytes);
  await store.write(id, chunksOf(bytes));
  const path = join(folder, "objects", "01", id);
  const stored = await readFile(path);
  const damagedAt = 64 + blockBytes + 5;
  stored[damagedAt] = (stored[damagedAt] ?? 0) ^ 1;
  await writeFile(path, stored);
  await assert.rejects(readAll(store), { code: "filestore/damaged-object" });
  await assert.rejects(readAll(store, blockBytes + 100, blockBytes + 200), { code: "filestore/damaged-object" });
  assert.deepEqual(await readAll(store, 0, 10), bytes.subarray(0, 11));
});

test("a file that lost its end, or whose header was overwritten, is damaged and not empty", async (context) => {
  const folder = await temporaryFolder(context);
  const store = await ObjectStore.open(folder);
  const path = join(folder, "objects", "01", id);
  await store.write(id, chunksOf(bytesOf(1000)));
  await truncate(path, 500);
  await assert.rejects(store.open(id), { code: "filestore/damaged-object" });
  await writeFile(path, Buffer.alloc(2000));
  await assert.rejects(store.open(id), { code: "filestore/damaged-object" });
});

test("a source that fails leaves nothing, and what a crash left is gone after the next start", async (context) => {
  const folder = await temporaryFolder(context);
  const store = await ObjectStore.open(folder);
  const breaks = async function* () {
    yield bytesOf(100);
    throw new Error("the client has gone");
  };
  await assert.rejects(store.write(id, breaks()), /the client has gone/);
  assert.equal(await store.open(id), undefined);
  assert.deepEqual(await readdir(join(folder, "incoming")), []);
  await writeFile(join(folder, "incoming", `${id}.torn`), "half");
  await ObjectStore.open(folder);
  assert.deepEqual(await readdir(join(folder, "incoming")), []);
});

test("an object is deleted once", async (context) => {
  const store = await ObjectStore.open(await temporaryFolder(context));
  await store.write(id, chunksOf(bytesOf(10)));
  assert.equal(await store.delete(id), true);
  assert.equal(await store.delete(id), false);
  assert.equal(await store.open(id), undefined);
});
