import type { Telemetry } from "../kernel/index.ts";
import type { Replica } from "../tables/index.ts";
import type { Beat, ExpiryAction } from "./messages.ts";
import { sessionOfOwner, watcherOfOwner } from "./rules.ts";

/** Ended programs that are remembered. */
const goneMax = 1000;
/** A main loop that stands still for ten of its periods, or this long, counts as lapsed. */
const stalledPeriodsMax = 10;
const stalledMsMax = 5000;

/** One bound entry that this node answers for. */
export interface Watched {
  readonly table: number;
  readonly tableName: string;
  readonly key: string;
  readonly session: number;
  readonly incarnation: number;
  /** Own ticks until the heartbeat lapses; undefined when none is expected. */
  period: { readonly ms: number; readonly ticks: number; left: number } | undefined;
  /** Its program's pulses keep it alive as well. */
  automatic: boolean;
  onExpiry: ExpiryAction;
  /** Own ticks until an entry whose program is away lapses. */
  graceLeft: number | undefined;
  graceMs: number;
}

/**
 * Why an entry is given up. `heartbeat`: none came within its period; `stalled`: its program's main loop stands still;
 * `program-gone`: its process has ended; `program-lost`: its link ended and it did not come back; `program-left`: it left in good
 * order; `refused`: nothing listens on its port.
 */
export type LapseCause = "heartbeat" | "stalled" | "program-gone" | "program-lost" | "program-left" | "refused";

export interface Lapse {
  readonly table: string;
  readonly key: string;
  readonly incarnation: number;
  readonly session: number;
  readonly cause: LapseCause;
  /** How long was waited: the period, the grace, or how long the main loop has stood still; 0 for proof. */
  readonly afterMs: number;
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

/** What a pulse means for the entries that it is about. */
export interface Pulsed {
  /** Their program's main loop has stood still for longer than their period. */
  readonly stalled: readonly Watched[];
  readonly turning: readonly Watched[];
  /** It stood still for too long. */
  readonly lapses: readonly Lapse[];
  /** Entries that had lapsed, of a program that turns again: it is to bind them again. */
  readonly back: readonly { readonly table: string; readonly key: string }[];
}

/** How long the main loop behind an entry may stand still: after that it is hung, whatever its pulses say. */
export function stalledMaxMs(periodMs: number): number {
  return Math.max(periodMs, Math.min(stalledPeriodsMax * periodMs, stalledMsMax));
}

/**
 * The programs that this node watches, and their entries. What it watches is read off the roll itself (the owner of a
 * bound entry names its watcher), so an agent that was restarted knows at once whose return it waits for. Time is counted
 * in own ticks: a node that was late accuses nobody.
 */
export class Watch {
  readonly #options: WatchOptions;
  readonly #watched = new Map<string, Watched>();
  readonly #bySession = new Map<number, Map<string, Watched>>();
  readonly #present = new Set<number>();
  /** Sessions whose process has ended: what they bound with their last breath lapses at the next tick. */
  readonly #gone = new Set<number>();
  readonly #beats = new Map<string, { readonly session: number; readonly beat: Beat }>();
  /** Entries with automatic heartbeats that have lapsed while their program may live. */
  readonly #lapsed = new Map<string, { readonly table: string; readonly key: string; readonly session: number }>();
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

  /** The entry, if this node watches it now. */
  get(table: number, key: string): Watched | undefined {
    return this.#watched.get(`${table}\u0000${key}`);
  }

  /** A row changed: it may be ours now, or no longer. */
  touched(table: number, key: string): void {
    const row = this.#options.replica.row(table, key);
    const name = `${table}\u0000${key}`;
    const mine = row !== undefined && row.incarnation > 0 && row.flag && watcherOfOwner(row.owner) === this.#options.name;
    const known = this.#watched.get(name);
    if (!mine) {
      if (known !== undefined) this.#drop(name, known);
      if (this.#lapsed.size > 0) this.#forgetLapse(table, key, row === undefined ? 0 : sessionOfOwner(row.owner));
      return;
    }
    const session = sessionOfOwner(row.owner);
    if (known?.incarnation === row.incarnation && known.session === session) return;
    if (known === undefined && this.#watched.size >= this.#options.watchedMax) {
      this.#options.telemetry.log("error", "watch-full", { key, watchedMax: this.#options.watchedMax });
      return;
    }
    if (known !== undefined) this.#drop(name, known);
    const tableName = this.#options.replica.tableByNumber(table)?.name ?? "";
    const watched: Watched = {
      table,
      tableName,
      key,
      session,
      incarnation: row.incarnation,
      period: undefined,
      automatic: false,
      onExpiry: { action: "invalidate" },
      graceLeft: this.#present.has(session) ? undefined : this.#gone.has(session) ? 1 : this.#graceTicks(),
      graceMs: this.#graceMs(),
    };
    this.#keep(name, watched);
    const place = `${tableName}\u0000${key}`;
    this.#lapsed.delete(place);
    const beaten = this.#beats.get(place);
    if (beaten?.session === session) this.#arm(watched, beaten.beat);
  }

  /** Deleted, or held by another program: it will not be bound again. */
  #forgetLapse(table: number, key: string, session: number): void {
    const place = `${this.#options.replica.tableByNumber(table)?.name ?? ""}\u0000${key}`;
    const lapsed = this.#lapsed.get(place);
    if (lapsed !== undefined && lapsed.session !== session) this.#lapsed.delete(place);
  }

  #keep(name: string, watched: Watched): void {
    this.#watched.set(name, watched);
    const own = this.#bySession.get(watched.session);
    if (own === undefined) this.#bySession.set(watched.session, new Map([[name, watched]]));
    else own.set(name, watched);
  }

