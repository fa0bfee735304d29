import { type Clock, MusterError, type Revision } from "../kernel/index.ts";
import { badRequest } from "./errors.ts";
import { EventHistory, type EventHistoryOptions } from "./event-history.ts";
import type { HttpFleet } from "./http-fleet.ts";
import { WatchStream } from "./watch-stream.ts";

export interface WatchersOptions extends EventHistoryOptions {
  /** Streams that are open at the same time; one more is refused. Default 1,000. */
  readonly watchersMax?: number;
  /** See `WatchStream`. */
  readonly eventsPerWatcherMax?: number;
}

const tablesMax = 64;

/** All readers of `/v1/watch`. */
export class Watchers {
  readonly #fleet: HttpFleet;
  readonly #clock: Clock;
  readonly #options: WatchersOptions;
  readonly #history: EventHistory;
  readonly #streams = new Set<WatchStream>();

  constructor(fleet: HttpFleet, clock: Clock, options: WatchersOptions = {}) {
    this.#fleet = fleet;
    this.#clock = clock;
    this.#options = options;
    this.#history = new EventHistory(fleet, clock, options);
  }

  get size(): number {
    return this.#streams.size;
  }

  /**
   * Opens a stream of the events of `tables`. With `last`, the position up to which the reader has everything, it begins with
   * what has happened since; when that is not known any more, with one Subscribe for each table.
   * Throws `tables/unknown-table`, `doors/bad-request` and `doors/too-many-watchers`.
   */
  open(tables: readonly string[], prefix: string, last: Revision | undefined): ReadableStream<Uint8Array> {
    if (tables.length === 0 || tables.length > tablesMax)
      throw badRequest(`a watch names 1 to ${tablesMax} tables`, "GET /v1/watch?table=T[&table=…]&prefix=P");
    const watchersMax = this.#options.watchersMax ?? 1000;
    if (this.#streams.size >= watchersMax)
      throw new MusterError("doors/too-many-watchers", `${watchersMax} watches are open already`, {
        next: "close some, or watch at another node",
      });
    const unique = [...new Set(tables.map((table) => this.#plainName(table)))];
    const { eventsPerWatcherMax } = this.#options;
    const following = this.#history.follow(unique, (placed) => opened.push(placed));
    const missed = last === undefined ? [] : this.#history.since(last, unique);
    const opened: WatchStream = new WatchStream({
      tables: unique,
      prefix,
      from: missed === undefined || last === undefined ? this.#fleet.position : last,
      missed: missed ?? [],
      clock: this.#clock,
      ...(eventsPerWatcherMax === undefined ? {} : { eventsMax: eventsPerWatcherMax }),
      closed: () => {
        following.cancel();
        this.#streams.delete(opened);
      },
    });
    this.#streams.add(opened);
    if (missed === undefined) opened.rescan();
    return opened.body;
  }

  close(): void {
    for (const stream of [...this.#streams]) stream.close();
    this.#history.close();
  }

  /** Events carry the plain name, whatever the reader called the table. */
  #plainName(table: string): string {
    const known = this.#fleet.query("tables", {});
    if (!Array.isArray(known)) return table;
    const found = known.find((row) => row.name === table || row.symbol === table);
    return found === undefined ? table : String(found.name);
  }
}
