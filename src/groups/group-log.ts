import { type Clock, MusterError, type Random, type Telemetry, assert, errorOf } from "../kernel/index.ts";
import type { Store, StoreBatch } from "../storage/index.ts";
import { EntryList } from "./entry-list.ts";
import { type Entry, readEntry } from "./entry.ts";
import { damaged } from "./errors.ts";
import { metricNames } from "./metrics.ts";
import type { CarriedRow, RowName } from "./messages.ts";
import type { Position } from "./ports.ts";
import { type CopiesBatch, StoredCopies } from "./stored-copies.ts";
import { type StoredMark, decodeMark, encodeMark, markName } from "./stored-mark.ts";

export { tables } from "./store-tables.ts";

/** A row that changes with the commits that it follows from. `bytes` undefined: deleted. */
export interface RowChange {
  readonly table: number;
  readonly key: string;
  readonly bytes: Uint8Array | undefined;
}

export interface GroupLogPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly store: Store;
  /** A batch begins: what is in the log now can be sent along with it. */
  readonly begins: () => void;
  /** A batch has become durable. */
  readonly durable: () => void;
  /** Somebody catches up from here on: what comes after it is kept for longer. */
  readonly neededAfter: () => number;
}

export interface GroupLogLimits {
  readonly logBytesMax: number;
  readonly logEntriesMax: number;
}

/** What is in a batch under way, so that it can be taken back into the next one. */
interface Running {
  readonly end: number;
  readonly promised: number;
  readonly changedFrom: number;
  readonly rows: ReadonlyMap<string, RowChange>;
  readonly base: number;
  /** Of the copy that the rows belong to. */
  readonly generation: number;
  readonly acceptedEpoch: number;
  readonly copies: CopiesBatch;
}

/** So many times the usual is kept while a joiner takes its snapshot. */
const joiningShare = 4;
const clean = Number.POSITIVE_INFINITY;

/**
 * A member's log and its promise, durable in batches: while one commit runs, everything that happens goes into the next. State rows
 * follow from committed entries, so they are written along with later batches and never awaited: after a crash they are made
 * again from the log. A batch that the store refuses is not forgotten: it is part of the next one.
 */
export class GroupLog {
  readonly entries = new EntryList();
  readonly #copies = new StoredCopies();
  readonly #ports: GroupLogPorts;
  readonly #limits: GroupLogLimits;
  #replica = "";
  #promised = 0;
  #promisedDurable = 0;
  #acceptedEpoch = 0;
  #acceptedDurable = 0;
  #installed: Position = { epoch: 0, index: 0 };
  #durable = 0;
  #storedBase = 0;
  /** The lowest index that differs from what is stored, or will be when the running batch is. */
  #changedFrom = clean;
  #changedRows = new Map<string, RowChange>();
  #changedMark = false;
  #running: Running | undefined;
  #scheduled = false;
  #closed = false;
  #trouble: MusterError | undefined;
  /** Settles when the running batch has ended. */
  #ended: Promise<void> = Promise.resolve();

  constructor(ports: GroupLogPorts, limits: GroupLogLimits) {
    this.#ports = ports;
    this.#limits = limits;
  }

