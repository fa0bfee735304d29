import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RetryBudget } from "./retry-budget.ts";

test("[I23] over any history, what is paid stays below the burst and the share of first attempts", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 500 }), (history) => {
      const budget = new RetryBudget(0.1, 10);
      let first = 0;
      let paid = 0;
      for (const isFirst of history)
        if (isFirst) {
          first++;
          budget.earn();
        } else if (budget.take()) paid++;
      assert.ok(paid <= 10 + 0.1 * first + 1e-9);
    }),
  );
});

test("a budget that is spent comes back with the traffic, up to its burst", () => {
  const budget = new RetryBudget(0.5, 2);
  assert.deepEqual([budget.take(), budget.take(), budget.take()], [true, true, false]);
  budget.earn();
  assert.equal(budget.take(), false);
  budget.earn();
  assert.equal(budget.take(), true);
  for (let count = 0; count < 100; count++) budget.earn();
  assert.equal(budget.saved, 2);
});

test("what matters less leaves something for what matters more", () => {
  const budget = new RetryBudget(0.1, 10);
  const paid = Array.from({ length: 10 }, () => budget.take(0.2)).filter(Boolean).length;
  assert.deepEqual([paid, budget.take(), budget.take(), budget.take()], [8, true, true, false]);
});
