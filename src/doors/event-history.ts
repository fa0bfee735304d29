import { type Clock, type Revision, type Timer, compareRevision } from "../kernel/index.ts";
import type { EventJson, HttpFleet } from "./http-fleet.ts";

/** One event, rendered once for all its readers, and the position that its change led to. */
export interface PlacedEvent {
  readonly table: string;
  /** Undefined: it concerns the whole table. */
  readonly key: string | undefined;
  readonly name: EventJson["event"];
  /** The event as JSON. */
  readonly text: string;
  readonly position: Revision;
}

export interface EventHistoryOptions {
  /** Events kept for those who come back; the oldest go first. Default 10,000. */
  readonly eventsMax?: number;
  /** Characters of JSON that they may have together; default 16 Mi. */
  readonly charactersMax?: number;
  /** How long a table is recorded after its last watcher left. Default 5 min. */
  readonly idleMs?: number;
}

interface Recorded {
  readonly subscription: { cancel(): void };
  /** Every event after this position is kept, unless `#lost` says otherwise. */
  readonly since: Revision;
  watchers: number;
  idle: Timer | undefined;
}

/**
 * The recent events of the tables that somebody watches, so that a watcher who comes back misses nothing. A table is
 * recorded from its first watcher on; a node that nobody watches pays nothing. One ring for all tables keeps their order.
 */
export class EventHistory {
  readonly #fleet: HttpFleet;
  readonly #clock: Clock;
  readonly #eventsMax: number;
  readonly #charactersMax: number;
  readonly #idleMs: number;
  readonly #tables = new Map<string, Recorded>();
  readonly #listeners = new Set<(placed: PlacedEvent) => void>();
  #ring: PlacedEvent[] = [];
  #characters = 0;
  /** The position of the newest event that has left the ring. */
  #lost: Revision | undefined;

  constructor(fleet: HttpFleet, clock: Clock, options: EventHistoryOptions = {}) {
    this.#fleet = fleet;
    this.#clock = clock;
    this.#eventsMax = options.eventsMax ?? 10_000;
    this.#charactersMax = options.charactersMax ?? 16 * 1024 * 1024;
    this.#idleMs = options.idleMs ?? 300_000;
  }

  /** Tells `listener` of each event of the tables from now on. Throws `tables/unknown-table`. */
  follow(tables: readonly string[], listener: (placed: PlacedEvent) => void): { cancel(): void } {
    const held: string[] = [];
    try {
      for (const table of tables) {
        this.#hold(table);
        held.push(table);
      }
    } catch (thrown) {
      for (const table of held) this.#release(table);
      throw thrown;
    }
    const wanted = new Set(tables);
    const listen = (placed: PlacedEvent) => {
      if (wanted.has(placed.table)) listener(placed);
    };
    this.#listeners.add(listen);
    return {
      cancel: () => {
        if (this.#listeners.delete(listen)) for (const table of held) this.#release(table);
      },
    };
  }

  /**
   * The events of the tables after a position, in order; undefined when that is not known: the node was started later,
   * the ring has moved on, or the position is of another history.
   */
  since(position: Revision, tables: readonly string[]): readonly PlacedEvent[] | undefined {
    const now = this.#fleet.position;
    if (compareRevision(position, now) > 0 || position.sequence > now.sequence) return undefined;
    if (this.#lost !== undefined && compareRevision(position, this.#lost) < 0) return undefined;
    for (const table of tables) {
      const recorded = this.#tables.get(table);
      if (recorded === undefined || compareRevision(position, recorded.since) < 0) return undefined;
    }
    const wanted = new Set(tables);
    return this.#ring.filter((placed) => wanted.has(placed.table) && compareRevision(placed.position, position) > 0);
  }

  close(): void {
    for (const recorded of this.#tables.values()) {
      recorded.subscription.cancel();
      recorded.idle?.cancel();
    }
    this.#tables.clear();
    this.#listeners.clear();
    this.#ring = [];
    this.#characters = 0;
  }

  #hold(table: string): void {
    const known = this.#tables.get(table);
    if (known !== undefined) {
      known.watchers++;
      known.idle?.cancel();
      known.idle = undefined;
      return;
    }
    const subscription = this.#fleet.subscribe(table, (event, position) => this.#record(event, position));
    this.#tables.set(table, { subscription, since: this.#fleet.position, watchers: 1, idle: undefined });
  }

  #release(table: string): void {
    const recorded = this.#tables.get(table);
    if (recorded === undefined || --recorded.watchers > 0) return;
    recorded.idle = this.#clock.schedule(this.#idleMs, () => {
      recorded.subscription.cancel();
      this.#tables.delete(table);
      this.#ring = this.#ring.filter((placed) => placed.table !== table);
      this.#characters = this.#ring.reduce((sum, placed) => sum + placed.text.length, 0);
    });
  }

  #record(event: EventJson, position: Revision): void {
    const placed = { table: event.table, key: event.entry?.key, name: event.event, text: JSON.stringify(event), position };
    this.#ring.push(placed);
    this.#characters += placed.text.length;
    // Cut in strides: taking one off the front of a long array for each event would move all others each time.
    if (this.#ring.length > this.#eventsMax * 1.25 || this.#characters > this.#charactersMax) this.#cut();
    for (const listener of this.#listeners) listener(placed);
  }

  #cut(): void {
    const charactersMax = this.#charactersMax * 0.8;
    let count = Math.max(0, this.#ring.length - this.#eventsMax);
    let characters = this.#characters;
    for (const [index, placed] of this.#ring.entries()) {
      if (index >= count && characters <= charactersMax) break;
      characters -= placed.text.length;
      count = Math.max(count, index + 1);
    }
    this.#lost = this.#ring.splice(0, count).at(-1)?.position;
    this.#characters = characters;
  }
}
