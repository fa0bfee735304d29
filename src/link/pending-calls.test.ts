import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type PendingCall, PendingCalls } from "./pending-calls.ts";

const pendingCall = (dueMonoMs = Number.POSITIVE_INFINITY): PendingCall => ({
  id: 0,
  resolve: () => {},
  reject: () => {},
  dueMonoMs,
  release: undefined,
});

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("add" as const), dueMonoMs: fc.nat(1000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("take" as const), which: fc.nat(400) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("due" as const), nowMonoMs: fc.nat(1000) }) },
);

test("calls are found by their id and by nothing else, whatever was added and taken, also where ids wrap", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: "max" }), fc.constantFrom(0, 0xffff_fff0), (steps, lastId) => {
      const calls = new PendingCalls(lastId);
      const model = new Map<number, PendingCall>();
      const gone: number[] = [];
      for (const one of steps) {
        if (one.kind === "add") {
          const call = pendingCall(one.dueMonoMs);
          const id = calls.add(call);
          assert.ok(!model.has(id) && call.id === id && id >= 0 && id <= 0xffff_ffff);
          model.set(id, call);
        } else if (one.kind === "take") {
          const id = [...model.keys()][one.which % Math.max(1, model.size)];
          if (id !== undefined) {
            assert.equal(calls.take(id), model.get(id));
            model.delete(id);
            gone.push(id);
          }
        } else {
          const due = [...model.values()].filter(({ dueMonoMs }) => dueMonoMs <= one.nowMonoMs).map(({ id }) => id);
          assert.deepEqual(new Set(calls.takeDue(one.nowMonoMs).map(({ id }) => id)), new Set(due));
          for (const id of due) model.delete(id);
          gone.push(...due);
        }
        assert.equal(calls.size, model.size);
        assert.equal(
          calls.earliestDueMonoMs(),
          Math.min(Number.POSITIVE_INFINITY, ...[...model.values()].map(({ dueMonoMs }) => dueMonoMs)),
        );
      }
      for (const id of gone) assert.equal(calls.take(id), undefined);
      assert.equal(calls.takeAll().length, model.size);
    }),
    { numRuns: 200 },
  );
});

test("a call that stays for long keeps its id while ids go round it", () => {
  const calls = new PendingCalls();
  const slow = pendingCall();
  const slowId = calls.add(slow);
  for (let count = 0; count < 10_000; count++) {
    const id = calls.add(pendingCall());
    assert.notEqual(id, slowId);
    assert.ok(calls.take(id) !== undefined);
  }
  assert.equal(calls.take(slowId), slow);
});
