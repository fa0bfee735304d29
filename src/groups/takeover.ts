import type { GroupMember as Member } from "../tables/index.ts";
import type { Entry } from "./entry.ts";
import type { GroupLog } from "./group-log.ts";
import type { GroupWord } from "./messages.ts";
import { ticks } from "./options.ts";
import type { Position } from "./ports.ts";

/** What a member said when it promised the epoch; its log stays like that until this host appends. */
export interface Promised {
  readonly last: Position;
  readonly base: Position;
  readonly committed: number;
}

/** One of the other members. */
export interface Asked {
  readonly member: Member;
  promised: Promised | undefined;
  isTroubled: boolean;
  silentTicks: number;
  troubledTicks: number;
}

export interface TakeoverPorts {
  readonly log: GroupLog;
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
      this.#asked.set(member.server, { member, promised: undefined, isTroubled: false, silentTicks: 0, troubledTicks: 0 });
  }

  start(): void {
    this.#ports.log.promise(this.#epoch);
    this.durable();
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  /**
   * What is missing here the others do not keep as entries any more. A row names nobody who is so far behind, unless an older roll was
   * put back; whoever is needs a copy of the state, as one who joins.
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
    for (const entry of entries) {
      if (entry.index <= log.entries.base.index) continue;
      const own = log.entries.at(entry.index);
      if (own === undefined || own.epoch !== entry.epoch) {
        // Installed entries are committed, and a committed entry is the same in all logs.
        if (entry.index <= log.installed.index) return;
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
    this.#isDone = true;
    this.#ports.done();
  }

  #fetch(member: Member, { base }: Promised): void {
    const { log } = this.#ports;
    // Both have everything up to the later of these marks: it is committed.
    const index = Math.max(this.#agreed?.index ?? 0, log.installed.index, base.index);
    const epoch = log.entries.epochAt(index);
    this.#isOutrun = epoch === undefined;
    if (epoch !== undefined) this.#ports.send(member, { kind: "fetch", after: { epoch, index } });
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
      if (asked.promised === undefined || !isLonger(asked.promised.last, last)) continue;
      longest = asked;
      ({ last } = asked.promised);
    }
    return longest;
  }
}

/** By the epoch of the last entry, then by length: the later epoch began with all that was committed before it. */
export function isLonger(a: Position, b: Position): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.index > b.index);
}
