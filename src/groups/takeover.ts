import type { GroupMember as Member } from "../tables/index.ts";
import { type Entry, sameBytes } from "./entry.ts";
import type { GroupLog } from "./group-log.ts";
import type { Held, History } from "./history.ts";
import type { GroupWord } from "./messages.ts";
import { isHere, signed } from "./openings.ts";
import { ticks } from "./options.ts";
import type { Position } from "./ports.ts";

/** What a member said when it promised the epoch; its log stays like that until this host appends. */
export interface Promised extends Held {
  readonly base: Position;
}

/** One of the other members. */
export interface Asked {
  readonly member: Member;
  promised: Promised | undefined;
  isTroubled: boolean;
  /** It has committed what is not in the longest log: an older roll has put two histories together. */
  isParted: boolean;
  silentTicks: number;
  troubledTicks: number;
}

export interface TakeoverPorts {
  readonly log: GroupLog;
  readonly history: History;
  readonly send: (to: Member, word: GroupWord) => void;
  /** All members have promised, and the longest of their logs is here. */
  readonly done: () => void;
}

/**
 * The first act of a synchronising host in an epoch that another served before it: every member of this epoch promises it, which
 * silences all older ones, and the longest of *their* logs is taken. An entry that was ever committed is in each of them. What is
 * longer elsewhere, at servers that are not members, does not count.
 */
export class Takeover {
  readonly #ports: TakeoverPorts;
  readonly #epoch: number;
  readonly #asked = new Map<string, Asked>();
  /** Up to here the longest log and this one are known to be equal. */
  #agreed: Position | undefined;
  #hasBegun = false;
  #isDone = false;
  #isOutrun = false;

  constructor(ports: TakeoverPorts, epoch: number, others: readonly Member[]) {
    this.#ports = ports;
    this.#epoch = epoch;
    for (const member of others)
      this.#asked.set(member.server, { member, promised: undefined, isTroubled: false, isParted: false, silentTicks: 0, troubledTicks: 0 });
  }

  start(): void {
    this.#ports.log.promise(this.#epoch);
    this.durable();
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  /**
   * What is missing here the others do not keep as entries any more, or what is committed here is not in the longest log. A row names
   * nobody of whom that is so, unless an older roll was put back; such a host needs a copy of the state, as one who joins, or is
   * denied it, because it would lose something.
   */
  get isOutrun(): boolean {
    return this.#isOutrun;
  }

  get others(): Iterable<Asked> {
    return this.#asked.values();
  }

  heard(server: string): void {
    const asked = this.#asked.get(server);
    if (asked !== undefined) asked.silentTicks = 0;
  }

  troubled(server: string): void {
    const asked = this.#asked.get(server);
    if (asked !== undefined) asked.isTroubled = true;
  }

  /** A batch of the own log has become durable. Nothing is sent before this host's own promise is. */
  durable(): void {
    if (this.#hasBegun || this.#ports.log.promisedDurable < this.#epoch) return;
    this.#hasBegun = true;
    this.#step(true);
  }

  promised(server: string, promised: Promised): void {
    const asked = this.#asked.get(server);
    if (asked === undefined || asked.promised !== undefined || !this.#hasBegun) return;
    asked.promised = promised;
    this.#step(false);
  }

  /** Entries of the member with the longest log. */
  entries(server: string, previous: Position, entries: readonly Entry[]): void {
    const { log } = this.#ports;
    if (this.#isDone || this.#longest()?.member.server !== server || !log.entries.has(previous)) return;
    if (entries.length === 0) this.#isOutrun = true;
    for (const entry of entries) {
      if (entry.index <= log.entries.base.index) continue;
      const own = log.entries.at(entry.index);
      if (own === undefined || own.epoch !== entry.epoch || !sameBytes(own.bytes, entry.bytes)) {
        // Installed entries are committed, and a committed entry is the same in all logs of one history.
        if (entry.index <= log.installed.index) {
          this.#isOutrun = true;
          return;
        }
        log.cut(entry.index - 1);
        log.append(entry);
      }
      this.#agreed = { epoch: entry.epoch, index: entry.index };
    }
    if (entries.length > 0) this.#step(false);
  }

  /** The next step that is possible. */
  #step(asks: boolean): void {
    if (this.#isDone || !this.#hasBegun) return;
    let areAll = true;
    for (const { member, promised } of this.#asked.values()) {
      if (promised === undefined) areAll = false;
      // Also those who have promised: both sides hear that the other one is there.
      if (asks) this.#ports.send(member, { kind: "promise" });
    }
    if (!areAll) return;
    const longest = this.#longest();
    if (longest?.promised !== undefined) {
      this.#fetch(longest.member, longest.promised);
      return;
    }
    if (this.#arePartedOut()) return;
    this.#isDone = true;
    this.#ports.done();
  }

  /** Looks for members that have committed what is not here: the epoch without them comes first. */
  #arePartedOut(): boolean {
    const { entries, installed } = this.#ports.log;
    const openings = this.#ports.history.openingsWith(entries, installed);
    let areSome = false;
    for (const asked of this.#asked.values()) {
      if (asked.promised === undefined) continue;
      asked.isParted = !isHere(asked.promised.committed, openings, entries.last, (index) => entries.epochAt(index));
      areSome ||= asked.isParted;
    }
    return areSome;
  }

  #fetch(member: Member, { base }: Promised): void {
    const { log, history } = this.#ports;
    // Both have everything up to the later of these marks: it is committed.
    const index = Math.max(this.#agreed?.index ?? 0, log.installed.index, base.index);
    const epoch = log.entries.epochAt(index);
    if (epoch === undefined) this.#isOutrun = true;
    else this.#ports.send(member, { kind: "fetch", after: signed(history.openingsWith(log.entries, log.installed), { epoch, index }) });
  }

  beat(tick: number): void {
    if (tick % ticks.resend === 0) this.#step(true);
  }

  judge(): void {
    for (const asked of this.#asked.values()) {
      asked.silentTicks++;
      asked.troubledTicks = asked.isTroubled && asked.promised === undefined ? asked.troubledTicks + 1 : 0;
    }
  }

  /** The member whose log is longer than the one here; undefined when none is. */
  #longest(): Asked | undefined {
    let longest: Asked | undefined;
    let { last } = this.#ports.log.entries;
    for (const asked of this.#asked.values()) {
      if (asked.promised === undefined || !isLonger(asked.promised.last.at, last)) continue;
      longest = asked;
      last = asked.promised.last.at;
    }
    return longest;
  }
}

/** By the epoch of the last entry, then by length: the later epoch began with all that was committed before it. */
export function isLonger(a: Position, b: Position): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.index > b.index);
}
