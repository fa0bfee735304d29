import type { Entry } from "./entry.ts";
import { type Row, removedMark } from "./row.ts";
import type { FleetEvent, Subscriber } from "./subscriptions.ts";
import type { TableRows } from "./table-rows.ts";

/** A row that a change has touched, as it was before. */
interface Draft {
  readonly table: TableRows;
  readonly name: string;
  readonly key: string;
  /** The row as an object, which may have been changed or taken out since; undefined when there was none. */
  readonly row: Row | undefined;
  readonly before: Entry | undefined;
  readonly subscribers: readonly Subscriber[];
}

interface Outgoing {
  readonly subscribers: readonly Subscriber[];
  readonly key: string;
  readonly event: FleetEvent;
}

/** Up to here a change's drafts are searched one by one. */
const scannedMax = 16;

/**
 * Turns what a change touches into events: one for each row that differs, the net difference of the whole change, first
 * the rows that were written, then those whose validity follows from their host. Rows that nobody subscribed to cost one
 * comparison.
 */
export class EventLog {
  #drafts: Draft[] = [];
  #byKey: Map<string, Draft> | undefined;
  #outbox: Outgoing[] = [];
  #dispatching = false;

  /** The one row of a change was written: told at once, without the comparison that a change of several rows needs. */
  written(row: Row): void {
    const { key, table } = row;
    const { subscribers } = table;
    if (subscribers.length === 0 || !anyMatches(subscribers, key)) return;
    const event: FleetEvent = Object.freeze({ event: "Add", table: table.name, entry: row.entry() });
    if (this.#dispatching || this.#outbox.length > 0) {
      this.#outbox.push({ subscribers, key, event });
      return;
    }
    this.#dispatching = true;
    try {
      deliver(subscribers, key, event);
    } finally {
      this.#dispatching = false;
    }
    this.dispatch();
  }

  /** Called before a row is changed, added (`row` undefined) or removed. `keepBefore` unless the row is sure to stay. */
  touch(table: TableRows, key: string, row: Row | undefined, keepBefore: boolean): void {
    const { subscribers } = table;
    if (subscribers.length === 0 || !anyMatches(subscribers, key) || this.#knows(table, key)) return;
    const before = keepBefore ? row?.entry() : undefined;
    this.#add({ table, name: table.name, key, row, before, subscribers });
  }

  /** Called after the validity of a row changed with its host. */
  derived(row: Row): void {
    const { table, key } = row;
    const { subscribers } = table;
    if (subscribers.length === 0 || !row.flag || !anyMatches(subscribers, key) || this.#knows(table, key)) return;
    this.#add({ table, name: table.name, key, row, before: undefined, subscribers });
  }

  /** Called for the rows of a table that can be subscribed to only now, because it got its name after its rows. */
  appeared(row: Row): void {
    this.touch(row.table, row.key, undefined, false);
  }

  /** The change has been applied as a whole: looks at what became of the rows. */
  seal(): void {
    if (this.#drafts.length === 0) return;
    for (const { table, name, key, row: known, before, subscribers } of this.#drafts) {
      const row = known === undefined || known.mark === removedMark ? table.row(key) : known;
      if (row !== undefined) this.#send(subscribers, key, { event: "Add", table: name, entry: row.entry() });
      else if (known !== undefined)
        this.#send(subscribers, key, { event: "Delete", table: name, ...(before === undefined ? {} : { entry: before }) });
    }
    this.#drafts.length = 0;
    this.#byKey = undefined;
  }

  /** Calls the subscribers. A handler that applies another change finds its events delivered after those of this one. */
  dispatch(): void {
    if (this.#dispatching || this.#outbox.length === 0) return;
    this.#dispatching = true;
    try {
      while (this.#outbox.length > 0) {
        const outbox = this.#outbox;
        this.#outbox = [];
        for (const { subscribers, key, event } of outbox) deliver(subscribers, key, event);
      }
    } finally {
      this.#dispatching = false;
    }
  }

  #send(subscribers: readonly Subscriber[], key: string, event: FleetEvent): void {
    this.#outbox.push({ subscribers, key, event: Object.freeze(event) });
  }

  #add(draft: Draft): void {
    this.#drafts.push(draft);
    if (this.#byKey !== undefined) this.#byKey.set(draftKey(draft.table, draft.key), draft);
    else if (this.#drafts.length > scannedMax)
      this.#byKey = new Map(this.#drafts.map((known) => [draftKey(known.table, known.key), known]));
  }

  #knows(table: TableRows, key: string): boolean {
    if (this.#byKey !== undefined) return this.#byKey.has(draftKey(table, key));
    for (const draft of this.#drafts) if (draft.table === table && draft.key === key) return true;
    return false;
  }
}

function deliver(subscribers: readonly Subscriber[], key: string, event: FleetEvent): void {
  for (const subscriber of subscribers) if (key.startsWith(subscriber.prefix)) subscriber.deliver(event);
}

function draftKey(table: TableRows, key: string): string {
  return `${table.number}/${key}`;
}

function anyMatches(subscribers: readonly Subscriber[], key: string): boolean {
  for (const subscriber of subscribers) if (key.startsWith(subscriber.prefix)) return true;
  return false;
}
