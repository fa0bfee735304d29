import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError } from "../kernel/index.ts";
import { Side, bytes, frames, goodHello, sides, stranger, text, turns } from "../testing/link-sides.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { memoryPair } from "../testing/memory-connection.ts";
import { writeCall, writeCancel, writeHello, writeMessage } from "../wire/index.ts";

describe("handshake", () => {
  test("the highest version that both speak is agreed on, and each side gets the other's hello", async () => {
    const clock = new ManualClock();
    const pair = memoryPair();
    const near = new Side(pair.near, clock, { versions: { min: 1, max: 3 }, hello: { name: "near" } });
    const far = new Side(pair.far, clock, { versions: { min: 2, max: 5 }, hello: ["far", 1] });
    const [a, b] = await Promise.all([near.open(), far.open()]);
    assert.deepEqual([a.version, b.version, a.peerHello, b.peerHello], [3, 3, ["far", 1], { name: "near" }]);
    assert.equal(clock.timers, 0);
  });

  test("without a common version both sides close and name both ranges", async () => {
    const clock = new ManualClock();
    const pair = memoryPair();
    const near = new Side(pair.near, clock, { versions: { min: 1, max: 2 } });
    const far = new Side(pair.far, clock, { versions: { min: 3, max: 4 } });
    for (const [result, ours, theirs] of [
      [near.open(), "1 to 2", "3 to 4"],
      [far.open(), "3 to 4", "1 to 2"],
    ] as const)
      await assert.rejects(result, (error: unknown) => {
        assert.ok(error instanceof MusterError && error.code === "link/no-common-version");
        assert.ok(error.message.includes(ours) && error.message.includes(theirs), error.message);
        return true;
      });
    assert.equal(near.ends.length + far.ends.length, 0);
    assert.equal(clock.timers, 0);
  });

  test("a peer that says nothing is given up after three seconds", async () => {
    const { near, received } = stranger();
    const opening = near.open();
    const clock = near.options.clock;
    assert.ok(clock instanceof ManualClock);
    clock.advance(2999);
    assert.equal(clock.timers, 1);
    clock.advance(1);
    await assert.rejects(opening, { code: "link/handshake-timeout" });
    await turns();
    assert.ok(Buffer.concat(received).includes("link/handshake-timeout"));
  });

  test("accept runs before any later frame, may send at once, and sees what came in the same chunk only afterwards", async () => {
    const { near, far } = sides();
    const order: string[] = [];
    near.onAccept = (link) => {
      link.send(1, bytes("first"));
      void link.call(2, bytes("ask")).then((answer) => order.push(`answered ${text(answer)}`));
    };
    far.onAccept = () => void order.push("accepted");
    far.onMessage = (kind) => void order.push(`message ${kind}`);
    far.onCall = (method, body) => {
      order.push(`call ${method}`);
      return Buffer.from(body);
    };
    await Promise.all([near.open(), far.open()]);
    await turns();
    assert.deepEqual(order, ["accepted", "message 1", "call 2", "answered ask"]);
  });

  test("accept refuses with a reason that the peer learns", async () => {
    const { near, far } = sides();
    const refusal = new MusterError("roll/other-fleet", "you belong to another fleet", { next: "check --parent" });
    far.onAccept = () => {
      throw refusal;
    };
    const opening = near.open();
    await assert.rejects(far.open(), refusal);
    // The refusal comes after the far side's hello, so the near side was open for a moment.
    await opening;
    await turns();
    assert.equal(near.end.by, "peer");
    assert.deepEqual(near.end.error?.toJSON(), refusal.toJSON());
    assert.equal(far.ends.length, 0);
  });

  test("what accept throws by mistake is logged here and not told to the peer", async () => {
    const { near, far } = sides();
    far.onAccept = () => {
      throw new Error("secret detail");
    };
    void near.open();
    await assert.rejects(far.open(), { code: "link/handler-failed" });
    await turns();
    assert.equal(near.end.error?.code, "link/handler-failed");
    assert.ok(!JSON.stringify(near.end.error).includes("secret"));
    assert.deepEqual(far.logged, ["link-handler-failed secret detail"]);
  });

  test("a link closed inside accept is never handed out", async () => {
    const { near, far } = sides();
    far.onAccept = (link) => link.close(new MusterError("roll/closed", "closing"));
    void near.open();
    await assert.rejects(far.open(), { code: "roll/closed" });
    await turns();
    assert.equal(far.ends.length, 0);
    assert.equal(near.end.error?.code, "roll/closed");
  });

  test("frames before the hello, a second hello and a hello that is none end the link", async () => {
    const cases: Record<string, Buffer> = {
      "call first": frames((writer) => writeCall(writer, 1, 0, 1, bytes("x"))),
      "message first": frames((writer) => writeMessage(writer, 1, bytes("x"))),
      "cancel first": frames((writer) => writeCancel(writer, 1)),
      "no versions": frames((writer) => writeHello(writer, { hello: 1 })),
      "versions upside down": frames((writer) => writeHello(writer, { versions: [3, 1] })),
      "a large frame": frames((writer) => writeMessage(writer, 1, Buffer.alloc(100_000))),
    };
    for (const [title, frame] of Object.entries(cases)) {
      const { near, wire, received } = stranger();
      const opening = near.open();
      wire.write(frame);
      await assert.rejects(opening, { code: title === "a large frame" ? "wire/frame-too-large" : "link/unexpected-frame" }, title);
      await turns();
      assert.ok(Buffer.concat(received).includes(title === "a large frame" ? "wire/frame-too-large" : "link/unexpected-frame"), title);
    }
    const { near, wire } = stranger();
    const opening = near.open();
    wire.write(frames((writer) => [writeHello(writer, goodHello), writeHello(writer, goodHello)]));
    await opening;
    await turns();
    assert.equal(near.end.error?.code, "link/unexpected-frame");
  });
});
