import type { LoadReport } from "../../test/lab/index.ts";
import { type BenchContext, type BenchResult, resultOf, sampleOf } from "../bench.ts";
import type { Contender } from "./contender.ts";

/** A run that sent less than this share of its plan shows nothing about the requests it did not send. */
const carriedShareMin = 0.95;

/** What a caller saw of one fault. */
export interface Seen {
  readonly requests: number;
  readonly failed: number;
  /** The longest time between two answers while requests were open. */
  readonly gapMs: number;
  /** The slowest request that was answered. */
  readonly slowestMs: number;
  /** From the fault until the caller was told; NaN for contenders that do not say so. */
  readonly toldMs: number;
}

/** `requests`: how many the plan asks for. */
export function seenOf(context: BenchContext, label: string, report: LoadReport, requests: number, toldMs = Number.NaN): Seen {
  if (report.sent < requests * carriedShareMin)
    context.log(`the machine did not carry the load: ${report.sent} of ${requests} requests were sent`);
  const seen: Seen = {
    requests: report.sent,
    failed: report.failed + report.open,
    gapMs: report.longestGap.toMs - report.longestGap.fromMs,
    slowestMs: report.slowest.tookMs,
    toldMs,
  };
  const first = report.failures[0];
  const why = first === undefined ? "" : `; the first: ${first.message.slice(0, 100)}`;
  const told = Number.isNaN(toldMs) ? "" : `, caller told after ${toldMs.toFixed(1)} ms`;
  context.log(
    `${label}: ${seen.failed} of ${seen.requests} failed, longest gap ${seen.gapMs.toFixed(0)} ms, ` +
      `slowest answer ${seen.slowestMs.toFixed(0)} ms (p50 ${report.p50Ms.toFixed(1)}, p99 ${report.p99Ms.toFixed(1)})${told}${why}`,
  );
  return seen;
}

/** The runs of one contender and one fault. Ours must not fail in any of them. */
export function outcomeResults(label: string, { peer }: Contender, runs: readonly Seen[], requests: number): readonly BenchResult[] {
  const failed = sampleOf(runs.map((one) => one.failed));
  const all = failed.values.reduce((sum, value) => sum + value, 0);
  const told = sampleOf(runs.map(({ toldMs }) => toldMs));
  return [
    resultOf(`${label}: failed of ${requests.toLocaleString("en")}`, "requests", failed, { peer }),
    ...(peer ? [] : [resultOf(`${label}: failed, all runs together`, "requests", sampleOf([all]), { goal: { max: 0 } })]),
    ...(peer
      ? []
      : [
          resultOf(
            `${label}: least share of the plan that was sent`,
            "",
            sampleOf([Math.min(...runs.map((one) => one.requests / requests))]),
            {
              goal: { min: carriedShareMin },
            },
          ),
        ]),
    resultOf(`${label}: longest gap between answers`, "ms", sampleOf(runs.map(({ gapMs }) => gapMs)), { peer }),
    resultOf(`${label}: slowest answer`, "ms", sampleOf(runs.map(({ slowestMs }) => slowestMs)), { peer }),
    ...(Number.isNaN(told.median) ? [] : [resultOf(`${label}: caller was told after`, "ms", told, { peer })]),
  ];
}
