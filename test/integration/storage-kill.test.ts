import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type StoredRoll, LmdbStore } from "../../src/storage/index.ts";

const committer = new URL("./storage-committer.ts", import.meta.url).pathname;
const rounds = 24;

/** Lets the committer run for a while, kills it, and returns the last number that it acknowledged. */
async function storm(directory: string, acknowledgementsMin: number, afterMs: number): Promise<number> {
  const child = spawn(process.execPath, [committer, directory], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  let acknowledged = 0;
  const enough = new Promise<void>((resolve) => {
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      acknowledged += chunk.toString().split("\n").length - 1;
      if (acknowledged >= acknowledgementsMin) resolve();
    });
  });
  const exit = once(child, "exit");
  await Promise.race([enough, exit]);
  // The instant must not follow the output, or the kill would always hit the same place of a commit.
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  child.kill("SIGKILL");
  const [code, signal] = await exit;
  assert.deepEqual([code, signal], [null, "SIGKILL"]);
  await new Promise((resolve) => (child.stdout.readableEnded ? resolve(undefined) : child.stdout.once("end", resolve)));
  const whole = output.slice(0, output.lastIndexOf("\n")).split("\n");
  return Number(whole.at(-1));
}

function numberIn(bytes: Uint8Array | undefined): number {
  assert.ok(bytes !== undefined);
  return Buffer.from(bytes).readUInt32LE();
}

/** The store holds exactly the state after batch n: all of it, and nothing of n + 1. Returns n. */
function checkWhole(roll: StoredRoll): number {
  const last = numberIn(roll.meta.get("last"));
  assert.deepEqual(
    Array.from(roll.sessions(), ({ bytes }) => numberIn(bytes)),
    [last],
  );
  const log = Array.from(roll.log(), ({ sequence, bytes }) => [sequence, numberIn(bytes)] as const);
  assert.deepEqual(
    log.map(([sequence]) => sequence),
    Array.from({ length: Math.min(last, 501) }, (_, index) => last - Math.min(last, 501) + 1 + index),
  );
  for (const [sequence, number] of log) assert.equal(number, sequence);
  const expected = new Map<string, number>();
  for (let number = 1; number <= last; number++)
    for (let index = 0; index <= number % 20; index++) expected.set(`key-${index}-${number % 50}`, number);
  const entries = new Map(Array.from(roll.entries(), ({ key, bytes }) => [key, numberIn(bytes)] as const));
  assert.deepEqual(entries, new Map([...entries.keys()].map((key) => [key, expected.get(key)])));
  assert.equal(entries.size, expected.size);
  return last;
}

describe("a process that is killed while it commits", () => {
  test(`[DSD-11] loses no acknowledged batch and leaves no part of one, ${rounds} times in a row`, { timeout: 120_000 }, async () => {
    const root = mkdtempSync(join(tmpdir(), "muster-kill-"));
    const directory = join(root, "roll");
    let unacknowledged = 0;
    let total = 0;
    try {
      for (let round = 0; round < rounds; round++) {
        const acknowledged = await storm(directory, 1 + round * 3, Math.random() * 30);
        const store = new LmdbStore({ directory });
        const kept = checkWhole(await store.open());
        await store.close();
        assert.ok(kept >= acknowledged, `round ${round}: ${acknowledged} was acknowledged, ${kept} is the last kept`);
        assert.ok(kept <= acknowledged + 1, `round ${round}: ${kept} was kept, nobody can have asked for more than ${acknowledged + 1}`);
        if (kept > acknowledged) unacknowledged++;
        total = kept;
      }
    } finally {
      rmSync(root, { recursive: true });
    }
    assert.ok(total > rounds * 20, `only ${total} batches were committed in all`);
    assert.ok(unacknowledged < rounds);
  });
});

