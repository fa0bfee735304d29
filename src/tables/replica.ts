import { MusterError, type Revision, type Telemetry, assert, formatRevision, revisionZero, silentTelemetry } from "../kernel/index.ts";
import { type TableDefinition, formatMapping, tableNumbers } from "./definition.ts";
import type { Entry } from "./entry.ts";
import { EventLog } from "./event-log.ts";
import { parsePrefix, quote } from "./key.ts";
import { type PendingEffect, PendingEffects } from "./pending-effects.ts";
import type { StoredRow } from "./row.ts";
import { RowStore, type Settled } from "./row-store.ts";
import { type Range, StagedLoad } from "./staged-load.ts";
import { type FleetEvent, HandlerQueue, type SubscribeOptions, type Subscriber, type Subscription } from "./subscriptions.ts";
import type { TableRows } from "./table-rows.ts";
import type { Where } from "./where.ts";

export interface ReplicaOptions {
  readonly telemetry?: Telemetry;
}

/** One line of `tables()`. */
export interface TableSummary {
  readonly name: string;
  readonly symbol?: string;
  readonly mapping?: string;
  readonly entries: number;
}

/**
 * Who keeps something derived from the rows is told what was touched, after a change was applied and before its
 * events: so handlers that look things up see no stale derivation.
 */
export interface ReplicaObserver {
  /** The row was written, changed or removed. */
  touched(table: number, key: string): void;
  /** The derived validity of the rows on this host has changed. */
  host(name: string): void;
  /** Too much has changed to name it: a large load, or the set of tables. */
  reset(): void;
}

const eventsMaxDefault = 1024;
const eventsMaxLimit = 1_000_000;
const subscriptionsMax = 100_000;

/**
 * The rows of one node and its position in the one order of changes. A change is applied as a whole: its effects are
 * gathered between `begin` and `end`, and nothing of them is visible, not even after an error in between, before `end`
 * applies them in one synchronous step, tells the observers and then the subscribers.
 *
 * The methods `begin`, `put`, `setValid`, `remove` and `end` are the sink of the change decoder.
 */
export class Replica {
  readonly #telemetry: Telemetry;
  readonly #events = new EventLog();
  readonly #store = new RowStore(this.#events);
  readonly #pending = new PendingEffects();
  readonly #subscribers = new Set<Subscriber>();
  #observers: readonly ReplicaObserver[] = [];
  #epoch = 0;
  #sequence = 0;
  #position: Revision = revisionZero;
  #open = false;
  #loads = 0;
  readonly #openLoads = new Set<StagedLoad>();
  #lastName = "";
  #lastTable: TableRows | undefined;

  constructor(options: ReplicaOptions = {}) {
    this.#telemetry = options.telemetry ?? silentTelemetry;
  }

