import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { InvariantError, MusterError, limits } from "../kernel/index.ts";
import { bytes, frames, goodHello, linked, stranger, text, turns } from "../testing/link-sides.ts";
import { writeCall, writeHello } from "../wire/index.ts";

describe("calls", () => {
  test("many calls in both directions get their own answers, whatever the cutting", async () => {
    for (const chunkBytesMax of [1, 13, 100_000]) {
      const { near, far } = await linked({ chunkBytesMax });
      far.onCall = (method, body) => bytes(`${method}/${text(body)}`);
      near.onCall = async (method, body) => bytes(`${method}+${text(body)}`);
      const asked = Array.from({ length: 100 }, (_, index) => index);
      const answers = await Promise.all(asked.flatMap((index) => [near.link.call(index, bytes("n")), far.link.call(index, bytes("f"))]));
      assert.deepEqual(
        answers.map(text),
        asked.flatMap((index) => [`${index}/n`, `${index}+f`]),
      );
    }
  });

  test("an answer stays whole after its chunk is gone, and the question may be changed after the call", async () => {
    const { near } = await linked();
    const body = bytes("question");
    const asking = near.link.call(1, body);
    body.fill(0);
    const answer = await asking;
    await turns();
    assert.equal(text(answer), "question");
  });

  test("answers come back in the order in which they are ready", async () => {
    const { near, far } = await linked();
    const first = Promise.withResolvers<Uint8Array>();
    far.onCall = (method) => (method === 1 ? first.promise : bytes("second"));
    const order: string[] = [];
    const slow = near.link.call(1, bytes("")).then((answer) => order.push(text(answer)));
    await near.link.call(2, bytes("")).then((answer) => order.push(text(answer)));
    first.resolve(bytes("first"));
    await slow;
    assert.deepEqual(order, ["second", "first"]);
  });

  test("errors of a handler cross the link with code, effect and next step; other failures without their text", async () => {
    const { near, far } = await linked();
    const refusal = new MusterError("roll/key-claimed", "taken", { effect: "done", next: "choose another key" });
    const failures: (() => Uint8Array | Promise<Uint8Array>)[] = [
      () => {
        throw refusal;
      },
      () => Promise.reject(refusal),
      () => {
        throw new TypeError("secret detail");
      },
      () => Promise.reject(new TypeError("secret detail")),
    ];
    far.onCall = (method) => failures[method]?.() ?? bytes("");
    for (const method of [0, 1])
      await assert.rejects(near.link.call(method, bytes("")), (error: unknown) => {
        assert.deepEqual(error instanceof MusterError && error.toJSON(), refusal.toJSON());
        return true;
      });
    for (const method of [2, 3])
      await assert.rejects(near.link.call(method, bytes("")), (error: unknown) => {
        assert.ok(error instanceof MusterError && error.code === "link/handler-failed" && error.effect === "maybe");
        assert.ok(!JSON.stringify(error).includes("secret"));
        return true;
      });
    assert.deepEqual(far.logged, ["link-handler-failed secret detail", "link-handler-failed secret detail"]);
    assert.equal(near.link.isOpen, true);
  });

  test("a broken invariant in a handler is not answered: it stops the process", async () => {
    let caught: unknown;
    const { near, far } = await linked({
      defer: (callback) =>
        queueMicrotask(() => {
          try {
            callback();
          } catch (thrown) {
            caught = thrown;
          }
        }),
    });
    far.onCall = () => {
      throw new InvariantError("two primaries");
    };
    near.link.call(1, bytes("")).catch(() => {});
    await turns();
    assert.ok(caught instanceof InvariantError);
    near.link.close();
  });

  test("what is too large is refused at the side that would send it, and the link lives on", async () => {
    const { near, far } = await linked();
    const large = Buffer.alloc(limits.frameBytesMax);
    await assert.rejects(near.link.call(1, large), { code: "wire/frame-too-large", effect: "none" });
    assert.throws(() => near.link.send(1, large), { code: "wire/frame-too-large" });
    far.onCall = () => large;
    await assert.rejects(near.link.call(1, bytes("")), { code: "wire/frame-too-large" });
    far.onCall = () => bytes("small");
    assert.equal(text(await near.link.call(1, bytes(""))), "small");
  });

  test("above the limit of calls in flight a call is refused on either side, without effect", async () => {
    const never = new Promise<Uint8Array>(() => {});
    const ours = await linked({ nearLimits: { callsMax: 3 } });
    ours.far.onCall = () => never;
    for (let count = 0; count < 3; count++) ours.near.link.call(1, bytes("")).catch(() => {});
    await assert.rejects(ours.near.link.call(1, bytes("")), { code: "link/too-many-calls", effect: "none" });
    const theirs = await linked({ farLimits: { callsMax: 3 } });
    theirs.far.onCall = () => never;
    for (let count = 0; count < 3; count++) theirs.near.link.call(1, bytes("")).catch(() => {});
    await assert.rejects(theirs.near.link.call(1, bytes("")), { code: "link/too-many-calls", effect: "none" });
    for (const { link } of [ours.near, theirs.near]) link.close();
  });

  test("a call with the id of one that is still being worked on ends the link", async () => {
    const { near, wire } = stranger();
    near.onCall = () => new Promise(() => {});
    const opening = near.open();
    wire.write(
      frames((writer) => [writeHello(writer, goodHello), writeCall(writer, 7, 0, 1, bytes("")), writeCall(writer, 7, 0, 1, bytes(""))]),
    );
    await opening;
    await turns();
    assert.equal(near.end.error?.code, "link/unexpected-frame");
  });

  test("sixteen thousand calls in flight at once are all answered", async () => {
    const { near, far } = await linked();
    const waiting: ((answer: Uint8Array) => void)[] = [];
    far.onCall = (_method, body) => new Promise((resolve) => waiting.push(() => resolve(Buffer.from("a"))) && Buffer.from(body));
    const calls = Array.from({ length: 16_384 }, () => near.link.call(1, bytes("q")));
    await turns(50);
    assert.equal(waiting.length, 16_384);
    for (const answer of waiting.toReversed()) answer(bytes(""));
    assert.equal((await Promise.all(calls)).length, 16_384);
  });
});
