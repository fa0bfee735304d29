import { type Random, type Telemetry, randomBelow } from "../kernel/index.ts";
import { type GroupMember as Member, type GroupRow, groupMembersMax } from "../tables/index.ts";
import type { Appending, Follower } from "./appending.ts";
import { type GroupLog, tables } from "./group-log.ts";
import { type Holding, type History, lostByJoining } from "./history.ts";
import type { CarriedRow, DenialReason, GroupWord } from "./messages.ts";
import { metricNames } from "./metrics.ts";
import { type GroupLimits, ticks } from "./options.ts";
import type { Outcomes } from "./outcomes.ts";
import type { GroupMachine, Position } from "./ports.ts";
import type { RowChanges } from "./row-changes.ts";
import type { Slots } from "./slots.ts";
import { SnapshotFeed } from "./snapshot-feed.ts";

export interface JoinersPorts {
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly log: GroupLog;
  readonly machine: GroupMachine;
  readonly outcomes: Outcomes;
  readonly history: History;
  readonly slots: Slots;
  readonly appending: Appending;
  readonly rowChanges: RowChanges;
  /** Undefined while nobody can join. */
  readonly row: () => GroupRow | undefined;
  readonly send: (to: Member, word: GroupWord) => void;
}

/** How far a host on its way in is, beside what `Appending` knows. */
interface Joiner {
  attempt: number;
  feed: SnapshotFeed | undefined;
}

/**
 * The synchronising host's side of joining: first the joiner has everything that is committed, then every commit waits for it, then
 * the next epoch names it. In any other order a takeover could find a member that lacks an answered write.
 */
export class Joiners {
  readonly #ports: JoinersPorts;
  readonly #limits: Pick<GroupLimits, "joinersMax" | "stateBytesMax">;
  readonly #joiners = new Map<string, Joiner>();
  /** Copies of the state count up, so that a joiner knows the newer one; from anywhere, so that those of another reign are others. */
  #lastFeed: number;
  /** Whom the roll has refused to name in this epoch, and for how many own ticks more that counts. */
  readonly #refused = new Map<string, number>();

  /** For whom the state is too large, and for how many own ticks more it is not summed up again: that is work. */
  readonly #tooLarge = new Map<string, number>();
  /** Who was told in this reign that it cannot come in, so that it is logged once. */
  readonly #denied = new Set<string>();

  constructor(ports: JoinersPorts, limits: Pick<GroupLimits, "joinersMax" | "stateBytesMax">) {
    this.#ports = ports;
    this.#limits = limits;
    this.#lastFeed = randomBelow(ports.random, 2 ** 40);
  }

