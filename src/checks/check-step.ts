import type { CheckResult } from "./check-runner.ts";

/** How many results in a row turn the verdict. */
export interface CheckThresholds {
  /** Failures until a healthy program counts as failed; default 2, so that one lost packet flaps nobody. */
  readonly fall: number;
  /** Successes until a failed one counts as healthy; default 1. */
  readonly rise: number;
}

export const defaultThresholds: CheckThresholds = Object.freeze({ fall: 2, rise: 1 });

/** What is known of a checked program. `unknown` until the first verdict: nobody is called healthy before it has answered. */
export interface CheckState {
  readonly verdict: "unknown" | "healthy" | "failed";
  /** Results in a row that speak against the verdict. */
  readonly against: number;
  /** Of the last result. */
  readonly reason: string;
}

export const checkUnknown: CheckState = Object.freeze({ verdict: "unknown", against: 0, reason: "not checked yet" });

export interface CheckStep {
  readonly state: CheckState;
  /** Set when the verdict has turned: what is to be told to the roll. */
  readonly turned?: "healthy" | "failed";
}

/**
 * One result in, the next state and possibly a turn out. From `unknown` the first failure is a verdict at once: an entry whose
 * program has never answered is invalid without waiting for a second look.
 */
export function stepCheck(state: CheckState, result: CheckResult, thresholds: CheckThresholds = defaultThresholds): CheckStep {
  const says = result.healthy ? "healthy" : "failed";
  const { reason } = result;
  if (says === state.verdict) return { state: { verdict: says, against: 0, reason } };
  const against = state.against + 1;
  const needed = state.verdict === "unknown" && says === "failed" ? 1 : says === "healthy" ? thresholds.rise : thresholds.fall;
  if (against < needed) return { state: { ...state, against, reason } };
  return { state: { verdict: says, against: 0, reason }, turned: says };
}