  /** Returns the stored rows, which are the state after `installed`. A store that is new gets its identity first. */
  async open(): Promise<Iterable<CarriedRow>> {
    const { store, random } = this.#ports;
    const stored = await store.open();
    const bytes = stored.meta.get(markName);
    if (bytes === undefined) {
      if (stored.meta.size > 0) throw damaged("it holds something else");
      this.#replica = random.hex(16);
      // Until it is durable nobody is told of it: whoever has trouble neither founds nor joins.
      await store.commit({ meta: [[markName, encodeMark(this.#mark())]] }).catch((thrown: unknown) => this.#refused(errorOf(thrown)));
      return [];
    }
    const mark = decodeMark(bytes);
    this.#replica = mark.replica;
    this.#promised = mark.promised;
    this.#promisedDurable = mark.promised;
    this.#installed = mark.installed;
    this.entries.reset(mark.base);
    this.#storedBase = mark.base.index;
    this.#acceptedEpoch = mark.acceptedEpoch;
    this.#acceptedDurable = mark.acceptedEpoch;
    const rows = this.#copies.open(mark.generation, stored.entries());
    for (const { sequence, bytes: entry } of stored.log()) {
      // Older ones are about to be dropped, newer ones were cut off.
      if (sequence <= mark.base.index || sequence > mark.end) continue;
      if (sequence !== this.entries.end + 1) throw damaged(`entry ${this.entries.end + 1} of the log is missing`);
      this.entries.append(this.#read(sequence, entry));
    }
    if (this.entries.end !== mark.end) throw damaged(`the log ends at ${this.entries.end}, not at ${mark.end}`);
    this.#durable = mark.end;
    return rows;
  }

  #read(sequence: number, bytes: Uint8Array): Entry {
    try {
      return readEntry(sequence, bytes);
    } catch (error) {
      throw damaged(`entry ${sequence} of the log: ${errorOf(error).message}`);
    }
  }

  get replica(): string {
    return this.#replica;
  }

  /** The highest epoch that this member obeys; what must not happen before it is durable asks `promisedDurable`. */
  get promised(): number {
    return this.#promised;
  }

  get promisedDurable(): number {
    return this.#promisedDurable;
  }

  /** The epoch that begins with what is here, whatever others hold; 0: none. */
  get acceptedEpoch(): number {
    return this.#acceptedEpoch;
  }

  /** Others' copies were given up: what this member begins from `epoch` on is the group's. Returns whether that is durable. */
  accept(epoch: number): boolean {
    if (this.#acceptedEpoch !== epoch) {
      this.#acceptedEpoch = epoch;
      this.#changedMark = true;
      this.#schedule();
    }
    return this.#acceptedDurable === epoch;
  }

  /** The last entry whose delta is in the state. */
  get installed(): Position {
    return this.#installed;
  }

  /** Entries up to here survive a crash. */
  get durable(): number {
    return this.#durable;
  }

  /** Why the last batch was refused; undefined while the store takes them. */
  get trouble(): MusterError | undefined {
    return this.#trouble;
  }

  get isIdle(): boolean {
    return this.#running === undefined && !this.#isChanged();
  }

  append(entry: Entry): void {
    this.entries.append(entry);
    // Whoever's it is: what was given up is said in it, or is no longer this member's to say.
    this.#acceptedEpoch = 0;
    this.#changedFrom = Math.min(this.#changedFrom, entry.index);
    this.#schedule();
  }

  /** Cuts off what comes after `end`: entries that were never committed. */
  cut(end: number): void {
    if (end >= this.entries.end) return;
    assert(end >= this.#installed.index, "a committed entry is never cut off");
    this.entries.cut(end);
    this.#durable = Math.min(this.#durable, end);
    this.#changedFrom = Math.min(this.#changedFrom, end + 1);
    this.#changedMark = true;
    this.#schedule();
  }

  /** Obeys no lower epoch from now on. */
  promise(epoch: number): void {
    if (epoch <= this.#promised) return;
    this.#promised = epoch;
    this.#changedMark = true;
    this.#schedule();
  }

  /** The state moved on to `at`. Not worth a batch of its own. */
  install(at: Position, changes: Iterable<RowChange>): void {
    this.#installed = at;
    this.#changedMark = true;
    for (const change of changes) this.#changedRows.set(`${change.table}/${change.key}`, change);
  }

  /** Rows of a copy of the state that comes in beside the one that counts. */
  get stagedDurable(): number {
    return this.#copies.durable;
  }

  beginCopy(): void {
    this.#copies.begin();
  }

  addToCopy(rows: readonly CarriedRow[]): void {
    this.#copies.add(rows);
    this.#schedule();
  }

  /** It comes to nothing. */
  dropCopy(): void {
    this.#copies.drop();
  }

  /** The copy that came in, all of which is durable, takes the place of state and log. `old`: the rows that counted. */
  adoptCopy(at: Position, old: Iterable<RowName>): void {
    this.entries.reset(at);
    // Nothing of it counts before a batch that begins from now on.
    this.#durable = 0;
    this.#changedFrom = 1;
    this.#acceptedEpoch = 0;
    this.#copies.adopt([...old, ...this.#changedRows.values(), ...(this.#running?.rows.values() ?? [])]);
    this.#changedRows = new Map();
    this.install(at, []);
    this.#schedule();
  }

  /** Makes durable what has been waiting for company. */
  flush(): void {
    if (this.#isChanged()) this.#schedule();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#ended;
    await this.#ports.store.close();
  }

  #isChanged(): boolean {
    const { isStaging, isSweeping } = this.#copies;
    return this.#changedMark || this.#changedFrom !== clean || this.#changedRows.size > 0 || isStaging || isSweeping;
  }

  /** All that happens in one turn shares a batch. After a refusal the next `flush` tries again. */
  #schedule(): void {
    if (this.#scheduled || this.#running !== undefined || this.#closed || this.#trouble !== undefined) return;
    this.#scheduled = true;
    this.#ports.clock.turn(() => {
      this.#scheduled = false;
      this.#begin();
    });
  }

  /** Tries again after a refusal. */
  retry(): void {
    if (this.#trouble !== undefined) this.#begin();
  }

  #begin(): void {
    if (this.#running !== undefined || this.#closed || !this.#isChanged()) return;
    this.#prune();
    const batch = this.#take();
    this.#ports.begins();
    const started = this.#ports.clock.monoMs();
    this.#ended = this.#ports.store.commit(batch).then(
      () => {
        this.#ports.telemetry.observe(metricNames.commitMs, this.#ports.clock.monoMs() - started);
        this.#succeed();
      },
      (thrown: unknown) => this.#fail(errorOf(thrown)),
    );
  }

  #prune(): void {
    const { logBytesMax, logEntriesMax } = this.#limits;
    const { index } = this.#installed;
    const wanted = this.entries.keepFrom(index, logBytesMax, logEntriesMax);
    const longest = this.entries.keepFrom(index, logBytesMax * joiningShare, logEntriesMax * joiningShare);
    this.entries.dropTo(Math.max(longest, Math.min(wanted, this.#ports.neededAfter() + 1)) - 1);
  }

  #take(): StoreBatch {
    const end = this.entries.end;
    const base = this.entries.base.index;
    const from = Math.max(this.#changedFrom, base + 1);
    const log = [];
    for (let index = from; index <= end; index++) {
      const entry = this.entries.at(index);
      if (entry !== undefined) log.push({ sequence: index, bytes: entry.bytes });
    }
    const copies = this.#copies.take();
    const generation = this.#copies.current;
    const rows = this.#changedRows;
    const changed = Array.from(rows.values(), ({ table, key, bytes }) => ({ table: this.#copies.tableOf(table), key, bytes }));
    const [promised, acceptedEpoch, changedFrom] = [this.#promised, this.#acceptedEpoch, this.#changedFrom];
    this.#running = { end, promised, acceptedEpoch, changedFrom, rows, base, generation, copies };
    this.#changedRows = new Map();
    this.#changedFrom = clean;
    this.#changedMark = false;
    return {
      meta: [[markName, encodeMark(this.#mark())]],
      entries: [...copies.entries, ...changed],
      log,
      ...(base > this.#storedBase ? { logFrom: base + 1 } : {}),
    };
  }

  #mark(): StoredMark {
    const { base, end } = this.entries;
    const [replica, promised, installed] = [this.#replica, this.#promised, this.#installed];
    return { replica, promised, installed, base, end, generation: this.#copies.current, acceptedEpoch: this.#acceptedEpoch };
  }

  #succeed(): void {
    const done = this.#running;
    if (done === undefined) return;
    this.#running = undefined;
    this.#trouble = undefined;
    this.#promisedDurable = done.promised;
    this.#acceptedDurable = done.acceptedEpoch;
    this.#copies.kept(done.copies);
    this.#storedBase = done.base;
    // What was changed since then is not what was stored.
    this.#durable = Math.min(done.end, this.#changedFrom - 1);
    if (this.#closed) return;
    this.#ports.durable();
    // Rows alone wait for company, and for the next tick; those of a copy have somebody waiting for them.
    if (this.#changedFrom !== clean || this.#promised > this.#promisedDurable || this.#copies.isStaging) this.#schedule();
  }

  #fail(thrown: Error): void {
    const undone = this.#running;
    if (undone === undefined) return;
    this.#running = undefined;
    this.#copies.refused(undone.copies);
    // Those of a copy that counts no more are not wanted.
    if (undone.generation === this.#copies.current)
      for (const [key, change] of undone.rows) if (!this.#changedRows.has(key)) this.#changedRows.set(key, change);
    this.#changedFrom = Math.min(this.#changedFrom, undone.changedFrom);
    this.#refused(thrown);
  }

  #refused(thrown: Error): void {
    this.#changedMark = true;
    if (this.#trouble === undefined) this.#ports.telemetry.log("error", "group-commit-failed", { reason: thrown.message });
    this.#trouble = thrown instanceof MusterError ? thrown : new MusterError("groups/not-durable", thrown.message, { cause: thrown });
  }
}
