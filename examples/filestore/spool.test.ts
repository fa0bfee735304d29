import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Spool, SpoolMemory } from "./spool.ts";

async function spoolFor(context: TestContext, memory: SpoolMemory, memoryBytesMax = 1000): Promise<{ spool: Spool; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), "filestore-"));
  const spool = new Spool({ folder, memory, memoryBytesMax });
  context.after(async () => {
    await spool.close();
    await rm(folder, { recursive: true, force: true });
  });
  return { spool, folder };
}

async function readAll(spool: Spool): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of spool.read()) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const chunks = Array.from({ length: 50 }, (_, index) => Buffer.from(String(index).padStart(100, ".")));

test("readers that come early, late and twice all get every byte, from memory and from the file", async (context) => {
  const { spool, folder } = await spoolFor(context, new SpoolMemory(10_000));
  const early = readAll(spool);
  let midway: Promise<string> | undefined;
  await spool.fill(
    (async function* () {
      for (const [index, chunk] of chunks.entries()) {
        if (index === 25) midway = readAll(spool);
        yield chunk;
      }
    })(),
  );
  const whole = Buffer.concat(chunks).toString();
  assert.equal(spool.size, whole.length);
  assert.equal(await early, whole);
  assert.equal(await midway, whole);
  assert.equal(await readAll(spool), whole);
  assert.deepEqual(await readdir(folder), [], "the spool file has no name");
});

test("uploads share the memory, and give it back", async (context) => {
  const memory = new SpoolMemory(1000);
  const { spool } = await spoolFor(context, memory);
  await spool.fill(chunks.slice(0, 10));
  assert.equal(memory.take(1), false);
  const { spool: other } = await spoolFor(context, memory);
  await other.fill(chunks);
  assert.equal((await readAll(other)).length, 5000);
  await spool.close();
  assert.equal(memory.take(1000), true);
});

test("a source that fails fails every reader, also one that waits", async (context) => {
  const { spool } = await spoolFor(context, new SpoolMemory(1000));
  const waiting = readAll(spool);
  const failing = spool.fill(
    (async function* () {
      yield Buffer.from("a");
      throw new Error("the client has gone");
    })(),
  );
  await assert.rejects(failing, /the client has gone/);
  await assert.rejects(waiting, /the client has gone/);
  await assert.rejects(readAll(spool), /the client has gone/);
});
