import { type MusterError, type Random, type Telemetry, errorOf, randomBelow } from "../kernel/index.ts";
import type { GroupRow } from "../tables/index.ts";
import { partedCopy, stateTooLarge } from "./errors.ts";
import { type GroupLog, tables } from "./group-log.ts";
import { type History, decodeHistory, partingsMax } from "./history.ts";
import type { CarriedRow, GroupWord, RowName } from "./messages.ts";
import { metricNames } from "./metrics.ts";
import { signed } from "./openings.ts";
import { ticks } from "./options.ts";
import { type Outcomes, decodeOutcomes } from "./outcomes.ts";
import type { GroupMachine, Position, StateRow } from "./ports.ts";
import { otherKind } from "./slot-errors.ts";
import { type Slots, decodeSlots } from "./slots.ts";

export interface JoiningPorts {
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly log: GroupLog;
  readonly machine: GroupMachine;
  readonly outcomes: Outcomes;
  readonly history: History;
  readonly slots: Slots;
  readonly send: (server: string, word: GroupWord) => void;
  /** State and log have been replaced. */
  readonly restored: () => void;
  readonly apart?: (why: MusterError | undefined) => void;
}

type Part = Extract<GroupWord, { kind: "part" }>;

interface Staged {
  readonly from: string;
  readonly feed: number;
  readonly at: Position;
  readonly rows: CarriedRow[];
  bytes: number;
  /** How many rows there were after each part. */
  readonly ends: number[];
  /** So many parts were confirmed. */
  confirmed: number;
  /** All parts are here. */
  hasAll: boolean;
  /** It is the state here; the last confirmation waits until that is durable. */
  isWhole: boolean;
}

/**
 * A server outside of the group on its way in: knocks at the synchronising host, says up to where its own state surely goes, and gets
 * what is missing: entries, or a copy of the state. The copy is written beside the old state as it comes, a part a commit, so that this
 * host goes on listening and answering; when all of it is durable it takes the place of the old one at once (see `StoredCopies`).
 */
export class Joining {
  readonly #ports: JoiningPorts;
  readonly #bytesMax: number;
  #attempt: number;
  #staged: Staged | undefined;
  /** Of this attempt; a copy that was begun before it is older, however late its parts come. */
  #newestFeed = 0;
  #silentTicks = 0;
  #sinceKnock: number = ticks.join;
  /** Why this server is not let in; it keeps asking, now and then. */
  #denied: MusterError | undefined;

  constructor(ports: JoiningPorts, bytesMax: number) {
    this.#ports = ports;
    this.#bytesMax = bytesMax;
    this.#attempt = newAttempt(ports.random);
  }

  /** Why this server is not let in. */
  get denied(): MusterError | undefined {
    return this.#denied;
  }

