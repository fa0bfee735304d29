import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError } from "../kernel/index.ts";
import { bytes, linked, turns } from "../testing/link-sides.ts";
import { encodeMessage } from "./index.ts";

describe("messages and flow", () => {
  test("messages arrive in the order of sending, shared frames and large ones among them", async () => {
    const { near, far } = await linked();
    const shared = encodeMessage(2, bytes("shared"));
    const before = shared.toString("hex");
    const large = encodeMessage(3, Buffer.alloc(10_000, "L"));
    near.link.send(1, bytes("a"));
    near.link.sendFrame(shared);
    near.link.sendFrame(large);
    near.link.send(1, bytes("b"));
    near.link.sendFrame(shared);
    await turns();
    near.link.sendFrame(shared);
    near.link.sendFrame(shared);
    near.link.send(1, bytes("c"));
    await turns();
    assert.deepEqual(
      far.messages.map((message) => message.slice(0, 8)),
      ["1:a", "2:shared", "3:LLLLLL", "1:b", "2:shared", "2:shared", "2:shared", "1:c"],
    );
    assert.equal(shared.toString("hex"), before);
  });

  test("everything sent in one turn is one write, and a lone shared frame is not copied", async () => {
    const { near } = await linked();
    const writes: Uint8Array[] = [];
    const write = near.connection.write.bind(near.connection);
    near.connection.write = (part) => {
      writes.push(part);
      write(part);
    };
    for (let count = 0; count < 10; count++) near.link.send(1, bytes("x"));
    const asking = Array.from({ length: 10 }, () => near.link.call(1, bytes("y")));
    assert.equal(writes.length, 0);
    assert.ok(near.link.bufferedBytes > 0);
    await Promise.all(asking);
    assert.equal(writes.length, 1);
    const shared = encodeMessage(1, bytes("shared"));
    near.link.sendFrame(shared);
    near.link.flush();
    assert.equal(writes[1], shared);
    near.link.sendFrame(shared);
    near.link.sendFrame(shared);
    near.link.flush();
    assert.equal(writes.length, 3, "two small shared frames are joined");
  });

  test("what goes on through a few promises is still the same turn, and one write; what works on through many holds nothing back", async () => {
    const { near } = await linked();
    let writes = 0;
    const write = near.connection.write.bind(near.connection);
    near.connection.write = (part) => {
      writes++;
      write(part);
    };
    const deep = async (steps: number): Promise<void> => {
      if (steps > 0) await deep(steps - 1);
    };
    const sent = Promise.withResolvers<void>();
    setImmediate(() => {
      near.link.send(1, bytes("first"));
      deep(4)
        .then(() => near.link.send(1, bytes("second")))
        .then(sent.resolve, sent.reject);
    });
    await sent.promise;
    await turns();
    assert.equal(writes, 1);
    const worked = Promise.withResolvers<number>();
    setImmediate(() => {
      near.link.send(1, bytes("third"));
      deep(100).then(() => worked.resolve(writes), worked.reject);
    });
    assert.equal(await worked.promise, 2);
  });

  test("a turn that sends much writes its first part early, then parts that grow; the next turn begins small again", async () => {
    const { near, far } = await linked();
    const writes: number[] = [];
    const write = near.connection.write.bind(near.connection);
    near.connection.write = (part) => {
      writes.push(part.length);
      write(part);
    };
    const kilobyte = Buffer.alloc(1024 - 7, "x");
    for (let count = 0; count < 100; count++) near.link.sendParts(1, kilobyte.subarray(0, 7), kilobyte.subarray(7));
    assert.deepEqual(writes, [5 * 1024, 17 * 1024, 65 * 1024]);
    await turns();
    assert.deepEqual(writes.slice(3), [13 * 1024]);
    for (let count = 0; count < 6; count++) near.link.send(1, kilobyte);
    await turns();
    assert.deepEqual(writes.slice(4), [5 * 1024, 1024]);
    assert.equal(far.messages.length, 106);
    near.link.close();
    near.link.sendParts(1, kilobyte, "too late");
    near.link.flush();
    await turns();
    assert.equal(far.messages.length, 106);
    assert.equal(writes.length, 7, "the last is the farewell");
  });

  test("no part grows beyond 256 KiB and a frame, also of frames that many links share", async () => {
    const { near, far } = await linked();
    let most = 0;
    const shared = encodeMessage(1, Buffer.alloc(10_000, "s"));
    const own = Buffer.alloc(1000, "o");
    for (let count = 0; count < 200; count++) {
      near.link.sendFrame(shared);
      for (let copy = 0; copy < 10; copy++) near.link.send(1, own);
      most = Math.max(most, near.link.bufferedBytes - near.connection.bufferedBytes);
    }
    assert.ok(most > 200 * 1024 && most <= 256 * 1024 + shared.length, `${most} bytes waited for their turn to end`);
    await turns();
    assert.equal(far.messages.length, 2200);
  });

  test("a handler of messages that throws ends the link with its reason", async () => {
    const { near, far } = await linked();
    far.onMessage = () => {
      throw new MusterError("roll/bad-message", "cannot be read");
    };
    near.link.send(1, bytes("x"));
    await turns();
    assert.equal(far.end.by, "us");
    assert.equal(near.end.by, "peer");
    assert.equal(near.end.error?.code, "roll/bad-message");
  });

  test("a paused link delivers nothing, what waits is counted, and drain tells when it is gone", async () => {
    const { near, far } = await linked();
    far.link.pause();
    for (let count = 0; count < 40; count++) near.link.send(1, Buffer.alloc(1000));
    await turns();
    assert.equal(far.messages.length, 0);
    assert.ok(near.link.bufferedBytes >= 40_000);
    assert.equal(near.drains, 0);
    far.link.resume();
    await turns();
    assert.equal(far.messages.length, 40);
    assert.deepEqual([near.link.bufferedBytes, near.drains], [0, 1]);
  });

  test("drain also follows when the system took everything at once", async () => {
    const { near } = await linked();
    near.link.send(1, Buffer.alloc(20_000));
    await turns();
    assert.equal(near.drains, 1);
    near.link.send(1, Buffer.alloc(200));
    await turns();
    assert.equal(near.drains, 1);
  });

  test("a peer that asks and reads no answers is refused first; one that reads nothing at all is dropped", async () => {
    const { near, far } = await linked({ farLimits: { answersBufferedBytesMax: 50_000, bufferedBytesMax: 200_000 } });
    far.onCall = () => Buffer.alloc(10_000);
    near.link.pause();
    const outcomes: string[] = [];
    for (let count = 0; count < 20; count++) {
      near.link.call(1, bytes("")).then(
        () => outcomes.push("answered"),
        (error: unknown) => outcomes.push(error instanceof MusterError ? error.code : "?"),
      );
      await turns(3);
    }
    near.link.resume();
    await turns(50);
    assert.equal(outcomes.length, 20);
    assert.ok(outcomes.includes("answered") && outcomes.includes("link/answers-not-read"), String(outcomes));
    near.link.pause();
    for (let count = 0; count < 30; count++) far.link.send(1, Buffer.alloc(10_000));
    await turns();
    assert.equal(far.end.error?.code, "link/peer-too-slow");
    assert.equal(near.end.by, "connection");
  });
});
