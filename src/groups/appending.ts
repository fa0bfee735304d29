import type { GroupLog } from "./group-log.ts";
import type { GroupWord } from "./messages.ts";
import { batchBytesMax, ticks } from "./options.ts";

/** Who gets the log. A joiner is `counted` from the moment when every commit waits for it, which is before the row names it. */
export type Standing = "member" | "joiner" | "counted";

/** Bytes that are under way to one host and not confirmed. */
const flightBytesMax = 8 * 1024 * 1024;

/** What the synchronising host knows of one other host in its epoch. */
export interface Follower {
  readonly server: string;
  readonly replica: string;
  standing: Standing;
  /** The next entry to send; undefined while it is given a snapshot. */
  next: number | undefined;
  /** Durable there, and equal to the log here. */
  acked: number;
  /** A change of the row that names it was asked for and may have happened, or may yet: it stays counted until the epoch ends. */
  isProposed: boolean;
  /** It says that its store takes nothing. */
  isTroubled: boolean;
  /** Own ticks since it said anything, since it took anything in that it has not, and since it was sent anything. */
  silentTicks: number;
  stalledTicks: number;
  quietTicks: number;
  troubledTicks: number;
  /** It was sent things again in this tick: the answers to what overtook them are no news. */
  hasRewound: boolean;
}

export interface AppendingPorts {
  readonly log: GroupLog;
  readonly send: (to: { readonly server: string; readonly replica: string }, word: GroupWord) => void;
  /** This host cannot follow from the kept log. */
  readonly cannotFollow: (follower: Follower) => void;
}

/**
 * Carries the log of the synchronising host to all who must hold it, many entries a message, without waiting for one answer
 * before the next message; says how far all of them have it. What gets lost is sent again by the own tick.
 */
export class Appending {
  readonly #ports: AppendingPorts;
  readonly #followers = new Map<string, Follower>();
  /** What is in a batch of the own store: the same batch goes to the others. */
  #sendable: number;
  #committed: number;
  /** As it was last told. */
  #told = 0;

  /** `committed`: what all who are named in the row surely have. */
  constructor(ports: AppendingPorts, committed: number) {
    this.#ports = ports;
    this.#committed = committed;
    this.#sendable = ports.log.entries.end;
  }

  get followers(): Iterable<Follower> {
    return this.#followers.values();
  }

  get committed(): number {
    return this.#committed;
  }

  /** The one with this data; a host that came back without its disk is another one. */
  follower(server: string, replica: string): Follower | undefined {
    const follower = this.#followers.get(server);
    return follower?.replica === replica ? follower : undefined;
  }

  /** `after`: the last entry that it surely has; undefined: it gets a snapshot first. */
  follow(server: string, replica: string, standing: Standing, after: number | undefined): Follower {
    const follower: Follower = {
      server,
      replica,
      standing,
      next: after === undefined ? undefined : after + 1,
      acked: 0,
      isProposed: false,
      isTroubled: false,
      silentTicks: 0,
      stalledTicks: 0,
      quietTicks: 0,
      troubledTicks: 0,
      hasRewound: false,
    };
    this.#followers.set(server, follower);
    if (after !== undefined) this.#send(follower, true);
    return follower;
  }

  leave(server: string): void {
    this.#followers.delete(server);
  }

  /** A new epoch of the same synchronising host: everybody hears of it at once. */
  renew(): void {
    for (const follower of this.#followers.values()) {
      follower.isProposed = false;
      // What is under way may be refused there, because something of the new epoch overtakes it.
      if (follower.next !== undefined && follower.acked > 0) follower.next = Math.min(follower.next, follower.acked + 1);
      this.#send(follower, true);
    }
  }

  /** The own store begins a batch. */
  batchBegins(): void {
    this.#sendable = this.#ports.log.entries.end;
    for (const follower of this.#followers.values()) this.#send(follower, false);
  }

  /** It has everything up to `end`, durably. Returns whether that is news. */
  acknowledged(follower: Follower, end: number): boolean {
    follower.isTroubled = false;
    if (end <= follower.acked || end > this.#ports.log.entries.end) return false;
    follower.acked = end;
    follower.stalledTicks = 0;
    if (follower.next !== undefined && follower.next <= end) follower.next = end + 1;
    this.#send(follower, false);
    return true;
  }

  /** What was sent does not follow on what it has. */
  behind(follower: Follower, previous: number, hint: number): void {
    // What it has confirmed it has: the rest was said before that, and came late.
    if (follower.next === undefined || follower.hasRewound || hint >= follower.next || previous <= follower.acked) return;
    const base = this.#ports.log.entries.base.index;
    if (previous <= base && hint < base) {
      this.#ports.cannotFollow(follower);
      return;
    }
    follower.hasRewound = true;
    follower.next = Math.max(hint, base, follower.acked) + 1;
    this.#send(follower, true);
  }

  /** Durable at all who count, here included: nobody can take over without it. Returns whether that is news. */
  advance(): boolean {
    let committed = this.#ports.log.durable;
    for (const { standing, acked } of this.#followers.values()) if (standing !== "joiner") committed = Math.min(committed, acked);
    if (committed <= this.#committed) return false;
    this.#committed = committed;
    return true;
  }

  /** Tells how far it is committed, to those who will not hear it with other entries. */
  tellCommitted(): void {
    if (this.#told >= this.#committed) return;
    this.#told = this.#committed;
    const { end } = this.#ports.log.entries;
    for (const follower of this.#followers.values()) if (follower.next !== undefined && follower.next > end) this.#send(follower, true);
  }

  /** One own tick: sends again what got no answer, and says at least that this host is there. */
  beat(): void {
    const { end } = this.#ports.log.entries;
    for (const follower of this.#followers.values()) {
      follower.hasRewound = false;
      follower.quietTicks++;
      if (follower.next === undefined) continue;
      const isOpen = follower.acked < Math.min(end, this.#sendable);
      if (isOpen && follower.quietTicks >= ticks.resend) {
        follower.next = Math.min(follower.next, Math.max(follower.acked, this.#ports.log.entries.base.index) + 1);
        this.#send(follower, true);
      } else if (follower.quietTicks >= ticks.beat) this.#send(follower, true);
    }
  }

  /** Counts own ticks that came in time. */
  judge(): void {
    const { end } = this.#ports.log.entries;
    for (const follower of this.#followers.values()) {
      follower.silentTicks++;
      follower.stalledTicks = follower.next === undefined || follower.acked < end ? follower.stalledTicks + 1 : 0;
      follower.troubledTicks = follower.isTroubled ? follower.troubledTicks + 1 : 0;
    }
  }

  /** In messages of bounded size, up to what may be under way; `evenNothing`: also when there is no entry to send. */
  #send(follower: Follower, evenNothing: boolean): void {
    const { entries } = this.#ports.log;
    let must = evenNothing;
    while (follower.next !== undefined) {
      const after = follower.next - 1;
      if (after < entries.base.index) {
        this.#ports.cannotFollow(follower);
        return;
      }
      const isFull = entries.bytesBetween(Math.min(follower.acked, after), after) >= flightBytesMax;
      const batch = isFull ? [] : entries.slice(after, this.#sendable, batchBytesMax);
      const epoch = entries.epochAt(after);
      if (epoch === undefined || (batch.length === 0 && !must)) return;
      must = false;
      follower.next += batch.length;
      follower.quietTicks = 0;
      this.#ports.send(follower, { kind: "append", previous: { epoch, index: after }, commit: this.#committed, entries: batch });
      if (batch.length === 0) return;
    }
  }
}