  /** The lowest index after which somebody needs the log. */
  get neededAfter(): number {
    let after = Number.POSITIVE_INFINITY;
    for (const { feed } of this.#joiners.values()) if (feed !== undefined) after = Math.min(after, feed.at.index);
    return after;
  }

  get servers(): readonly string[] {
    return [...this.#joiners.keys()];
  }

  /** A server outside of the group knocks. */
  knock(from: Member, attempt: number, holding: Holding): void {
    const { appending, log, history } = this.#ports;
    const committed = holding.committed.at;
    const row = this.#ports.row();
    if (row === undefined || this.#refused.has(from.server)) return;
    const known = this.#joiners.get(from.server);
    const follower = appending.follower(from.server, from.replica);
    if (follower?.standing === "member") return;
    if (known?.attempt === attempt && follower !== undefined) {
      // It takes its time with what it was sent.
      follower.silentTicks = 0;
      return;
    }
    const epochAt = (index: number): number | undefined => log.entries.epochAt(index);
    const lost = lostByJoining(holding, { openings: history.openings, shown: log.installed, epoch: row.epoch, epochAt });
    if (lost !== undefined) {
      this.#deny(from, attempt, "parted", lost);
      return;
    }
    if (this.#tooLarge.has(from.server)) {
      this.#deny(from, attempt, "too-large", log.installed);
      return;
    }
    const isNew = known === undefined;
    if (isNew && (this.#joiners.size >= this.#limits.joinersMax || row.members.length + this.#joiners.size >= groupMembersMax)) return;
    // Another copy of its data counts and may be in the next row: that is cleared up first.
    if (follower === undefined && [...appending.followers].some(({ server, standing }) => server === from.server && standing !== "joiner"))
      return;
    this.#joiners.set(from.server, { attempt, feed: undefined });
    const canFollow = committed.index <= log.installed.index && log.entries.has(committed);
    // Once counted, it stays so until the epoch ends, whatever it has to be given again.
    const standing = follower?.standing ?? "joiner";
    const next = appending.follow(from.server, from.replica, standing, canFollow ? committed.index : undefined);
    next.isProposed = follower?.isProposed ?? false;
    if (!canFollow) this.#feed(next);
  }

  /** The kept log does not reach back to what this joiner has. */
  feedAgain(follower: Follower): void {
    follower.next = undefined;
    follower.acked = 0;
    this.#feed(follower);
  }

  got(follower: Follower, feedNumber: number, number: number): void {
    const joiner = this.#joiners.get(follower.server);
    if (joiner?.feed?.number !== feedNumber) return;
    follower.stalledTicks = 0;
    const { at } = joiner.feed;
    if (!joiner.feed.got(number)) return;
    joiner.feed = undefined;
    const { standing, isProposed } = follower;
    this.#ports.appending.follow(follower.server, follower.replica, standing, at.index).isProposed = isProposed;
  }

  /** Whether somebody has caught up, or a row that names somebody is to be asked for again. */
  step(): void {
    const { appending, log, rowChanges } = this.#ports;
    const counted: Follower[] = [];
    for (const follower of appending.followers) {
      if (
        follower.standing === "joiner" &&
        this.#joiners.has(follower.server) &&
        follower.acked >= log.installed.index &&
        follower.acked > 0
      )
        follower.standing = "counted";
      if (follower.standing === "counted") counted.push(follower);
    }
    const row = this.#ports.row();
    if (counted.length === 0 || row === undefined) return;
    // One at a time: of several the roll refuses all when it refuses one.
    const named = counted.find(
      ({ server, isTroubled, silentTicks }) => !isTroubled && silentTicks < ticks.join * 2 && !this.#refused.has(server),
    );
    if (named === undefined) return;
    const { server, replica, isProposed } = named;
    const members = [...row.members, { server, replica }];
    const isAsked = rowChanges.ask(row, { ...row, epoch: row.epoch + 1, members }, "joined", () =>
      this.#refuse(server, replica, isProposed),
    );
    if (isAsked) named.isProposed = true;
  }

  /** The row that was to name it will not happen. It makes room for others; when no other row can name it, nothing waits for it. */
  #refuse(server: string, replica: string, isProposed: boolean): void {
    const { appending } = this.#ports;
    const follower = appending.follower(server, replica);
    if (follower === undefined) return;
    this.#refused.set(server, ticks.joinRefused);
    follower.isProposed = isProposed;
    if (isProposed) return;
    this.#joiners.delete(server);
    appending.leave(server);
  }

  /** The row has changed: who is in it is a member, and whom no row can name any more is not waited for. */
  adopt(row: GroupRow): void {
    const { appending, telemetry, log } = this.#ports;
    // Perhaps they were refused because the row was another one.
    this.#refused.clear();
    for (const follower of [...appending.followers]) {
      const isMember = row.members.some(({ server, replica }) => server === follower.server && replica === follower.replica);
      if (isMember) {
        if (follower.standing !== "member") telemetry.count(metricNames.joined);
        follower.standing = "member";
        this.#joiners.delete(follower.server);
        // It was being given a copy of the state, which a member does not take: whatever was waited for it holds, so it can follow.
        if (follower.next === undefined) appending.follow(follower.server, follower.replica, "member", log.installed.index);
      } else if (this.#joiners.has(follower.server)) follower.standing = "joiner";
      else appending.leave(follower.server);
    }
  }

  beat(): void {
    for (const { feed } of this.#joiners.values()) feed?.beat();
    for (const pausing of [this.#refused, this.#tooLarge])
      for (const [server, left] of pausing) {
        if (left > 1) pausing.set(server, left - 1);
        else pausing.delete(server);
      }
    this.step();
  }

  /** Joiners that have gone silent. Returns whether one of them must be got rid of by an epoch. */
  judge(): boolean {
    let isStuck = false;
    for (const follower of [...this.#ports.appending.followers]) {
      if (follower.standing === "member" || !this.#joiners.has(follower.server)) continue;
      const isGone =
        follower.silentTicks > ticks.silent || follower.troubledTicks > ticks.troubled || follower.stalledTicks > ticks.stalled;
      if (!isGone) continue;
      if (follower.isProposed) isStuck = true;
      else {
        this.#joiners.delete(follower.server);
        this.#ports.appending.leave(follower.server);
      }
    }
    return isStuck;
  }

  #deny(to: Member, attempt: number, reason: DenialReason, at: Position): void {
    const { telemetry, send } = this.#ports;
    send(to, { kind: "denied", attempt, reason, at });
    if (this.#denied.has(to.server)) return;
    this.#denied.add(to.server);
    telemetry.log("error", "group-joiner-denied", { server: to.server, reason, epoch: at.epoch, index: at.index });
  }

  #feed(follower: Follower): void {
    const { machine, outcomes, history, slots, log } = this.#ports;
    const joiner = this.#joiners.get(follower.server);
    if (joiner === undefined) return;
    const rows = rowsWithin(
      snapshotRows(machine.snapshot(), [...history.rows(), ...outcomes.rows(), ...slots.rows()]),
      this.#limits.stateBytesMax,
    );
    if (rows === undefined) {
      this.#tooLarge.set(follower.server, ticks.joinTooLarge);
      this.#deny(follower, joiner.attempt, "too-large", log.installed);
      // Once counted, it stays so until the epoch ends.
      if (follower.standing !== "joiner") return;
      this.#joiners.delete(follower.server);
      this.#ports.appending.leave(follower.server);
      return;
    }
    joiner.feed = new SnapshotFeed(++this.#lastFeed, joiner.attempt, log.installed, rows, (part) => this.#ports.send(follower, part));
  }
}

/** Undefined as soon as they have more bytes than that. */
function rowsWithin(rows: Iterable<CarriedRow>, bytesMax: number): readonly CarriedRow[] | undefined {
  const taken: CarriedRow[] = [];
  let bytes = 0;
  for (const row of rows) {
    bytes += row.bytes.length + row.key.length;
    if (bytes > bytesMax) return undefined;
    taken.push(row);
  }
  return taken;
}

function* snapshotRows(
  state: Iterable<{ readonly key: string; readonly bytes: Uint8Array }>,
  others: readonly CarriedRow[],
): Iterable<CarriedRow> {
  yield* others;
  for (const { key, bytes } of state) yield { table: tables.state, key, bytes };
}
