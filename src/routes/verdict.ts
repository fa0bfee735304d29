import type { Verdict } from "./probe.ts";

/** What others said of one silent address. `open`: not all have answered, and there is time. */
export interface Hearing {
  readonly open: boolean;
  readonly asked: number;
  readonly answered: number;
  readonly systemLives: number;
  readonly silent: number;
}

export function hearingOf(asked: number, verdicts: readonly Verdict[], open: boolean): Hearing {
  const count = (verdict: Verdict) => verdicts.filter((one) => one === verdict).length;
  const hearing = { asked, answered: count("answered"), systemLives: count("system-lives"), silent: count("silent") };
  return { ...hearing, open: open && verdicts.length < asked };
}

export interface RouteCase {
  /** The owner itself says that its interface is down. */
  readonly ownerDown: boolean;
  /** It has worked between us and the host. */
  readonly everHeard: boolean;
  /** Our own interface is suspected, or known to be down. */
  readonly ownSuspected: boolean;
  readonly hearing: Hearing | undefined;
}

export type RouteVerdict = "ask" | "wait" | "cut" | "pair-only" | "unsure";

/** One route of a host that is heard on another one. `pair-only`: others reach it, so it is a fact of this pair. */
export function judgeRoute({ ownerDown, everHeard, ownSuspected, hearing }: RouteCase): RouteVerdict {
  if (ownerDown) return "cut";
  if (hearing === undefined) return "ask";
  if (hearing.answered + hearing.systemLives > 0) return "pair-only";
  if (hearing.open) return "wait";
  if (hearing.silent > 0) return "cut";
  // Nobody could be asked: our word is enough only for what we have seen working, and only while we do not suspect ourselves.
  return everHeard && !ownSuspected ? "cut" : "unsure";
}

export interface HostCase {
  /** What the same few said of every address of the host, and whether its system answered us. */
  readonly hearings: readonly (Hearing | undefined)[];
  /** How many of them call every address silent. */
  readonly confirmed: number;
  /** Undefined while we wait for it. */
  readonly systemAnswersUs: boolean | undefined;
}

export type HostVerdict = "ask" | "wait" | "silent" | "agent-silent" | "pair-only" | "unsure";

/** A host that is silent on all routes: gone when two of three others say so, or all of those that there are. */
export function judgeHost({ hearings, confirmed, systemAnswersUs }: HostCase): HostVerdict {
  if (systemAnswersUs === true) return "agent-silent";
  const known = hearings.filter((hearing) => hearing !== undefined);
  if (known.length < hearings.length) return "ask";
  if (known.some(({ answered }) => answered > 0)) return "pair-only";
  if (known.some(({ systemLives }) => systemLives > 0)) return "agent-silent";
  const asked = Math.max(0, ...known.map((hearing) => hearing.asked));
  if (asked > 0 && confirmed >= Math.min(2, asked)) return systemAnswersUs === undefined ? "wait" : "silent";
  return known.some(({ open }) => open) ? "wait" : "unsure";
}
