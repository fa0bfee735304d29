import type { ProbePeriods } from "./options.ts";

/**
 * What one end knows of one route in one direction: whether messages arrive. `unknown`: never yet. `burst`: missed, and being
 * asked in quick succession. Pure; time is the number of the own tick, so nothing here can be misled by a pause.
 */
export interface Reach {
  readonly phase: "unknown" | "heard" | "burst" | "cut";
  /** Ticks (in a burst: burst ticks) in a row without news. */
  readonly misses: number;
  /** Ticks with news, less two for each without, up to `recoverTicks`. */
  readonly answers: number;
  /** Before this tick answers of a cut route do not count. */
  readonly holdUntil: number;
  /** Cuts that are not forgiven yet. */
  readonly cuts: number;
  /** The tick of the last cut, or of the last one forgiven. */
  readonly since: number;
}

export type ReachEvent =
  /** An own tick has passed, with or without a proven message in it. Only what was read counts: judged after all input. */
  | { readonly kind: "tick" | "burst-tick"; readonly heard: boolean }
  /** The own tick came late: nothing that was missed counts. */
  | { readonly kind: "late" }
  /** The system says that the interface is down. */
  | { readonly kind: "down" };

/** `burst`: ask now, `burstMs` apart. `cut`: nothing arrives. `valid`: works, and has worked for long enough to be told. */
export type ReachEffect = "burst" | "cut" | "valid";

export interface ReachStep {
  readonly reach: Reach;
  readonly effect?: ReachEffect;
}

export const newReach: Reach = Object.freeze({ phase: "unknown", misses: 0, answers: 0, holdUntil: 0, cuts: 0, since: 0 });

export function step(reach: Reach, event: ReachEvent, tick: number, periods: ProbePeriods): ReachStep {
  switch (event.kind) {
    case "tick":
      return reach.phase === "burst" ? { reach } : onTick(forgive(reach, tick, periods), event.heard, tick, periods);
    case "burst-tick":
      return reach.phase === "burst" ? onBurstTick(reach, event.heard, tick, periods) : { reach };
    case "late":
      return { reach: { ...reach, phase: reach.phase === "burst" ? "heard" : reach.phase, misses: 0 } };
    case "down":
      return reach.phase === "cut" ? { reach: { ...reach, answers: 0 } } : cut(reach, tick, periods);
  }
}

/** Whether messages can be counted on to arrive. */
export function isHeard(reach: Reach): boolean {
  return reach.phase === "heard" || reach.phase === "burst";
}

/** How long a route that was cut for the n-th time within memory waits before its answers count. */
export function holdTicksOf(cuts: number, periods: ProbePeriods): number {
  return cuts <= 1 ? 0 : Math.min(periods.holdTicks * 2 ** (cuts - 2), periods.holdTicksMax);
}

function onTick(reach: Reach, heard: boolean, tick: number, periods: ProbePeriods): ReachStep {
  if (heard) return onNews(reach, tick, periods);
  switch (reach.phase) {
    case "heard":
      return reach.misses + 1 >= periods.missesMax
        ? { reach: { ...reach, phase: "burst", misses: 0, answers: 0 }, effect: "burst" }
        : { reach: { ...reach, misses: reach.misses + 1, answers: lessOne(reach) } };
    // Counted, so that the shell can tell a route that never worked; bounded, because nobody looks beyond the window.
    case "unknown":
      return { reach: { ...reach, misses: Math.min(reach.misses + 1, 1000) } };
    default:
      return { reach: { ...reach, answers: lessOne(reach) } };
  }
}

/**
 * A missed period takes back two answered ones. It does not take back all: of two clocks that differ by a tenth each, the one that
 * ticks faster finds every fifth of its periods empty, and a route over them would never be valid again.
 */
function lessOne({ answers }: Reach): number {
  return Math.max(0, answers - 2);
}

function onNews(reach: Reach, tick: number, periods: ProbePeriods): ReachStep {
  if (reach.phase === "cut" && tick < reach.holdUntil) return { reach };
  const answers = Math.min(reach.answers + 1, periods.recoverTicks);
  const steady = answers === periods.recoverTicks && reach.answers < periods.recoverTicks;
  if (reach.phase !== "cut") return { reach: { ...reach, phase: "heard", misses: 0, answers }, ...(steady ? { effect: "valid" } : {}) };
  return steady
    ? { reach: { ...reach, phase: "heard", misses: 0, answers, since: tick }, effect: "valid" }
    : { reach: { ...reach, answers } };
}

function onBurstTick(reach: Reach, heard: boolean, tick: number, periods: ProbePeriods): ReachStep {
  if (heard) return { reach: { ...reach, phase: "heard", misses: 0 } };
  const misses = reach.misses + 1;
  return misses >= periods.burstProbes ? cut(reach, tick, periods) : { reach: { ...reach, misses } };
}

function cut(reach: Reach, tick: number, periods: ProbePeriods): ReachStep {
  const cuts = Math.min(reach.cuts + 1, 32);
  return {
    reach: { phase: "cut", misses: 0, answers: 0, cuts, since: tick, holdUntil: tick + holdTicksOf(cuts, periods) },
    effect: "cut",
  };
}

function forgive(reach: Reach, tick: number, periods: ProbePeriods): Reach {
  if (reach.cuts === 0 || reach.phase !== "heard" || tick - reach.since < periods.forgiveTicks) return reach;
  return { ...reach, cuts: reach.cuts - 1, since: tick };
}