  /** Everything up to here has been applied. */
  get position(): Revision {
    if (this.#position.sequence !== this.#sequence || this.#position.epoch !== this.#epoch)
      this.#position = Object.freeze({ epoch: this.#epoch, sequence: this.#sequence });
    return this.#position;
  }

  /** Of `position`, without an object for whoever asks once a change. */
  get epoch(): number {
    return this.#epoch;
  }

  get sequence(): number {
    return this.#sequence;
  }

  /** Rows in all tables. */
  get size(): number {
    return this.#store.size;
  }

  /** Hosts that a row lies on, or that are dead. */
  get hostCount(): number {
    return this.#store.hosts.size;
  }

  get subscriptionCount(): number {
    return this.#subscribers.size;
  }

  /** Events that wait for handlers that are still busy, all subscriptions together. */
  get waitingEvents(): number {
    let waiting = 0;
    for (const subscriber of this.#subscribers) waiting += subscriber.waiting;
    return waiting;
  }

  /** Rows of loads that are under way and not visible yet. */
  get stagedRows(): number {
    let staged = 0;
    for (const load of this.#openLoads) staged += load.size;
    return staged;
  }

  // Lookups by name. A table is named by its plain name or its symbol; an unknown one throws `tables/unknown-table`.

  get(table: string, key: string): Entry | undefined {
    return this.#named(table).row(key)?.entry();
  }

  /** The entries whose keys begin with `prefix` (raw leading characters; "" is the whole table), in key order. */
  search(table: string, prefix = "", options?: { readonly where?: Where }): readonly Entry[] {
    return this.#named(table).search(prefix, options?.where);
  }

  /** The definition behind a name or symbol; undefined when there is no such table. */
  table(nameOrSymbol: string): TableDefinition | undefined {
    return this.#store.named(nameOrSymbol)?.definition;
  }

  /** Like `table`, but an unknown name throws `tables/unknown-table`. */
  requireTable(nameOrSymbol: string): TableDefinition {
    const { definition } = this.#named(nameOrSymbol);
    assert(definition !== undefined, "a table that has a name has a definition");
    return definition;
  }

  /** All tables in order of their names. */
  tables(): readonly TableSummary[] {
    const summaries: TableSummary[] = [];
    for (const { definition, size } of this.#store.tables()) {
      if (definition === undefined) continue;
      const { name, symbol, mapping } = definition;
      summaries.push({
        name,
        ...(symbol === undefined ? {} : { symbol }),
        ...(mapping === undefined ? {} : { mapping: formatMapping(mapping) }),
        entries: size,
      });
    }
    return summaries.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  // Lookups by number, for the roll itself. A stored row is live: read it at once, do not keep it.

  tableByNumber(number: number): TableDefinition | undefined {
    return this.#store.numbered(number)?.definition;
  }

  /** Numbers of the tables that have rows, ascending. */
  tableNumbers(): readonly number[] {
    const numbers: number[] = [];
    for (const table of this.#store.tables()) if (table.size > 0) numbers.push(table.number);
    return numbers.sort((a, b) => a - b);
  }

  /** Rows of one table. */
  entryCount(table: number): number {
    return this.#store.numbered(table)?.size ?? 0;
  }

  /** A row as the directory wrote it. */
  row(table: number, key: string): StoredRow | undefined {
    return this.#store.numbered(table)?.row(key);
  }

  entry(table: number, key: string): Entry | undefined {
    return this.#store.numbered(table)?.row(key)?.entry();
  }

  /** The derived validity of a row; false when there is none. */
  isValid(table: number, key: string): boolean {
    return this.#store.numbered(table)?.row(key)?.valid ?? false;
  }

  /**
   * The rows of a table in key order, from the first after the key `after`; for loads. The iteration may be suspended between changes:
   * it never repeats a key and shows every row that was there all the time.
   */
  entries(table: number, after = ""): Iterable<StoredRow> {
    return this.#store.numbered(table)?.from(after) ?? [];
  }

  /** The rows whose keys begin with `prefix`, in key order, as one list. */
  rowsBelow(table: number, prefix: string): readonly StoredRow[] {
    return this.#store.numbered(table)?.collect(prefix) ?? [];
  }

  /** False only while the row of the host says so. */
  hostAlive(name: string): boolean {
    return this.#store.hosts.get(name)?.alive ?? true;
  }

  /** The rows whose route names the host, in no particular order. */
  *rowsOnHost(name: string): Generator<{ readonly table: number; readonly row: StoredRow }, void, undefined> {
    for (const row of this.#store.hosts.get(name)?.rows() ?? []) yield { table: row.table.number, row };
  }

  // Changes.

  /** Starts a change; what an unfinished one before it gathered is dropped. Throws `tables/position-backwards`. */
  begin(epoch: number, sequence: number): void {
    if (epoch < this.#epoch || (epoch === this.#epoch && sequence <= this.#sequence)) throw this.#backwards(epoch, sequence);
    this.#pending.start(epoch, sequence);
    this.#open = true;
  }

  put(table: number, key: string, text: string, valid: boolean, owner: string, incarnation: number): void {
    this.#pending.put(table, key, text, valid, owner, incarnation);
  }

  setValid(table: number, key: string, valid: boolean): void {
    this.#pending.setValid(table, key, valid);
  }

  remove(table: number, key: string): void {
    this.#pending.remove(table, key);
  }

  /** Applies what was gathered since `begin`, moves the position, and tells observers and subscribers. */
  end(): void {
    assert(this.#open, "a change ends that has not begun");
    this.#open = false;
    const pending = this.#pending;
    const store = this.#store;
    const { epoch, sequence, count } = pending;
    if (count === 1 && this.#endOne(pending.at(0), epoch, sequence)) return;
    for (let index = 0; index < count; index++) {
      const effect = pending.at(index);
      const { table, key } = effect;
      if (effect.kind === "put") store.put(table, key, effect.text, effect.valid, effect.owner, effect.incarnation, epoch, sequence);
      else if (effect.kind === "valid") store.setValid(table, key, effect.valid, epoch, sequence);
      else store.remove(table, key);
    }
    this.#epoch = epoch;
    this.#sequence = sequence;
    const settled = this.#settle();
    if (!settled.redefined)
      for (const observer of this.#observers)
        for (let index = 0; index < count; index++) {
          const { table, key } = pending.at(index);
          observer.touched(table, key);
        }
    this.#tell(settled);
    pending.clear();
    this.#events.dispatch();
  }

  /** The usual change writes one row from which nothing follows; false when this one is another. */
  #endOne({ kind, table, key, text, valid, owner, incarnation }: PendingEffect, epoch: number, sequence: number): boolean {
    if (kind !== "put" || table <= tableNumbers.hosts) return false;
    this.#pending.clear();
    const row = this.#store.write(table, key, text, valid, owner, incarnation, epoch, sequence);
    this.#epoch = epoch;
    this.#sequence = sequence;
    for (const observer of this.#observers) observer.touched(table, key);
    this.#events.written(row);
    return true;
  }

  /** Drops what was gathered since `begin`. */
  abort(): void {
    this.#open = false;
    this.#pending.clear();
  }

  /** Moves the position where nothing matched; equal is allowed. Throws `tables/position-backwards`. */
  advance(epoch: number, sequence: number): void {
    if (epoch < this.#epoch || (epoch === this.#epoch && sequence < this.#sequence)) throw this.#backwards(epoch, sequence);
    this.#epoch = epoch;
    this.#sequence = sequence;
  }

  /** Starts a load of these ranges; see `StagedLoad`. Changes may be applied meanwhile; the load counts as later than they are. */
  beginLoad(ranges: readonly Range[]): StagedLoad {
    const load: StagedLoad = new StagedLoad(
      ranges,
      this.#store,
      (_, epoch, sequence) => this.#finishLoad(load, epoch, sequence),
      () => this.#openLoads.delete(load),
    );
    this.#openLoads.add(load);
    return load;
  }

  // Who is told.

  /** Tells `observer` what each change touches until the returned function is called. */
  observe(observer: ReplicaObserver): () => void {
    this.#observers = [...this.#observers, observer];
    return () => {
      this.#observers = this.#observers.filter((known) => known !== observer);
    };
  }

  /**
   * Calls `handler` for every change of a row of `tables` whose key begins with `prefix`. Throws `tables/unknown-table`,
   * `tables/bad-key` and `tables/bad-limit`. What the replica holds already is not told: search it after subscribing.
   */
  subscribe<Context>(options: SubscribeOptions<Context>, handler: (event: FleetEvent, context: Context) => unknown): Subscription {
    const { tables, eventsMax = eventsMaxDefault } = options;
    const prefix = parsePrefix(options.prefix ?? "");
    for (const table of tables) this.#named(table);
    if (!Number.isInteger(eventsMax) || eventsMax < 1 || eventsMax > eventsMaxLimit)
      throw new MusterError("tables/bad-limit", `eventsMax is ${eventsMax}`, { next: `use an integer from 1 to ${eventsMaxLimit}` });
    if (this.#subscribers.size >= subscriptionsMax)
      throw new MusterError("tables/too-many-subscriptions", `there are ${subscriptionsMax} subscriptions already`, {
        next: "cancel subscriptions that are no longer needed, or subscribe to a whole table once",
      });
    const queue = new HandlerQueue({ tables: [...tables], prefix, eventsMax }, handler, parseContext(options), this.#telemetry, () => {
      this.#subscribers.delete(queue);
      for (const table of this.#store.tables())
        if (table.subscribers.includes(queue)) table.subscribers = table.subscribers.filter((known) => known !== queue);
    });
    this.#subscribers.add(queue);
    this.#route(queue);
    return queue;
  }

  #finishLoad(load: StagedLoad, epoch: number, sequence: number): void {
    if (epoch < this.#epoch || (epoch === this.#epoch && sequence < this.#sequence)) throw this.#backwards(epoch, sequence);
    const { touched } = load.apply(++this.#loads);
    this.#epoch = epoch;
    this.#sequence = sequence;
    const settled = this.#settle();
    const told = settled.redefined ? undefined : touched;
    if (told === undefined) {
      for (const observer of this.#observers) observer.reset();
    } else {
      for (const observer of this.#observers) for (const { table, key } of told) observer.touched(table, key);
      this.#tell(settled);
    }
    this.#events.dispatch();
  }

  /** Derives what follows from the rows, and fixes the events. */
  #settle(): Settled {
    const settled = this.#store.settle();
    if (settled.redefined) {
      this.#lastTable = undefined;
      for (const table of this.#store.tables()) table.subscribers = [];
      for (const subscriber of this.#subscribers) this.#route(subscriber);
      for (const table of settled.named) for (const row of table.rows()) this.#events.appeared(row);
    }
    this.#events.seal();
    return settled;
  }

  #tell({ redefined, hosts }: Settled): void {
    for (const observer of this.#observers)
      if (redefined) observer.reset();
      else for (const host of hosts) observer.host(host);
  }

  /** Puts the subscriber where its tables' rows are; a table that is gone comes back to it when it is added again. */
  #route(subscriber: Subscriber): void {
    for (const name of subscriber.tables) {
      const table = this.#store.named(name);
      if (table !== undefined && !table.subscribers.includes(subscriber)) table.subscribers = [...table.subscribers, subscriber];
    }
  }

  #named(nameOrSymbol: string): TableRows {
    if (nameOrSymbol === this.#lastName && this.#lastTable !== undefined) return this.#lastTable;
    const table = this.#store.named(nameOrSymbol);
    if (table === undefined)
      throw new MusterError("tables/unknown-table", `there is no table ${quote(nameOrSymbol)}`, {
        next: "list them with `muster tables`, add one with `muster table add NAME`",
      });
    this.#lastName = nameOrSymbol;
    this.#lastTable = table;
    return table;
  }

  #backwards(epoch: number, sequence: number): MusterError {
    const asked = formatRevision({ epoch, sequence });
    return new MusterError("tables/position-backwards", `the replica is at ${formatRevision(this.position)} and cannot go to ${asked}`, {
      next: "ask the parent for what follows the replica's position",
    });
  }
}

/** A context that was not given is `undefined`, which the caller's type then says too. */
function parseContext<Context>(options: SubscribeOptions<Context>): Context {
  return options.context as Context;
}
