import {
  type Clock,
  MusterError,
  type Revision,
  type Telemetry,
  type Timer,
  compareRevision,
  formatRevision,
  isRecord,
} from "../kernel/index.ts";
import type { CompleteRoute } from "../find/index.ts";
import { type Entry, stateKey, statesTable } from "../tables/index.ts";
import type { FetchFleet } from "./fetch-fleet.ts";
import { metrics } from "./metrics.ts";

/** A client whose own path is broken cannot reach anybody: it does not accuse everybody. */
export const doubtsMax = 10;
/** Whoever watches the server usually knows already: then there is nothing to ask. */
export const patienceMs = 20;
/** An owner that looks has answered long before; a doubt that still stands is one that nobody looks into. */
export const withdrawMs = 5000;
/** A doubt of another program stands so long only when that program has ended. */
export const orphanedMs = 10_000;
const triesMax = 3;

type DoubtsFleet = Pick<FetchFleet, "host" | "get" | "change">;

/** The row is the doubt that is meant. */
type Meant = (row: Entry) => boolean;

/**
 * Asks the owner of a server about it, because this client could not reach it: a row `doubted`, at which the agent of the watching
 * host looks. Nobody avoids a server because of it. A standing entry has no owner who would look, so the client takes its question
 * back after five seconds; a question whose client has ended is taken back by the next one that would have asked the same.
 * Never waited for, and never an error: the request has its own.
 */
export class Doubts {
  readonly #fleet: DoubtsFleet;
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  /** Asked, and not known to be over: each with what is to be done next about it. */
  readonly #open = new Map<string, { readonly timer: Timer; readonly meant: Meant | undefined }>();
  #closed = false;

  constructor(fleet: DoubtsFleet, clock: Clock, telemetry: Telemetry) {
    this.#fleet = fleet;
    this.#clock = clock;
    this.#telemetry = telemetry;
  }

  tell(table: string, route: CompleteRoute, why: string): void {
    const key = stateKey(table, route.instance);
    if (key === undefined || this.#closed || this.#open.has(key) || this.#open.size >= doubtsMax) return;
    const timer = this.#clock.schedule(patienceMs, () => this.#ask(key, table, route, why));
    this.#open.set(key, { timer, meant: undefined });
  }

  /** Takes back at once what this client has asked. */
  close(): void {
    this.#closed = true;
    for (const [key, { timer, meant }] of this.#open) {
      timer.cancel();
      if (meant !== undefined) this.#withdraw(key, meant, triesMax);
    }
    this.#open.clear();
  }

  #ask(key: string, table: string, route: CompleteRoute, why: string): void {
    const row = this.#row(table, route.instance);
    if (row === undefined || !row.valid || compareRevision(row.revision, route.revision) !== 0) return void this.#open.delete(key);
    const known = this.#row(statesTable, key);
    if (known !== undefined) {
      if (!isDoubt(known)) return void this.#open.delete(key);
      const { revision } = known;
      return this.#later(key, orphanedMs, (now) => compareRevision(now.revision, revision) === 0);
    }
    const by = this.#fleet.host ?? "a program";
    const sinceUnixMs = this.#clock.unixMs();
    const reason = `${route.address}:${route.port} cannot be reached from ${by}: ${why}`.slice(0, 500);
    const meant: Meant = ({ value }) => isRecord(value) && value["by"] === by && value["sinceUnixMs"] === sinceUnixMs;
    this.#later(key, withdrawMs, meant);
    this.#fleet
      .change([{ op: "add", table: statesTable, key, value: { state: "doubted", reason, by, sinceUnixMs } }], condition(key, undefined))
      .then(
        () => {
          this.#telemetry.count(metrics.doubted);
          if (this.#closed) this.#withdraw(key, meant, triesMax);
        },
        () => undefined,
      );
  }

  #later(key: string, delayMs: number, meant: Meant, tries = 1): void {
    const timer = this.#clock.schedule(delayMs, () => this.#withdraw(key, meant, tries));
    this.#open.set(key, { timer, meant });
  }

  #withdraw(key: string, meant: Meant, tries: number): void {
    const row = this.#row(statesTable, key);
    // Another word, or another's doubt: it has been looked into.
    if (row === undefined || !isDoubt(row) || !meant(row)) return void this.#open.delete(key);
    this.#fleet.change([{ op: "delete", table: statesTable, key }], condition(key, row.revision)).then(
      () => this.#open.delete(key),
      () => {
        if (this.#closed || tries >= triesMax) this.#open.delete(key);
        else this.#later(key, withdrawMs, meant, tries + 1);
      },
    );
  }

  /** Undefined too when the fleet is closed, or the table is gone meanwhile. */
  #row(table: string, key: string): Entry | undefined {
    try {
      return this.#fleet.get(table, key);
    } catch (thrown) {
      if (thrown instanceof MusterError) return undefined;
      throw thrown;
    }
  }
}

function isDoubt({ value }: Entry): boolean {
  return isRecord(value) && value["state"] === "doubted";
}

/** That the row is as it was seen. */
function condition(key: string, revision: Revision | undefined): Parameters<FetchFleet["change"]>[1] {
  return { ifRevision: [{ table: statesTable, key, revision: revision === undefined ? "absent" : formatRevision(revision) }] };
}
