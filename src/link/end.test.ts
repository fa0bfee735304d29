import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MusterError } from "../kernel/index.ts";
import { bytes, frames, goodHello, linked, stranger, text, turns } from "../testing/link-sides.ts";
import { writeHello } from "../wire/index.ts";

describe("end", () => {
  test("close sends what is queued and the reason; each side is told once", async () => {
    const { clock, near, far } = await linked();
    near.link.send(1, bytes("last words"));
    near.link.close(new MusterError("roll/leaving", "this node stops"));
    near.link.close();
    assert.equal(near.ends.length, 0, "not from inside close");
    near.link.send(1, bytes("too late"));
    await turns();
    assert.deepEqual(far.messages, ["1:last words"]);
    assert.deepEqual([near.end.by, near.end.error?.code, far.end.by, far.end.error?.code], ["us", "roll/leaving", "peer", "roll/leaving"]);
    assert.deepEqual([near.link.isOpen, far.link.isOpen, clock.timers], [false, false, 0]);
  });

  test("an orderly close carries no error", async () => {
    const { near, far } = await linked();
    far.link.close();
    await turns();
    assert.deepEqual([near.ends, far.ends], [[{ by: "peer" }], [{ by: "us" }]]);
  });

  test("pending calls end with link/closed, effect maybe; later ones with effect none; handlers' signals abort", async () => {
    for (const end of ["close", "break"] as const) {
      const { clock, near, far } = await linked();
      let signal: AbortSignal | undefined;
      far.onCall = (_method, _body, context) => {
        ({ signal } = context);
        return new Promise(() => {});
      };
      const calls = [
        near.link.call(1, bytes("")),
        near.link.call(1, bytes(""), { deadlineMs: 1000, signal: new AbortController().signal }),
      ];
      await turns();
      if (end === "close") far.link.close(new MusterError("roll/leaving", "this node stops"));
      else near.connection.breakOff(new MusterError("transport/reset", "cut"));
      for (const call of calls) await assert.rejects(call, { code: "link/closed", effect: "maybe" });
      await assert.rejects(near.link.call(1, bytes("")), { code: "link/closed", effect: "none" });
      await turns();
      assert.equal(signal?.aborted, true);
      assert.deepEqual([near.end.by, near.end.error?.code], end === "close" ? ["peer", "roll/leaving"] : ["connection", "transport/reset"]);
      assert.equal(clock.timers, 0);
    }
  });

  test("a connection that breaks before the handshake rejects the opening", async () => {
    const { near } = stranger();
    const opening = near.open();
    near.connection.breakOff(new MusterError("transport/reset", "cut"));
    await assert.rejects(opening, { code: "transport/reset" });
    const quiet = stranger();
    const other = quiet.near.open();
    quiet.wire.end();
    await assert.rejects(other, { code: "link/closed" });
  });

  test("garbage ends its own link with a reason to the peer and harms no other", async () => {
    const other = await linked();
    for (const garbage of [
      Buffer.alloc(64, 0xff),
      Buffer.from([1, 0, 0, 0, 99]),
      Buffer.from([0, 0, 0, 0]),
      Buffer.from([2, 0, 0, 0, 3, 1]),
    ]) {
      const { near, wire, received, closed } = stranger();
      const opening = near.open();
      wire.write(frames((writer) => writeHello(writer, goodHello)));
      await opening;
      wire.write(garbage);
      await turns();
      const code = near.end.error?.code ?? "none";
      assert.ok(near.end.by === "us" && code.startsWith("wire/"), code);
      assert.ok(Buffer.concat(received).includes(code));
      assert.ok(closed());
    }
    assert.equal(text(await other.near.link.call(1, bytes("still here"))), "still here");
  });

  test("whatever a peer sends after its hello, the link lives on or ends with an error of its own; nothing else is thrown", async () => {
    const chunk = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.tuple(fc.nat(9), fc.uint8Array({ maxLength: 20 })).map(([kind, rest]) => Uint8Array.of(rest.length + 1, 0, 0, 0, kind, ...rest)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(chunk, { maxLength: 10 }), async (chunks) => {
        const { near, wire } = stranger();
        const opening = near.open();
        wire.write(frames((writer) => writeHello(writer, goodHello)));
        const link = await opening;
        const call = link.call(1, bytes("q")).catch((error: unknown) => error);
        for (const one of chunks) wire.write(one);
        await turns(5);
        if (link.isOpen) link.close();
        else assert.ok(near.end.by === "peer" || near.end.error instanceof MusterError);
        const outcome = await call;
        assert.ok(outcome instanceof Uint8Array || outcome instanceof MusterError, String(outcome));
      }),
      { numRuns: 300 },
    );
  });

  test("frames behind a close are not delivered", async () => {
    const { near, far } = await linked();
    far.onMessage = (kind) => {
      far.messages.push(String(kind));
      if (kind === 1) far.link.close();
    };
    near.link.send(1, bytes(""));
    near.link.send(2, bytes(""));
    await turns();
    assert.deepEqual(far.messages, ["1"]);
  });

  test("a link may be closed from inside its handlers", async () => {
    const { near, far } = await linked();
    far.onCall = () => {
      far.link.close();
      return bytes("unsent");
    };
    await assert.rejects(near.link.call(1, bytes("")), { code: "link/closed", effect: "maybe" });
    assert.equal(near.end.by, "peer");
  });
});
