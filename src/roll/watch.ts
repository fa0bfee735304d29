import type { Telemetry } from "../kernel/index.ts";
import type { Replica } from "../tables/index.ts";
import type { Beat, ExpiryAction } from "./messages.ts";
import { ownerOf, sessionOfOwner, watcherOfOwner } from "./rules.ts";

/** Ended programs that are remembered. */
const goneMax = 1000;

/** One bound entry that this node answers for. */
interface Watched {
  readonly table: number;
  readonly tableName: string;
  readonly key: string;
  session: number;
  incarnation: number;
  /** Own ticks until the heartbeat lapses; undefined when none is expected. */
  period: { readonly ticks: number; left: number } | undefined;
  onExpiry: ExpiryAction;
  /** Own ticks until an entry whose program is away lapses. */
  graceLeft: number | undefined;
}

export interface Lapse {
  readonly table: string;
  readonly key: string;
  readonly incarnation: number;
  readonly session: number;
  readonly cause: "heartbeat" | "program-gone";
  readonly onExpiry: ExpiryAction;
}

export interface WatchOptions {
  readonly replica: Replica;
  readonly telemetry: Telemetry;
  /** This node's name, as it stands in the owner of what it watches. */
  readonly name: string;
  readonly tickMs: number;
  readonly programGraceMs: number;
  /** Grace for entries found in the roll when this node starts: their programs must first find it again. */
  readonly restartGraceMs: number;
  readonly watchedMax: number;
}

/**
 * The programs that this node watches, and their entries. What it watches is read off the roll itself (the owner of a
 * bound entry names its watcher), so an agent that was restarted knows at once whose return it waits for. Time is counted
 * in own ticks: a node that was late accuses nobody.
 */
