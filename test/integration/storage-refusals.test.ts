import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
  closeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { open as openLmdb } from "lmdb";
import { MusterError } from "../../src/kernel/index.ts";
import { LmdbStore } from "../../src/storage/index.ts";

/** What `open()` refuses, and that it leaves the place as it found it. */

let root = "";
before(() => {
  root = mkdtempSync(join(tmpdir(), "muster-refusals-"));
});
after(() => rmSync(root, { recursive: true }));

let directories = 0;
function newDirectory(): string {
  directories++;
  return join(root, `roll-${directories}`);
}

/** A directory with a roll of 2,000 entries, long records among them, and deleted ones. */
async function filled(): Promise<string> {
  const directory = newDirectory();
  const store = new LmdbStore({ directory });
  await store.open();
  await store.commit({
    meta: [["fleet", Buffer.from("f")]],
    entries: Array.from({ length: 2000 }, (_, index) => ({
      table: 1,
      key: `key-${index}`,
      bytes: Buffer.alloc(index % 100 === 0 ? 6000 : 80, index),
    })),
  });
  await store.commit({ entries: Array.from({ length: 300 }, (_, index) => ({ table: 1, key: `key-${index * 3}`, bytes: undefined })) });
  await store.close();
  return directory;
}

/** Everything that could be changed: names, contents, sizes, times. */
function stateOf(directory: string): unknown {
  return readdirSync(directory)
    .sort()
    .map((name) => {
      const path = join(directory, name);
      const { size, mtimeMs, mode } = statSync(path);
      return { name, size, mtimeMs, mode, hash: createHash("sha256").update(readFileSync(path)).digest("hex") };
    });
}

async function refuses(directory: string, code: string, cause: RegExp): Promise<void> {
  const before = stateOf(directory);
  await assert.rejects(new LmdbStore({ directory }).open(), (error: unknown) => {
    assert.ok(error instanceof MusterError, String(error));
    assert.equal(error.code, code, error.message);
    assert.ok(error.message.includes(directory), error.message);
    assert.match(error.message, cause);
    assert.ok((error.next ?? "").length > 10);
    return true;
  });
  assert.deepEqual(stateOf(directory), before);
}

function overwrite(path: string, at: number, bytes: Uint8Array): void {
  const file = openSync(path, "r+");
  writeSync(file, bytes, 0, bytes.length, at);
  closeSync(file);
}

describe("an LMDB store refuses, and changes nothing", () => {
  test("a missing directory is created for its owner alone", async () => {
    const directory = join(newDirectory(), "deep", "down");
    const store = new LmdbStore({ directory });
    await store.open();
    assert.equal(statSync(directory).mode & 0o777, 0o700);
    assert.equal(statSync(join(directory, "roll.mdb")).mode & 0o777, 0o600);
    await store.close();
    assert.deepEqual(readdirSync(directory).sort(), ["roll.mdb", "roll.mdb-lock"]);
  });

  test("a directory with other files", async () => {
    const directory = newDirectory();
    mkdirSync(directory);
    writeFileSync(join(directory, "holiday.jpg"), "x");
    await refuses(directory, "storage/foreign", /holiday\.jpg/);
  });

  test("but not one whose files belong to other parts of the node", async () => {
    const directory = newDirectory();
    mkdirSync(directory);
    writeFileSync(join(directory, "secret"), "x");
    const store = new LmdbStore({ directory, companions: ["secret"] });
    await store.open();
    await store.close();
  });

  test("a file in place of a directory", async () => {
    const path = newDirectory();
    writeFileSync(path, "x");
    await assert.rejects(new LmdbStore({ directory: path }).open(), { code: "storage/foreign" });
    assert.equal(readFileSync(path, "utf8"), "x");
  });

  test("an LMDB file of another program, with and without named databases, and an empty one", async () => {
    for (const fill of ["plain", "named", "empty"]) {
      const directory = newDirectory();
      mkdirSync(directory);
      const other = openLmdb<string, string>({ path: join(directory, "roll.mdb"), encoding: "string" });
      if (fill === "plain") await other.put("a", "b");
      if (fill === "named") await other.openDB<string, string>({ name: "theirs" }).put("a", "b");
      await other.close();
      await refuses(directory, "storage/foreign", /LMDB file/);
    }
  });

  test("a file that is empty, garbage, or another format", async () => {
    for (const content of [Buffer.alloc(0), Buffer.from("SQLite format 3\0"), Buffer.alloc(100_000, 0xa5), Buffer.alloc(8192)]) {
      const directory = newDirectory();
      mkdirSync(directory);
      writeFileSync(join(directory, "roll.mdb"), content);
      await refuses(directory, "storage/damaged", /damaged/);
    }
  });

  test("a file that was cut off anywhere", async () => {
    const whole = statSync(join(await filled(), "roll.mdb")).size;
    for (const bytes of [1, 100, 4096, 8191, 8192, 12_288, Math.floor(whole / 2), whole - 40_960]) {
      const directory = await filled();
      truncateSync(join(directory, "roll.mdb"), bytes);
      await refuses(directory, "storage/damaged", /cut off|overwritten|left|holds something else/);
    }
  });

  test("a file in which any page in use was overwritten, or a single bit of a record has turned", async () => {
    const directory = await filled();
    const path = join(directory, "roll.mdb");
    const sound = readFileSync(path);
    let refusals = 0;
    for (let page = 0; page * 4096 < sound.length; page++) {
      const damage = page % 2 === 0 ? Buffer.alloc(4096, 0x5a) : Buffer.from([(sound[page * 4096 + 4000] ?? 0) ^ 1]);
      overwrite(path, page * 4096 + (damage.length === 1 ? 4000 : 0), damage);
      const found = await outcome(directory);
      assert.ok(found === "sound" || found === "storage/damaged", found);
      if (found !== "sound") refusals++;
      overwrite(path, 0, sound);
    }
    // What is not refused lies in free pages, in unused room of a page, or in the older meta page.
    assert.ok(refusals > (sound.length / 4096) * 0.5, `${refusals} of ${sound.length / 4096} pages`);
    assert.equal(await outcome(directory), "sound");
  });

  test("a layout of the future", async () => {
    const directory = newDirectory();
    mkdirSync(directory);
    const future = openLmdb<Buffer, Uint8Array>({ path: join(directory, "roll.mdb"), encoding: "binary", keyEncoding: "binary" });
    const header = Buffer.concat([Buffer.alloc(4), Buffer.from("muster-roll\0"), Buffer.from([9, 0, 0, 0])]);
    const { crc32 } = await import("node:zlib");
    header.writeUInt32LE(crc32(header.subarray(4), crc32(Uint8Array.of(0))));
    await future.put(Uint8Array.of(0), header);
    // Records of a layout that is not known are not judged.
    await future.put(Uint8Array.of(77), Buffer.from("no checksum"));
    await future.close();
    await refuses(directory, "storage/newer-layout", /layout 9/);
  });
});