  #drop(name: string, { session }: Watched): void {
    this.#watched.delete(name);
    const own = this.#bySession.get(session);
    own?.delete(name);
    if (own?.size === 0) this.#bySession.delete(session);
  }

  #ofSession(session: number): readonly [string, Watched][] {
    return [...(this.#bySession.get(session) ?? [])];
  }

  #graceMs(): number {
    const { restartGraceMs, programGraceMs } = this.#options;
    return this.#restarting ? restartGraceMs : programGraceMs;
  }

  #graceTicks(): number {
    return Math.ceil(this.#graceMs() / this.#options.tickMs);
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
    for (const [key, watched] of [...this.#watched]) if (!seen.has(key)) this.#drop(key, watched);
  }

  /** A program of this session is connected (or it is this node's own). */
  present(session: number): void {
    this.#present.add(session);
    for (const [, watched] of this.#ofSession(session)) watched.graceLeft = undefined;
  }

  /**
   * The program's link ended and its process may live: it gets the grace to come back. A link that we closed ourselves proves
   * nothing about the program: then its heartbeats decide, if it is to send any.
   */
  away(session: number, byUs: boolean): void {
    if (!this.#present.delete(session)) return;
    this.#restarting = false;
    for (const [, watched] of this.#ofSession(session)) {
      if (byUs && watched.period !== undefined) continue;
      watched.graceLeft = this.#graceTicks();
      watched.graceMs = this.#graceMs();
    }
  }

  /** The process is gone, or has said that it goes: nothing is waited for. */
  gone(session: number, cause: "program-gone" | "program-left"): readonly Lapse[] {
    this.#present.delete(session);
    this.#gone.add(session);
    for (const oldest of this.#gone) {
      if (this.#gone.size <= goneMax) break;
      this.#gone.delete(oldest);
    }
    for (const [place, lapsed] of [...this.#lapsed]) if (lapsed.session === session) this.#lapsed.delete(place);
    return this.#ofSession(session).map(([name, watched]) => this.#lapse(name, watched, cause, 0));
  }

  #lapse(name: string, watched: Watched, cause: LapseCause, afterMs: number): Lapse {
    const { tableName, key, incarnation, session, onExpiry, automatic } = watched;
    this.#drop(name, watched);
    if (cause === "heartbeat" || cause === "stalled") {
      const place = `${tableName}\u0000${key}`;
      this.#beats.delete(place);
      if (automatic && this.#lapsed.size < this.#options.watchedMax) this.#lapsed.set(place, { table: tableName, key, session });
    }
    return { table: tableName, key, incarnation, session, cause, afterMs, onExpiry };
  }

  /** Nothing listens on its port: proof. Undefined when it is not watched any more under that incarnation. */
  refused(table: number, key: string, incarnation: number): Lapse | undefined {
    const name = `${table}\u0000${key}`;
    const watched = this.#watched.get(name);
    return watched?.incarnation === incarnation ? this.#lapse(name, watched, "refused", 0) : undefined;
  }

  /** A heartbeat. Returns what it found: the entry is watched, is held by nobody we know, or has lapsed meanwhile. */
  beat(session: number, beat: Beat): "watched" | "unknown" {
    const definition = this.#options.replica.table(beat.table);
    const name = `${definition?.name ?? beat.table}\u0000${beat.key}`;
    const watched = definition === undefined ? undefined : this.#watched.get(`${definition.number}\u0000${beat.key}`);
    // Refused: the key is another program's. A program's session is its incarnation, so an older one revives nothing.
    if (watched !== undefined && watched.session !== session) return "unknown";
    if (this.#beats.size < this.#options.watchedMax || this.#beats.has(name)) this.#beats.set(name, { session, beat });
    if (watched === undefined) return "unknown";
    this.#arm(watched, beat);
    return "watched";
  }

  #arm(watched: Watched, beat: Beat): void {
    // One more tick than the period: the tick under way may already be nearly over.
    const ticks = Math.ceil(beat.maxPeriodMs / this.#options.tickMs) + 1;
    watched.period = { ms: beat.maxPeriodMs, ticks, left: ticks };
    watched.automatic = beat.automatic === true;
    watched.onExpiry = beat.onExpiry;
    watched.graceLeft = this.#present.has(watched.session) ? undefined : watched.graceLeft;
  }

  /** The process of this session runs, and for so long its main loop has not turned. */
  pulse(session: number, lagMs: number): Pulsed {
    const stalled: Watched[] = [];
    const turning: Watched[] = [];
    const lapses: Lapse[] = [];
    for (const [name, watched] of this.#ofSession(session)) {
      const { period } = watched;
      if (period === undefined || !watched.automatic) continue;
      period.left = period.ticks;
      if (lagMs <= period.ms) turning.push(watched);
      else if (lagMs <= stalledMaxMs(period.ms)) stalled.push(watched);
      else lapses.push(this.#lapse(name, watched, "stalled", lagMs));
    }
    const back: { table: string; key: string }[] = [];
    if (this.#lapsed.size > 0 && lagMs === 0)
      for (const [place, lapsed] of [...this.#lapsed])
        if (lapsed.session === session) {
          this.#lapsed.delete(place);
          back.push({ table: lapsed.table, key: lapsed.key });
        }
    return { stalled, turning, lapses, back };
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
      const { period } = watched;
      if (watched.graceLeft !== undefined && --watched.graceLeft <= 0) {
        const isGone = this.#gone.has(watched.session);
        lapses.push(this.#lapse(name, watched, isGone ? "program-gone" : "program-lost", isGone ? 0 : watched.graceMs));
      } else if (period !== undefined && --period.left <= 0) lapses.push(this.#lapse(name, watched, "heartbeat", period.ms));
    }
    return lapses;
  }
}