  /** One own tick outside of the group. */
  beat(row: GroupRow): void {
    this.#sinceKnock++;
    this.#silentTicks++;
    if (this.#denied === undefined && this.#silentTicks > ticks.joinSilent) this.begin();
    // Also while a copy comes: it is known by it that we are here, however long the disk takes.
    if (this.#sinceKnock < (this.#denied === undefined ? ticks.join : ticks.joinDenied)) return;
    this.#sinceKnock = 0;
    const { entries, installed } = this.#ports.log;
    const openings = this.#ports.history.openingsWith(entries, installed);
    const partings = openings.filter(({ isAccepted }) => isAccepted !== undefined).slice(-partingsMax);
    const held = { committed: signed(openings, installed), last: signed(openings, entries.last) };
    this.#ports.send(row.synchronising, { kind: "join", attempt: this.#attempt, ...held, partings });
  }

  /** This server is not outside any more, or not by this row: what was on its way in is not wanted. */
  stop(): void {
    this.accepted();
    this.#drop();
  }

  /** Begins again, as somebody who has not been heard of. */
  begin(): void {
    this.#attempt = newAttempt(this.#ports.random);
    this.#drop();
    this.#newestFeed = 0;
    this.#silentTicks = 0;
    this.#sinceKnock = ticks.joinDenied;
  }

  #drop(): void {
    if (this.#staged?.isWhole === false) this.#ports.log.dropCopy();
    this.#staged = undefined;
  }

  /** The synchronising host has said something. */
  heard(): void {
    this.#silentTicks = 0;
  }

  /** It takes this server in. */
  accepted(): void {
    if (this.#denied === undefined) return;
    this.#denied = undefined;
    this.#ports.apart?.(undefined);
  }

  refused({ attempt, reason, at }: Extract<GroupWord, { kind: "denied" }>): void {
    if (attempt !== this.#attempt) return;
    this.#deny(reason === "parted" ? partedCopy(this.#ports.log.entries.last, at) : stateTooLarge(this.#bytesMax));
  }

  #deny(why: MusterError): void {
    if (this.#denied?.code !== why.code)
      this.#ports.telemetry.log("error", "group-join-denied", { code: why.code, reason: why.message, next: why.next ?? "" });
    this.#denied = why;
    this.#ports.apart?.(why);
    this.#drop();
    this.#sinceKnock = 0;
  }

  part(from: string, part: Part): void {
    if (part.attempt !== this.#attempt) return;
    if (part.number === 0 && part.feed > this.#newestFeed) {
      this.#drop();
      this.#newestFeed = part.feed;
      this.#staged = { from, feed: part.feed, at: part.at, rows: [], bytes: 0, ends: [], confirmed: 0, hasAll: false, isWhole: false };
      this.#ports.log.beginCopy();
    }
    const staged = this.#staged;
    if (staged?.feed !== part.feed) return;
    if (part.number === staged.ends.length && !staged.hasAll) this.#take(staged, part);
    this.#settle(true);
  }

  /** A batch has become durable. */
  durable(): void {
    this.#settle(false);
  }

  /** Confirms the parts that are safe here; the last one when the state is the new one. */
  #settle(repeats: boolean): void {
    const staged = this.#staged;
    if (staged === undefined) return;
    const { log } = this.#ports;
    if (staged.hasAll && !staged.isWhole && log.stagedDurable === staged.rows.length) this.#finish(staged);
    if (this.#staged !== staged) return;
    const { from, feed, at, ends, hasAll } = staged;
    const safe = staged.isWhole ? ends.length : ends.filter((end) => end <= log.stagedDurable).length;
    const number = hasAll && !(staged.isWhole && log.durable >= at.index) ? Math.min(safe, ends.length - 1) : safe;
    if (number === 0 || (number === staged.confirmed && !repeats)) return;
    staged.confirmed = number;
    this.#ports.send(from, { kind: "got", feed, number: number - 1 });
  }

  #take(staged: Staged, part: Part): void {
    for (const row of part.rows) {
      staged.rows.push(row);
      staged.bytes += row.bytes.length + row.key.length;
    }
    if (staged.bytes > this.#bytesMax) {
      this.#deny(stateTooLarge(this.#bytesMax));
      return;
    }
    staged.ends.push(staged.rows.length);
    staged.hasAll = part.isLast;
    this.#ports.log.addToCopy(part.rows);
  }

  #finish(staged: Staged): void {
    const { log } = this.#ports;
    const { epoch, index } = staged.at;
    // What the log already leads to is here, and with it perhaps entries that were confirmed: nothing is put back.
    if (log.entries.has(staged.at)) {
      log.dropCopy();
      this.#end(staged);
    }
    // Epochs never fall along one history: this copy is older than the state here. Of another history the epoch is higher.
    else if (index <= log.installed.index && epoch <= log.installed.epoch) this.begin();
    else this.#tryRestore(staged);
  }

  #end(staged: Staged): void {
    staged.isWhole = true;
    staged.rows.length = 0;
  }

  /** Rows that cannot be read change nothing here. */
  #tryRestore(staged: Staged): void {
    const { machine, telemetry } = this.#ports;
    const before = [...machine.snapshot()];
    try {
      this.#restore(staged, before);
    } catch (error) {
      telemetry.count(metricNames.dropped, 1, { reason: "malformed" });
      telemetry.log("error", "group-snapshot-unreadable", { from: staged.from, reason: errorOf(error).message });
      this.begin();
    }
  }

  #restore(staged: Staged, before: readonly StateRow[]): void {
    const { log, machine, outcomes, history, slots, telemetry } = this.#ports;
    const loaded = decodeOutcomes(staged.rows);
    const openings = decodeHistory(staged.rows);
    const statuses = decodeSlots(staged.rows);
    if (statuses.size > 0 && machine.slots === undefined) throw otherKind();
    const old: RowName[] = before.map(({ key }) => ({ table: tables.state, key }));
    for (const rows of [outcomes.rows(), history.rows(), slots.rows()]) for (const { table, key } of rows) old.push({ table, key });
    const state = staged.rows.filter(({ table }) => table === tables.state);
    try {
      machine.restore(state);
    } catch (error) {
      machine.restore(before);
      throw error;
    }
    outcomes.replace(loaded);
    history.replace(openings);
    slots.replace(statuses);
    this.#end(staged);
    log.adoptCopy(staged.at, old);
    telemetry.count(metricNames.snapshots);
    this.#ports.restored();
  }
}

function newAttempt(random: Random): number {
  return 1 + randomBelow(random, 2 ** 40);
}