/** The system calls of a committer during some acknowledged batches; undefined where tracing is not possible. */
async function tracedCalls(root: string): Promise<{ readonly acknowledged: number; readonly calls: string } | undefined> {
  const trace = join(root, "calls");
  const traced = "trace=openat,fdatasync,fsync,pwrite64,pwritev,writev,write";
  const child = spawn("strace", ["-f", "-y", "-e", traced, "-o", trace, process.execPath, committer, join(root, "roll")], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let acknowledged = 0;
  const outcome = await new Promise<string>((resolve) => {
    child.once("error", () => resolve("no strace"));
    child.once("exit", () => resolve("ended"));
    child.stdout.on("data", (chunk: Buffer) => {
      acknowledged += chunk.toString().split("\n").length - 1;
      if (acknowledged >= 50) resolve("enough");
    });
  });
  if (outcome !== "enough") return undefined;
  const exit = once(child, "exit");
  // The committer is the tracer's only child; when it is gone the tracer ends too.
  execFileSync("sh", ["-c", `kill -9 $(cat /proc/${child.pid}/task/${child.pid}/children)`]);
  await exit;
  return { acknowledged, calls: readFileSync(trace, "utf8") };
}

describe("an acknowledged batch", () => {
  test("was flushed: its pages, and then the meta page that makes them current", { timeout: 60_000 }, async (t) => {
    const root = mkdtempSync(join(tmpdir(), "muster-flush-"));
    try {
      const traced = await tracedCalls(root);
      if (traced === undefined) {
        t.skip("system calls cannot be traced here");
        return;
      }
      // What is written through this handle is on the disk when the call returns.
      const flushing = [...traced.calls.matchAll(/openat\(.*\/roll\.mdb", [A-Z_|]*O_DSYNC.* = (\d+)</g)].at(-1)?.[1];
      assert.ok(flushing !== undefined);
      const metaWrite = new RegExp(`pwrite64\\(${flushing}<.*roll\\.mdb>, .*, (40|4136)\\)`);
      // Each acknowledgement is a write to the pipe; before it: pages, their flush, the meta page (40 bytes into its page or the next).
      const steps = traced.calls.split("\n").flatMap((line) => {
        if (/fdatasync\(\d+<.*roll\.mdb>/.test(line)) return ["flush"];
        if (metaWrite.test(line)) return ["meta"];
        if (/write\(1<.*>, "\d+\\n"/.test(line)) return ["acknowledge"];
        return [];
      });
      const story = steps.join(" ");
      const acknowledgements = steps.filter((step) => step === "acknowledge").length;
      assert.ok(acknowledgements >= traced.acknowledged);
      assert.equal(story.match(/flush meta acknowledge/g)?.length, acknowledgements, story.slice(0, 400));
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});

/** A file system of a few MiB, where the system lets us have one. */
function smallDisk(): { readonly path: string; readonly release: () => void } | undefined {
  const path = mkdtempSync(join(tmpdir(), "muster-full-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", path], { stdio: "ignore" });
  } catch {
    rmSync(path, { recursive: true });
    return undefined;
  }
  return {
    path,
    release: () => {
      execFileSync("umount", [path]);
      rmSync(path, { recursive: true });
    },
  };
}

async function fillUntilFull(store: LmdbStore, from: number): Promise<number> {
  for (let number = from; ; number++) {
    assert.ok(number < from + 10_000, "it never became full");
    const batch = { entries: [{ table: 1, key: String(number), bytes: Buffer.alloc(20_000, number) }] };
    try {
      await store.commit(batch);
    } catch (error) {
      assert.ok(error instanceof Error && "code" in error && "next" in error);
      assert.equal(error.code, "storage/full", error.message);
      assert.match(String(error.next), /free space|limit/);
      return number;
    }
  }
}

function keysOf(roll: StoredRoll): string[] {
  return Array.from(roll.entries(), ({ key }) => key).sort((a, b) => Number(a) - Number(b));
}

describe("a full disk", () => {
  test("rejects the commit, keeps everything before it, and takes commits again once there is room", { timeout: 60_000 }, async (t) => {
    const disk = smallDisk();
    if (disk === undefined) {
      t.skip("no small file system can be mounted here");
      return;
    }
    try {
      const directory = join(disk.path, "roll");
      const ballast = join(disk.path, "ballast");
      writeFileSync(ballast, Buffer.alloc(2 * 1024 * 1024));
      let store = new LmdbStore({ directory });
      await store.open();
      const refused = await fillUntilFull(store, 0);
      assert.ok(refused > 10);
      for (let again = 0; again < 5; again++)
        await assert.rejects(store.commit({ entries: [{ table: 1, key: "big", bytes: Buffer.alloc(200_000) }] }), { code: "storage/full" });
      rmSync(ballast);
      await store.commit({ entries: [{ table: 1, key: String(refused), bytes: Buffer.alloc(20_000) }] });
      const refusedAgain = await fillUntilFull(store, refused + 1);
      assert.ok(refusedAgain > refused + 20);
      await store.close();
      store = new LmdbStore({ directory });
      assert.deepEqual(
        keysOf(await store.open()),
        Array.from({ length: refusedAgain }, (_, index) => String(index)),
      );
      await store.close();
    } finally {
      disk.release();
    }
  });

  test("a file at its limit refuses what makes it bigger and takes what makes it smaller", { timeout: 60_000 }, async () => {
    const root = mkdtempSync(join(tmpdir(), "muster-limit-"));
    mkdirSync(join(root, "roll"));
    try {
      const options = { directory: join(root, "roll"), fileBytesMax: 2 * 1024 * 1024 };
      let store = new LmdbStore(options);
      await store.open();
      const refused = await fillUntilFull(store, 0);
      assert.ok(refused > 50 && refused < 110, String(refused));
      for (let number = 0; number < 20; number++) await store.commit({ entries: [{ table: 1, key: String(number), bytes: undefined }] });
      const refusedAgain = await fillUntilFull(store, refused);
      assert.ok(refusedAgain > refused + 10);
      await store.close();
      store = new LmdbStore({ ...options, fileBytesMax: 8 * 1024 * 1024 });
      assert.deepEqual(
        keysOf(await store.open()),
        Array.from({ length: refusedAgain - 20 }, (_, index) => String(index + 20)),
      );
      await store.commit({ entries: [{ table: 1, key: "more", bytes: Buffer.alloc(200_000) }] });
      await store.close();
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
