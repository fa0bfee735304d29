import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LatencyHistogram } from "./latency-histogram.ts";

function histogramOf(times: readonly number[]): LatencyHistogram {
  const histogram = new LatencyHistogram();
  for (const time of times) histogram.add(time);
  return histogram;
}

test("a quantile is at most a quarter above the true one, and never below it", () => {
  const times = fc.array(fc.double({ min: 0.0625, max: 65_000, noNaN: true }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(times, fc.constantFrom(0.5, 0.9, 0.99, 0.999), (all, share) => {
      const sorted = all.toSorted((a, b) => a - b);
      const exact = sorted[Math.ceil(share * all.length) - 1] ?? 0;
      const told = histogramOf(all).quantileMs(share);
      assert.ok(told > exact && told <= exact * 1.25 * (1 + 1e-9), `${told} for ${exact}`);
    }),
  );
});

test("each doubling tells how many took less, the last one tells all", () => {
  const times = fc.array(fc.double({ min: 0, max: 200_000, noNaN: true }), { maxLength: 100 });
  fc.assert(
    fc.property(times, (all) => {
      const histogram = histogramOf(all);
      const rows = histogram.octaves();
      assert.equal(rows.length, 22);
      for (const { endMs, count } of rows) assert.equal(count, all.filter((time) => time < endMs).length, `${endMs}`);
      assert.equal(rows.at(-1)?.endMs, Number.POSITIVE_INFINITY);
      assert.equal(histogram.count, all.length);
    }),
  );
  assert.deepEqual(
    histogramOf([])
      .octaves()
      .map(({ endMs }) => endMs)
      .slice(0, 7),
    [0.0625, 0.125, 0.25, 0.5, 1, 2, 4],
  );
});

test("nothing was counted: there is no quantile; what takes longer than all buckets is beyond them", () => {
  assert.ok(Number.isNaN(histogramOf([]).quantileMs(0.5)));
  assert.equal(histogramOf([70_000]).quantileMs(0.5), Number.POSITIVE_INFINITY);
  assert.equal(histogramOf([-1, 0]).quantileMs(1), 0.0625);
});
