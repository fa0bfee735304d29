import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError } from "../kernel/index.ts";
import { OneShotBody } from "./body.ts";

/** Chunks, and then an end, or an error. */
async function* source(chunks: readonly unknown[], error?: Error): AsyncGenerator {
  yield* chunks;
  if (error !== undefined) throw error;
}

async function all(body: OneShotBody<unknown>): Promise<unknown[]> {
  const chunks: unknown[] = [];
  for await (const chunk of body.chunks()) chunks.push(chunk);
  return chunks;
}

describe("a body that is read once", () => {
  test("is sent whole by a later attempt while nothing has reached a server and little was read", async () => {
    const body = new OneShotBody(source(["one", "two"]));
    assert.deepEqual(await all(body), ["one", "two"]);
    assert.equal(body.canRepeat(true), true);
    assert.equal(body.canRepeat(false), false);
    assert.deepEqual(await all(body), ["one", "two"]);
  });

  test("keeps an odd chunk for its reader to complain about", async () => {
    assert.deepEqual(await all(new OneShotBody(source(["one", undefined, "two"]))), ["one", undefined, "two"]);
  });

  test("an error of its source is met by each attempt, and never sent as an end", async () => {
    const error = new Error("the disk is gone");
    const body = new OneShotBody(source(["half"], error));
    const read: unknown[] = [];
    await assert.rejects(async () => {
      for await (const chunk of body.chunks()) read.push(chunk);
    }, error);
    assert.deepEqual(read, ["half"]);
    assert.equal(body.failure?.thrown, error);
    assert.deepEqual([body.canRepeat(true), body.canRepeat(false)], [false, false]);
    await assert.rejects(all(body), error);
    await assert.rejects(all(body), error);
  });

  test("an attempt that waits for a chunk meets the error together with the one before it", async () => {
    let fail: (error: Error) => void = () => {};
    const never = { next: () => new Promise<never>((_resolve, reject) => (fail = reject)) };
    const body = new OneShotBody({ [Symbol.asyncIterator]: () => never });
    const earlier = body.chunks().next();
    const later = body.chunks().next();
    const error = new Error("late");
    fail(error);
    await assert.rejects(later, error);
    await assert.rejects(earlier, (thrown) => thrown instanceof MusterError && thrown.code === "fetch/body-used");
  });

  test("once the request has ended it is read no further, and is no empty body", async () => {
    let returned = 0;
    const body = new OneShotBody({
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ done: false as const, value: "more" }),
        return: async () => ({ done: true as const, value: void returned++ }),
      }),
    });
    const reader = body.chunks();
    assert.equal((await reader.next()).value, "more");
    body.end();
    body.end();
    assert.equal(returned, 1);
    await assert.rejects(reader.next(), { code: "fetch/body-used" });
    await assert.rejects(all(body), { code: "fetch/body-used" });
    assert.equal(body.canRepeat(true), false);
  });
});
