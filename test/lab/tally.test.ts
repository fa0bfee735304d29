import assert from "node:assert/strict";
import { test } from "node:test";
import { LoadTally, reportFrom } from "./tally.ts";

test("the longest gap is between two answers while something is open", () => {
  const tally = new LoadTally("caller");
  for (const sentMs of [0, 10, 20]) tally.sent(sentMs);
  tally.answered(0, 20);
  tally.answered(10, 150);
  tally.answered(20, 160);
  // Nothing is open from here to the next request: not a gap.
  tally.sent(5000);
  tally.answered(5000, 5021);
  const { longestGap, gaps, slowest, answered } = tally.report(6000);
  assert.deepEqual(longestGap, { fromMs: 20, toMs: 150 });
  assert.deepEqual(gaps, [{ fromMs: 20, toMs: 150 }]);
  assert.deepEqual(slowest, { sentMs: 10, tookMs: 140 });
  assert.equal(answered, 4);
});

test("a caller that still waits at the end has waited until then", () => {
  const tally = new LoadTally("caller");
  tally.sent(100);
  const { longestGap, open } = tally.report(900);
  assert.deepEqual(longestGap, { fromMs: 100, toMs: 900 });
  assert.equal(open, 1);
});

test("failures are counted apart from answers, and the first is told", () => {
  const tally = new LoadTally("caller");
  tally.sent(0);
  tally.sent(1);
  tally.sent(2);
  assert.equal(tally.failed(0, 5, "x", "first"), true);
  assert.equal(tally.failed(1, 6, "y", "second"), false);
  tally.answered(2, 30);
  const report = tally.report(40);
  assert.deepEqual([report.sent, report.answered, report.failed, report.open], [3, 1, 2, 0]);
  assert.deepEqual(
    report.failures.map(({ code }) => code),
    ["x", "y"],
  );
});

test("seconds count from the first request, and a report can be moved to another zero", () => {
  const tally = new LoadTally("caller");
  tally.sent(10_000);
  tally.answered(10_000, 10_020);
  tally.sent(12_500);
  tally.failed(12_500, 12_600, "x", "");
  const { seconds } = reportFrom(tally.report(13_000), 10_000);
  assert.deepEqual(seconds, [
    { fromMs: 0, answered: 1, failed: 0, slowestMs: 20 },
    { fromMs: 1000, answered: 0, failed: 0, slowestMs: 0 },
    { fromMs: 2000, answered: 0, failed: 1, slowestMs: 0 },
  ]);
});

test("percentiles are of all answers", () => {
  const tally = new LoadTally("caller");
  for (let index = 0; index < 1000; index++) {
    tally.sent(index);
    tally.answered(index, index + (index < 990 ? 1 : 50));
  }
  const { p50Ms, p99Ms, p999Ms } = tally.report(2000);
  assert.deepEqual([p50Ms, p99Ms, p999Ms], [1, 50, 50]);
});
