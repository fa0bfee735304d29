import type { Random } from "../kernel/index.ts";
import type { ProbePeriods } from "./options.ts";
import type { Probe } from "./probe.ts";

/** The counters of one path that keep a recorded message from counting twice. */
export interface Seen {
  theirTag: number;
  theirNumber: number;
  echoNumber: number;
}

/**
 * The nonces between this node and one peer. Numbers are the pair's, not a route's: so a message on route 0 is proven by an echo of
 * what the peer got on route 1, and a route that works in one direction only is seen as what it is.
 * A nonce counts for `echoTicks` own ticks, and none from before a late tick: what had been waiting in the socket proves nothing.
 */
export class Relation {
  /** Random, so that what was recorded in an earlier life, or was meant for somebody else, echoes nothing of ours. */
  readonly tag: number;
  /** The peer's newest nonce, echoed in all that is sent to it. */
  echoTag = 0;
  echoNumber = 0;
  #sent = 0;
  /** Numbers up to here are too old. */
  #floor = 0;
  /** What had been sent at the last ticks, the oldest first. */
  readonly #marks: number[] = [];
  readonly #echoTicks: number;

  constructor(random: Random, periods: ProbePeriods) {
    this.tag = 1 + Number.parseInt(random.hex(12), 16);
    this.#echoTicks = periods.echoTicks;
  }

  nextNumber(): number {
    this.#sent++;
    return this.#sent;
  }

  tick(): void {
    this.#marks.push(this.#sent);
    if (this.#marks.length > this.#echoTicks) this.#floor = Math.max(this.#floor, this.#marks.shift() ?? 0);
  }

  /** The own tick came late: nothing that was sent before it proves anything any more. */
  forget(): void {
    this.#floor = this.#sent;
    this.#marks.length = 0;
  }

  /** Whether the sender had a message of ours a short while ago. */
  isFresh(probe: Probe): boolean {
    return probe.echoTag === this.tag && probe.echoNumber > this.#floor && probe.echoNumber <= this.#sent;
  }

  /**
   * Whether a fresh message is news on its path: newer than what came before it there. A stranger's answer has no number of its own, so
   * each of ours is answered once.
   */
  isNews(probe: Probe, seen: Seen): boolean {
    if (probe.tag === 0) {
      if (probe.echoNumber <= seen.echoNumber) return false;
    } else if (probe.tag === seen.theirTag && probe.number <= seen.theirNumber) return false;
    seen.echoNumber = Math.max(seen.echoNumber, probe.echoNumber);
    if (probe.tag !== 0) {
      seen.theirTag = probe.tag;
      seen.theirNumber = probe.number;
    }
    return true;
  }

  /** Whether nothing newer has come from the peer, on any route. */
  isNewest(probe: Probe): boolean {
    return probe.tag !== this.echoTag || probe.number > this.echoNumber;
  }

  /** Remembers what is echoed from now on. Only fresh messages may move it, or a recorded one could make us echo nonsense. */
  remember(probe: Probe): void {
    if (probe.tag === 0 || !this.isNewest(probe)) return;
    this.echoTag = probe.tag;
    this.echoNumber = probe.number;
  }
}
