import { type Random, type Telemetry, errorOf, randomBelow } from "../kernel/index.ts";
import type { GroupRow } from "../tables/index.ts";
import { type GroupLog, type RowChange, tables } from "./group-log.ts";
import type { CarriedRow, GroupWord } from "./messages.ts";
import { metricNames } from "./metrics.ts";
import { ticks } from "./options.ts";
import { type Outcomes, decodeOutcomes } from "./outcomes.ts";
import type { GroupMachine, Position, StateRow } from "./ports.ts";

export interface JoiningPorts {
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly log: GroupLog;
  readonly machine: GroupMachine;
  readonly outcomes: Outcomes;
  readonly send: (server: string, word: GroupWord) => void;
  /** State and log have been replaced. */
  readonly restored: () => void;
}

type Part = Extract<GroupWord, { kind: "part" }>;

interface Staged {
  readonly from: string;
  readonly feed: number;
  readonly at: Position;
  readonly rows: CarriedRow[];
  bytes: number;
  parts: number;
  /** Everything is here and written; the confirmation waits until it is durable. */
  isWhole: boolean;
}

/**
 * A server outside of the group on its way in: knocks at the synchronising host, says up to where its own state surely goes, and gets
 * what is missing: entries, or a copy of the state. The copy is put together in memory and takes the place of the old
 * state in one batch, so a crash in between leaves the old state as it was.
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

  constructor(ports: JoiningPorts, bytesMax: number) {
    this.#ports = ports;
    this.#bytesMax = bytesMax;
    this.#attempt = newAttempt(ports.random);
  }

  /** One own tick outside of the group. */
  beat(row: GroupRow): void {
    this.#sinceKnock++;
    this.#silentTicks++;
    if (this.#silentTicks > ticks.joinSilent) this.begin();
    // While something comes, it is known at the other side that we are here.
    if (this.#sinceKnock < ticks.join || (this.#silentTicks < ticks.join && this.#staged !== undefined)) return;
    this.#sinceKnock = 0;
    this.#ports.send(row.synchronising, { kind: "join", attempt: this.#attempt, committed: this.#ports.log.installed });
  }

  /** Begins again, as somebody who has not been heard of. */
  begin(): void {
    this.#attempt = newAttempt(this.#ports.random);
    this.#staged = undefined;
    this.#newestFeed = 0;
    this.#silentTicks = 0;
    this.#sinceKnock = ticks.join;
  }

  /** The synchronising host has said something. */
  heard(): void {
    this.#silentTicks = 0;
  }

  part(from: string, part: Part): void {
    if (part.attempt !== this.#attempt) return;
    if (part.number === 0 && part.feed > this.#newestFeed) {
      this.#newestFeed = part.feed;
      this.#staged = { from, feed: part.feed, at: part.at, rows: [], bytes: 0, parts: 0, isWhole: false };
    }
    const staged = this.#staged;
    if (staged?.feed !== part.feed) return;
    if (part.number === staged.parts && !staged.isWhole) this.#take(staged, part);
    if (!staged.isWhole || this.#isDurable(staged)) this.#confirm(staged);
  }

  /** A batch has become durable. */
  durable(): void {
    const staged = this.#staged;
    if (staged?.isWhole === true && this.#isDurable(staged)) this.#confirm(staged);
  }

  #isDurable({ at }: Staged): boolean {
    const { log } = this.#ports;
    return log.durable >= at.index;
  }

  #confirm({ from, feed, parts }: Staged): void {
    if (parts > 0) this.#ports.send(from, { kind: "got", feed, number: parts - 1 });
  }

  #take(staged: Staged, part: Part): void {
    for (const row of part.rows) {
      staged.rows.push(row);
      staged.bytes += row.bytes.length + row.key.length;
    }
    if (staged.bytes > this.#bytesMax) {
      this.#ports.telemetry.log("error", "group-state-too-large", { bytes: staged.bytes, bytesMax: this.#bytesMax });
      this.begin();
      return;
    }
    staged.parts++;
    if (part.isLast) this.#finish(staged);
  }

  #finish(staged: Staged): void {
    const { entries, installed } = this.#ports.log;
    const { epoch, index } = staged.at;
    // What the log already leads to is here, and with it perhaps entries that were confirmed: nothing is put back.
    if (entries.has(staged.at)) this.#end(staged);
    // Epochs never fall along one history: this copy is older than the state here. Of another history the epoch is higher.
    else if (index <= installed.index && epoch <= installed.epoch) this.begin();
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
    const { log, machine, outcomes, telemetry } = this.#ports;
    const loaded = decodeOutcomes(staged.rows);
    const changes = new Map<string, RowChange>();
    const remove = ({ table, key }: CarriedRow): unknown => changes.set(`${table}/${key}`, { table, key, bytes: undefined });
    for (const { key } of before) changes.set(`${tables.state}/${key}`, { table: tables.state, key, bytes: undefined });
    for (const row of outcomes.rows()) remove(row);
    for (const row of staged.rows) changes.set(`${row.table}/${row.key}`, row);
    const state = staged.rows.filter(({ table }) => table === tables.state);
    try {
      machine.restore(state);
    } catch (error) {
      machine.restore(before);
      throw error;
    }
    outcomes.replace(loaded);
    this.#end(staged);
    log.reset(staged.at, changes.values());
    telemetry.count(metricNames.snapshots);
    this.#ports.restored();
  }
}

function newAttempt(random: Random): number {
  return 1 + randomBelow(random, 2 ** 40);
}
