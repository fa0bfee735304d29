import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LatencyEstimate } from "./latency-estimate.ts";

test("quantiles are within seven percent of the sorted samples", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0.001, max: 100_000, noNaN: true }), { minLength: 20, maxLength: 300 }), (samples) => {
      const estimate = new LatencyEstimate();
      for (const ms of samples) estimate.add(ms, 0);
      const sorted = samples.toSorted((a, b) => a - b);
      for (const share of [0.5, 0.95, 0.999]) {
        const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
        const estimated = estimate.quantileMs(share) ?? Number.NaN;
        assert.ok(Math.abs(estimated - exact) <= exact * 0.07 + 0.001, `${share}: ${estimated} instead of ${exact}`);
      }
    }),
  );
});

test("nothing is known before twenty samples, and a slow server does not poison the delay", () => {
  const estimate = new LatencyEstimate();
  for (let count = 0; count < 19; count++) estimate.add(2, 0);
  assert.equal(estimate.hedgeMs(0.1), undefined);
  for (let count = 0; count < 81; count++) estimate.add(2, 0);
  for (let count = 0; count < 20; count++) estimate.add(2000, 0);
  const delayMs = estimate.hedgeMs(0.1) ?? Number.NaN;
  assert.ok(delayMs > 5.5 && delayMs < 6.5, `${delayMs} ms`);
});

test("the delay lies where most of the budget begins, between twice and three times the median", () => {
  const estimate = new LatencyEstimate();
  for (let count = 0; count < 1000; count++) estimate.add(count < 900 ? 10 : count < 940 ? 24 : 200, 0);
  const delayMs = estimate.hedgeMs(0.1) ?? Number.NaN;
  assert.ok(delayMs > 23 && delayMs < 25, `${delayMs} ms`);
  const equal = new LatencyEstimate();
  for (let count = 0; count < 100; count++) equal.add(10, 0);
  assert.ok((equal.hedgeMs(0.1) ?? 0) > 19);
});

test("what is older than thirty seconds is forgotten, as long as there is something newer", () => {
  const estimate = new LatencyEstimate();
  for (let count = 0; count < 100; count++) estimate.add(100, 0);
  assert.ok((estimate.quantileMs(0.5) ?? 0) > 90);
  for (let second = 1; second <= 45; second++) for (let count = 0; count < 10; count++) estimate.add(1, second * 1000);
  assert.ok((estimate.quantileMs(0.99) ?? 0) < 1.1);
  assert.ok(estimate.count <= 300, `${estimate.count} samples`);
  // Whoever asks once a minute goes on with what it knows.
  for (let minute = 2; minute < 6; minute++) estimate.add(1, minute * 60_000);
  assert.ok(estimate.count > 20);
});
