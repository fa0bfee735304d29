import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError } from "../kernel/index.ts";
import { bytes, frames, goodHello, linked, stranger, text, turns } from "../testing/link-sides.ts";
import { writeCall, writeCancel, writeHello } from "../wire/index.ts";
import type { CallContext } from "./index.ts";

describe("deadlines and cancellation", () => {
  test("a call ends at its deadline, at most 10 ms late, and one timer serves them all", async () => {
    const { clock, near, far } = await linked();
    far.onCall = () => new Promise(() => {});
    const asked = Array.from({ length: 200 }, (_, index) => 20 + ((index * 37) % 300));
    const startMonoMs = clock.monoMs();
    const late = asked.map((deadlineMs) =>
      near.link.call(1, bytes(""), { deadlineMs }).then(
        () => assert.fail("nobody answered"),
        (error: unknown) => {
          assert.ok(error instanceof MusterError && error.code === "link/deadline-exceeded" && error.effect === "maybe");
          return clock.monoMs() - startMonoMs - deadlineMs;
        },
      ),
    );
    await turns();
    assert.ok(clock.timers <= 2, "one timer a direction");
    for (let ms = 0; ms < 400; ms++) {
      clock.advance(1);
      await turns(2);
    }
    for (const lateMs of await Promise.all(late)) assert.ok(lateMs >= 0 && lateMs <= 10, `${lateMs} ms late`);
    assert.equal(clock.timers, 0);
  });

  test("the deadline travels as remaining time, and the callee's signal aborts with it", async () => {
    const { clock, near, far } = await linked();
    let context: CallContext | undefined;
    far.onCall = (_method, _body, given) => {
      context = given;
      return new Promise(() => {});
    };
    const asking = assert.rejects(near.link.call(1, bytes(""), { deadlineMs: 250 }), { code: "link/deadline-exceeded" });
    await turns();
    assert.equal((context?.deadlineMonoMs ?? 0) - clock.monoMs(), 250);
    assert.equal(context?.signal.aborted, false);
    clock.advance(260);
    await asking;
    await turns();
    assert.equal(context?.signal.aborted, true);
  });

  test("a deadline that is not in the future asks nobody", async () => {
    const { near, far } = await linked();
    far.onCall = () => assert.fail("asked");
    for (const deadlineMs of [0, -1, Number.NaN])
      await assert.rejects(near.link.call(1, bytes(""), { deadlineMs }), { code: "link/deadline-exceeded", effect: "none" });
  });

  test("an abort rejects at once with the signal's reason and aborts the callee; a late answer is for nobody", async () => {
    const { near, far } = await linked();
    const answer = Promise.withResolvers<Uint8Array>();
    let signal: AbortSignal | undefined;
    far.onCall = (_method, _body, context) => {
      ({ signal } = context);
      return answer.promise;
    };
    const controller = new AbortController();
    const reason = new Error("changed my mind");
    const asking = near.link.call(1, bytes(""), { signal: controller.signal });
    await turns();
    controller.abort(reason);
    await assert.rejects(asking, reason);
    await turns();
    assert.ok(signal?.aborted === true && signal.reason instanceof MusterError && signal.reason.code === "link/cancelled");
    answer.resolve(bytes("late"));
    await turns();
    far.onCall = () => bytes("next");
    assert.equal(text(await near.link.call(1, bytes(""))), "next");
    await assert.rejects(near.link.call(1, bytes(""), { signal: controller.signal }), reason);
  });

  test("a call that was cancelled is not answered, however its handler ends", async () => {
    const { near, wire, received } = stranger();
    const answers = [Promise.withResolvers<Uint8Array>(), Promise.withResolvers<Uint8Array>()];
    near.onCall = (method) => answers[method]?.promise ?? bytes("");
    const opening = near.open();
    wire.write(
      frames((writer) => [writeHello(writer, goodHello), writeCall(writer, 1, 0, 0, bytes("")), writeCall(writer, 2, 0, 1, bytes(""))]),
    );
    await opening;
    wire.write(frames((writer) => [writeCancel(writer, 1), writeCancel(writer, 2), writeCancel(writer, 99)]));
    await turns();
    const before = Buffer.concat(received).length;
    answers[0]?.resolve(bytes("late"));
    answers[1]?.reject(new Error("late"));
    await turns();
    assert.equal(Buffer.concat(received).length, before);
    assert.deepEqual(near.logged, []);
  });

  test("an answered call leaves no listener on its signal", async () => {
    const { near } = await linked();
    const controller = new AbortController();
    let listeners = 0;
    const { signal } = controller;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => [add(...args), listeners++];
    signal.removeEventListener = (...args: Parameters<typeof remove>) => [remove(...args), listeners--];
    await near.link.call(1, bytes(""), { signal });
    assert.equal(listeners, 0);
  });

  test("a signal that is asked for after the caller gave up is aborted already", async () => {
    const { near, far } = await linked();
    let context: CallContext | undefined;
    far.onCall = (_method, _body, given) => {
      context = given;
      return new Promise(() => {});
    };
    const controller = new AbortController();
    const asking = near.link.call(1, bytes(""), { signal: controller.signal });
    await turns();
    controller.abort();
    await assert.rejects(asking);
    await turns();
    assert.equal(context?.signal.aborted, true);
  });
});