export class Watch {
  readonly #options: WatchOptions;
  readonly #watched = new Map<string, Watched>();
  readonly #present = new Set<number>();
  /** Sessions whose process has ended: what they bound with their last breath lapses at the next tick. */
  readonly #gone = new Set<number>();
  readonly #beats = new Map<string, Beat>();
  #restarting = true;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#watched.size;
  }

  /** Entries whose program is away and may come back. */
  get unwatched(): number {
    let count = 0;
    for (const watched of this.#watched.values()) if (watched.graceLeft !== undefined) count++;
    return count;
  }

  isPresent(session: number): boolean {
    return this.#present.has(session);
  }

  /** A row changed: it may be ours now, or no longer. */
  touched(table: number, key: string): void {
    const row = this.#options.replica.row(table, key);
    const name = `${table}\u0000${key}`;
    const mine = row !== undefined && row.incarnation > 0 && row.flag && watcherOfOwner(row.owner) === this.#options.name;
    const known = this.#watched.get(name);
    if (!mine) {
      if (known !== undefined) this.#watched.delete(name);
      return;
    }
    const session = sessionOfOwner(row.owner);
    if (known?.incarnation === row.incarnation && known.session === session) return;
    if (known === undefined && this.#watched.size >= this.#options.watchedMax) {
      this.#options.telemetry.log("error", "watch-full", { key, watchedMax: this.#options.watchedMax });
      return;
    }
    const tableName = this.#options.replica.tableByNumber(table)?.name ?? "";
    const watched: Watched = {
      table,
      tableName,
      key,
      session,
      incarnation: row.incarnation,
      period: undefined,
      onExpiry: { action: "invalidate" },
      graceLeft: this.#present.has(session) ? undefined : this.#gone.has(session) ? 1 : this.#graceTicks(),
    };
    this.#watched.set(name, watched);
    const beat = this.#beats.get(`${tableName}\u0000${key}`);
    if (beat !== undefined) this.#arm(watched, beat);
  }

  #graceTicks(): number {
    const { restartGraceMs, programGraceMs, tickMs } = this.#options;
    return Math.ceil((this.#restarting ? restartGraceMs : programGraceMs) / tickMs);
  }

  /** The replica was replaced by a load: read everything again. */
  rescan(): void {
    const seen = new Set<string>();
    const { replica, name } = this.#options;
    for (const table of replica.tableNumbers())
      for (const row of replica.entries(table))
        if (row.incarnation > 0 && row.owner.startsWith(`${name}/`)) {
          seen.add(`${table}\u0000${row.key}`);
          this.touched(table, row.key);
        }
    for (const key of this.#watched.keys()) if (!seen.has(key)) this.#watched.delete(key);
  }

  /** A program of this session is connected (or it is this node's own). */
  present(session: number): void {
    this.#present.add(session);
    for (const watched of this.#watched.values()) if (watched.session === session) watched.graceLeft = undefined;
  }

  /** The program's link ended and its process may live: it gets the grace to come back. */
  away(session: number): void {
    if (!this.#present.delete(session)) return;
    this.#restarting = false;
    const ticks = this.#graceTicks();
    for (const watched of this.#watched.values()) if (watched.session === session) watched.graceLeft = ticks;
  }

  /** The process is gone: proof, so nothing is waited for. */
  gone(session: number): readonly Lapse[] {
    this.#present.delete(session);
    this.#gone.add(session);
    for (const oldest of this.#gone) {
      if (this.#gone.size <= goneMax) break;
      this.#gone.delete(oldest);
    }
    const lapses: Lapse[] = [];
    for (const [name, watched] of this.#watched)
      if (watched.session === session) {
        this.#watched.delete(name);
        lapses.push(lapseOf(watched, "program-gone"));
      }
    return lapses;
  }

  /** A heartbeat. Returns what it found: the entry is watched, is held by nobody we know, or has lapsed meanwhile. */
  beat(session: number, beat: Beat): "watched" | "unknown" {
    const definition = this.#options.replica.table(beat.table);
    const name = `${definition?.name ?? beat.table}\u0000${beat.key}`;
    const watched = definition === undefined ? undefined : this.#watched.get(`${definition.number}\u0000${beat.key}`);
    if (watched !== undefined && watched.session !== session) return "unknown";
    if (this.#beats.size < this.#options.watchedMax || this.#beats.has(name)) this.#beats.set(name, beat);
    if (watched === undefined) return "unknown";
    this.#arm(watched, beat);
    return "watched";
  }

  #arm(watched: Watched, beat: Beat): void {
    // One more tick than the period: the tick under way may already be nearly over.
    const ticks = Math.ceil(beat.maxPeriodMs / this.#options.tickMs) + 1;
    watched.period = { ticks, left: ticks };
    watched.onExpiry = beat.onExpiry;
    watched.graceLeft = this.#present.has(watched.session) ? undefined : watched.graceLeft;
  }

  forgetBeat(table: string, key: string): void {
    this.#beats.delete(`${table}\u0000${key}`);
  }

  /** This node's own tick came late: whatever is overdue may be our own fault, so every deadline starts again. */
  late(): void {
    for (const watched of this.#watched.values()) {
      if (watched.period !== undefined) watched.period.left = watched.period.ticks;
      if (watched.graceLeft !== undefined) watched.graceLeft = Math.max(watched.graceLeft, this.#graceTicks());
    }
  }

  /** One own tick in good order, judged after all input that had arrived was read. */
  tick(): readonly Lapse[] {
    const lapses: Lapse[] = [];
    for (const [name, watched] of this.#watched) {
      if (watched.graceLeft !== undefined && --watched.graceLeft <= 0) {
        this.#watched.delete(name);
        lapses.push(lapseOf(watched, "program-gone"));
      } else if (watched.period !== undefined && --watched.period.left <= 0) {
        this.#watched.delete(name);
        this.#beats.delete(`${watched.tableName}\u0000${watched.key}`);
        lapses.push(lapseOf(watched, "heartbeat"));
      }
    }
    return lapses;
  }

  owner(session: number): string {
    return ownerOf(this.#options.name, session);
  }
}

function lapseOf(watched: Watched, cause: Lapse["cause"]): Lapse {
  const { tableName, key, incarnation, session, onExpiry } = watched;
  return { table: tableName, key, incarnation, session, cause, onExpiry };
}
