import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Setback, type Standing, isFree, judge, stricter } from "./decide.ts";
import type { RequestEffect } from "./options.ts";

const setbacks: readonly Setback[] = [
  "gone",
  "avoided",
  "lost",
  "abandoned",
  "unreached",
  "impatient",
  "silent",
  "turned-away",
  "overloaded",
  "reclassified",
];
const effects: readonly RequestEffect[] = ["read", "repeatable", "write"];
const failures: readonly Setback[] = ["gone", "lost", "abandoned"];

function each(check: (setback: Setback, standing: Standing) => void): void {
  for (const setback of setbacks)
    for (const effect of effects)
      for (const sent of [true, false]) for (const freeMoves of [0, 1, 5]) check(setback, { effect, sent, freeMoves });
}

describe("what follows from a setback", () => {
  test("[I22] a write that was sent is never sent again, except when its server says that it has not begun", () => {
    each((setback, standing) => {
      if (standing.effect !== "write" || !standing.sent) return;
      const verdict = judge(setback, standing);
      if (["turned-away", "overloaded", "reclassified", "unreached"].includes(setback)) return;
      assert.ok(verdict === "unknown" || verdict === "stay" || setback === "impatient", `${setback}: ${verdict}`);
    });
  });

  test("what was not sent moves whatever it does, and never ends as unknown", () => {
    each((setback, standing) => {
      if (standing.sent) return;
      const verdict = judge(setback, standing);
      assert.notEqual(verdict, "unknown");
      assert.notEqual(verdict, "stay");
      if (failures.includes(setback)) assert.equal(verdict, "move");
    });
  });

  test("[I23] the first re-send of dead work is free, each later one is paid for", () => {
    for (const setback of failures)
      for (const effect of ["read", "repeatable"] as const) {
        assert.equal(judge(setback, { effect, sent: true, freeMoves: 0 }), "move");
        assert.equal(judge(setback, { effect, sent: true, freeMoves: 1 }), "move-paid");
      }
  });

  test("a server that is to be avoided, or is not heard, keeps its writes and loses its reads, at the budget's expense after the first", () => {
    for (const setback of ["avoided", "silent"] as const) {
      assert.equal(judge(setback, { effect: "write", sent: true, freeMoves: 0 }), "stay");
      assert.equal(judge(setback, { effect: "read", sent: true, freeMoves: 0 }), "leave");
      assert.equal(judge(setback, { effect: "read", sent: true, freeMoves: 1 }), "leave");
      assert.equal(judge(setback, { effect: "write", sent: false, freeMoves: 0 }), "leave");
    }
    assert.equal(isFree({ effect: "read", sent: true, freeMoves: 0 }), true);
    assert.equal(isFree({ effect: "read", sent: true, freeMoves: 1 }), false);
    assert.equal(isFree({ effect: "write", sent: false, freeMoves: 1 }), true);
  });

  test("asking where too much is asked already is always paid for", () => {
    each((setback, standing) => {
      if (setback === "overloaded") assert.equal(judge(setback, standing), "move-paid");
    });
  });
});

test("of two opinions on a type the stricter counts", () => {
  for (const [index, a] of effects.entries())
    for (const [other, b] of effects.entries()) assert.equal(stricter(a, b), effects[Math.max(index, other)]);
});
