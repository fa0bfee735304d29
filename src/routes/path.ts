import type { ProbePeriods } from "./options.ts";
import { type Reach, type ReachEffect, type ReachEvent, isHeard, newReach, step } from "./reach.ts";
import type { Seen } from "./relation.ts";

export type ReachState = "heard" | "missed" | "cut" | "unknown";

const lossWeight = 1 / 64;
/** Silent ticks after which a path that is down is probed only now and then. */
const quietTicks = 100;
const quietEvery = 5;

/** One route of a pair as this end sees it: what arrives here, and what the other end says arrives there. */
export class Path implements Seen {
  /** The number of the route at the child of the pair. */
  readonly number: number;
  reach: Reach = newReach;
  /** Something proven came since the last judgement; since the last burst tick. */
  news = false;
  burstNews = false;
  /** Something was sent since the last tick. */
  sent = false;
  /** Whether the other end hears us on this route; undefined until it has said. */
  out: boolean | undefined;
  lastHeardMonoMs: number | undefined;
  /** Share of silent ticks, a moving average over about 64. */
  loss = 0;
  theirTag = 0;
  theirNumber = 0;
  echoNumber = 0;
  /** Ticks in a row without news. */
  quiet = 0;
  /** Ticks in a row at whose end the other end said that it does not hear us. */
  deaf = 0;

  constructor(number: number) {
    this.number = number;
  }

  /** Messages come and go. */
  get works(): boolean {
    return isHeard(this.reach) && this.out !== false;
  }

  /** Works, and the last tick brought news. */
  get lively(): boolean {
    return this.reach.phase === "heard" && this.reach.misses === 0 && this.out !== false;
  }

  /**
   * Lively for two ticks: only such a route shows that the silence of another one is that route's. When the peer itself was away for the
   * length of a window, one route can be called cut in the very moment in which the other is heard again.
   */
  get steady(): boolean {
    return this.lively && this.reach.answers >= 2;
  }

  /** It does not work now; a cut route that is answered again, but not for long enough, is not down any more. */
  isDown(periods: ProbePeriods): boolean {
    return !this.works && (this.quiet >= periods.missesMax || this.deaf >= 2);
  }

  get state(): ReachState {
    switch (this.reach.phase) {
      case "heard":
        return this.reach.misses === 0 ? "heard" : "missed";
      case "burst":
        return "missed";
      default:
        return this.reach.phase;
    }
  }

  get outState(): ReachState {
    return this.out === undefined ? "unknown" : this.out ? "heard" : "cut";
  }

  /** Works, and has done so for as long as a route that was cut has to show. */
  isProven(periods: ProbePeriods): boolean {
    return this.reach.phase === "heard" && this.reach.answers >= periods.recoverTicks && this.out === true;
  }

  /** Nothing arrives by the usual way: others may be tried. */
  get isLost(): boolean {
    return !isHeard(this.reach) && this.quiet > 1;
  }

  get bursting(): boolean {
    return this.reach.phase === "burst";
  }

  /** What the other end says it hears. It is lost only after it was there: at the beginning nobody has heard anybody. */
  readOut(hears: number): void {
    const heard = (hears & (1 << this.number)) !== 0;
    if (heard || this.out !== undefined) this.out = heard;
  }

  /** A proven message arrived. */
  hear(monoMs: number): void {
    this.news = true;
    this.burstNews = true;
    this.lastHeardMonoMs = monoMs;
    this.quiet = 0;
  }

  /** A path that has been silent for long costs a fifth: 2 probes a second at `lan`. */
  shouldProbe(tick: number): boolean {
    return this.quiet < quietTicks || tick % quietEvery === 0;
  }

  /**
   * Whether messages arrive, without the damping: what the other end is told. It goes off with the cut, and comes back with the first
   * news, so that the damping of one end does not look like a cut to the other.
   */
  hears(periods: ProbePeriods): boolean {
    return isHeard(this.reach) || (this.reach.phase === "cut" && this.quiet < periods.missesMax);
  }

  /** `counts`: whether news is enough for the route to be heard. */
  tick(tick: number, periods: ProbePeriods, counts = true): ReachEffect | undefined {
    const news = this.news;
    const heard = news && counts;
    this.news = false;
    this.burstNews = false;
    this.quiet = news ? 0 : this.quiet + 1;
    this.deaf = this.out === false ? this.deaf + 1 : 0;
    if (this.reach.phase !== "unknown") this.loss += ((heard ? 0 : 1) - this.loss) * lossWeight;
    return this.apply({ kind: "tick", heard }, tick, periods);
  }

  /** Its answers count from now on, however often it was cut. */
  revive(tick: number, periods: ProbePeriods): void {
    this.reach = { ...this.reach, phase: "heard", misses: 0, answers: periods.recoverTicks, since: tick };
  }

  burstTick(tick: number, periods: ProbePeriods): ReachEffect | undefined {
    const heard = this.burstNews;
    this.burstNews = false;
    return this.apply({ kind: "burst-tick", heard }, tick, periods);
  }

  apply(event: ReachEvent, tick: number, periods: ProbePeriods): ReachEffect | undefined {
    const { reach, effect } = step(this.reach, event, tick, periods);
    this.reach = reach;
    return effect;
  }

  late(tick: number, periods: ProbePeriods): void {
    this.news = false;
    this.burstNews = false;
    this.apply({ kind: "late" }, tick, periods);
  }
}

/** "0.0.0.0" and "::" stand for every address. */
export function isAnyAddress(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

/** IPv4 to IPv4, IPv6 to IPv6; "::" speaks both. */
export function sameFamily(one: string, other: string): boolean {
  return one === "::" || other === "::" || one.includes(":") === other.includes(":");
}