async function outcome(directory: string): Promise<string> {
  const store = new LmdbStore({ directory });
  try {
    const roll = await store.open();
    let entries = 0;
    for (const _ of roll.entries()) entries++;
    await store.close();
    return entries === 1700 ? "sound" : `${entries} entries`;
  } catch (error) {
    return error instanceof MusterError ? error.code : String(error);
  }
}

const holder = new URL("./storage-holder.ts", import.meta.url).pathname;

function hold(directory: string) {
  const child = spawn(process.execPath, [holder, directory], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { child, said: async () => String((await lines.next()).value) };
}

describe("the ownership of a directory", () => {
  test("a live process keeps it, whoever asks; a killed one's is taken over", { timeout: 30_000 }, async () => {
    const directory = await filled();
    const owner = hold(directory);
    assert.equal(await owner.said(), "open");
    // A live owner may write its own files at any time; what others leave untouched is seen while it is stopped.
    assert.equal(await outcome(directory), "storage/busy");
    owner.child.kill("SIGSTOP");
    await refuses(directory, "storage/busy", new RegExp(`process ${owner.child.pid}`));
    owner.child.kill("SIGKILL");
    await once(owner.child, "exit");
    assert.equal(await outcome(directory), "sound");
    assert.equal(readdirSync(directory).filter((name) => name.startsWith("owner-")).length, 0);
  });

  test("a claim whose pid now belongs to another process is taken over", async () => {
    const directory = await filled();
    writeFileSync(join(directory, `owner-00000000000000000001-${process.pid}-abcdef01_1`), "");
    assert.equal(await outcome(directory), "sound");
  });

  test("of processes that start in the same instant exactly one wins", { timeout: 120_000 }, async () => {
    for (let round = 0; round < 8; round++) {
      const directory = round % 2 === 0 ? await filled() : newDirectory();
      // A crashed owner's claim makes them all want to take over.
      if (round % 2 === 0) writeFileSync(join(directory, "owner-00000000000000000001-999999999-abcdef01_1"), "");
      const racers = Array.from({ length: 4 }, () => hold(directory));
      const said = await Promise.all(racers.map((racer) => racer.said()));
      assert.deepEqual(said.sort(), ["open", "storage/busy", "storage/busy", "storage/busy"]);
      const exits = racers.map((racer) => once(racer.child, "exit"));
      for (const racer of racers) racer.child.stdin.end();
      await Promise.all(exits);
    }
  });
});
