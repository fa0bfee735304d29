import { type Clock, type JsonValue, MusterError, type Telemetry, type Timer, every } from "../kernel/index.ts";
import { type Replica, tableNumbers } from "../tables/index.ts";
import type { Transport } from "../transport/index.ts";
import type { Child } from "./child.ts";
import { Doubts } from "./doubts.ts";
import { type ProgramNews, nameOf, stateOfLapse } from "./lapse-words.ts";
import { type Beat, type PulseNews, encodeJson, message } from "./messages.ts";
import type { RollPeriods } from "./options.ts";
import type { Condition, RequestOperation } from "./requests.ts";
import { sessionOfOwner, watcherOfOwner } from "./rules.ts";
import { ServerNotes } from "./server-notes.ts";
import { type Lapse, Watch, type Watched } from "./watch.ts";

/** Tells a dead process from a lost link. `started` distinguishes a process from a later one with the same number. */
export interface ProcessProbe {
  isGone(pid: number, started: string): boolean;
  /** What the system shows of the process, in a few words ("was killed by SIGKILL", "is stopped"), if it shows anything. */
  describe?(pid: number, started: string): string | undefined;
}

export interface ProgramWatchPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly transport: Transport;
  readonly replica: Replica;
  readonly periods: RollPeriods;
  readonly name: string;
  readonly watchedMax: number;
  readonly processes: ProcessProbe | undefined;
  readonly hook: ((name: string, lapse: Lapse) => void) | undefined;
  readonly change: (operations: readonly RequestOperation[], conditions?: readonly Condition[]) => Promise<unknown>;
  /** The process behind this child has ended. */
  readonly gone: (child: Child) => void;
}

/** A tick this much later than due means that this node itself was away. */
const lateMs = 100;
/**
 * When a link ends, the process is looked at again after these pauses: the kernel closes files a little before it buries. Then
 * once a tick of the roll for as long as its session is kept: one that stands still may be killed any time.
 */
const probePausesMs = [0, 1, 2, 4, 8, 16, 32, 64, 128] as const;
const deletedByLapseMax = 10_000;
/** Programs that have been here are remembered, for what is said of their end. */
const programsMax = 20_000;
/** Entries of one ended program that one change invalidates. */
const lapsesPerChange = 50;

interface Program {
  readonly name: string;
  readonly token: string;
  readonly pid: number | undefined;
  readonly started: string | undefined;
  /** Its newest attachment. */
  readonly child: Child;
}

/** The shell around `Watch`: its ticks, the look at processes, and what is done about what lapsed. */
export class ProgramWatch {
  readonly #ports: ProgramWatchPorts;
  readonly #watch: Watch;
  readonly #notes: ServerNotes;
  readonly #doubts: Doubts;
  readonly #deletedByLapse = new Set<string>();
  /** The newest link of each program: the end of an older one says nothing about it. */
  readonly #newest = new Map<number, Child>();
  readonly #programs = new Map<number, Program>();
  readonly #sessions = new Map<string, number>();
  /** The links over which programs send their pulses, with the session of each. */
  readonly #pulses = new Map<Child, number>();
  /** When the processes of programs that are away are looked at next. */
  readonly #probes = new Map<number, Timer>();
  #timer: Timer | undefined;
  #tickMonoMs = 0;
  #self = 0;
  #closed = false;

  constructor(ports: ProgramWatchPorts) {
    this.#ports = ports;
    const { clock, transport, periods, replica, telemetry, name, watchedMax, change } = ports;
    this.#watch = new Watch({
      replica,
      telemetry,
      name,
      watchedMax,
      tickMs: periods.watchTickMs,
      programGraceMs: periods.programGraceMs,
      restartGraceMs: periods.hostGraceMs,
    });
    this.#notes = new ServerNotes({ clock, telemetry, replica, name, change });
    this.#doubts = new Doubts({
      clock,
      telemetry,
      replica,
      transport,
      incarnation: (table, key) => this.#watch.get(table, key)?.incarnation,
      isGone: (table, key) => this.#lookAt(this.#watch.get(table, key)?.session),
      dispelled: (table, key) => this.#notes.clear(table, key, ["doubted"]),
      confirmed: (table, key, incarnation, where) => {
        const lapse = this.#watch.refused(table, key, incarnation);
        if (lapse !== undefined) this.#lapse([lapse], where);
      },
      listens: (table, key, session) => this.#rebind(session, table, key),
    });
  }

  get watched(): number {
    return this.#watch.size;
  }

  get unwatched(): number {
    return this.#watch.unwatched;
  }

  start(): void {
    const { clock, periods } = this.#ports;
    this.#tickMonoMs = clock.monoMs();
    this.#timer = every(clock, periods.watchTickMs, () => this.#tick());
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const probe of this.#probes.values()) probe.cancel();
    this.#doubts.close();
  }

  touched(table: number, key: string): void {
    this.#watch.touched(table, key);
    if (table === tableNumbers.states) this.#doubts.touched(key);
  }

  rescan(): void {
    this.#watch.rescan();
    this.#doubts.rescan();
  }

  /** This node's own session: what it holds itself (for HTTP callers, say) lapses by heartbeat only. */
  presentSelf(session: number): void {
    const first = this.#self === 0;
    this.#self = session;
    this.#watch.present(session);
    if (first) this.rescan();
  }

  present(child: Child): void {
    if (child.hello.role !== "client" || child.session === 0) return;
    const known = this.#newest.get(child.session);
    if (known === undefined || known.counter <= child.counter) this.#newest.set(child.session, child);
    this.#remember(child);
    this.#stopProbing(child.session);
    this.#watch.present(child.session);
  }

  #remember(child: Child): void {
    const { session, hello } = child;
    const { name, token, pid, started } = hello;
    this.#programs.delete(session);
    for (const [oldest, program] of this.#programs) {
      if (this.#programs.size < programsMax) break;
      this.#programs.delete(oldest);
      if (this.#sessions.get(program.token) === oldest) this.#sessions.delete(program.token);
    }
    this.#programs.set(session, { name, token, pid, started, child });
    this.#sessions.set(token, session);
  }

  beatSelf(session: number, beat: Beat): "watched" | "lapsed" {
    return this.#watch.beat(session, beat) === "watched" ? "watched" : "lapsed";
  }

  /** A heartbeat of a program; one that finds nothing to keep alive is told what has become of its entry. */
  beat(child: Child, beat: Beat): void {
    const { replica, name } = this.#ports;
    const definition = replica.table(beat.table);
    if (this.#watch.beat(child.session, beat) === "watched") {
      // Whoever beats by its main loop turns.
      if (definition !== undefined) this.#notes.clear(definition.name, beat.key, ["stalled"]);
      return;
    }
    const row = definition === undefined ? undefined : replica.row(definition.number, beat.key);
    const place = `${definition?.name ?? beat.table}\u0000${beat.key}`;
    const own = row !== undefined && row.incarnation > 0 && sessionOfOwner(row.owner) === child.session;
    // Invalid by its own wish and still ours: nothing to do.
    if (own && watcherOfOwner(row.owner) === name && !row.flag && !this.#deletedByLapse.has(place)) return;
    if (own && definition !== undefined && this.#doubts.isRefusing(definition.number, beat.key)) return;
    const lapsed = own || (row === undefined && this.#deletedByLapse.has(place));
    this.#deletedByLapse.delete(place);
    child.link.send(message.rebind, encodeJson({ table: beat.table, key: beat.key, ended: !lapsed }));
  }

  /** The process of a program runs; so much and how its main loop does is what its pulse says, over a link of its own. */
  pulse(child: Child, { number, lagMs }: PulseNews): void {
    const session = child.hello.role === "client" && child.session === 0 ? this.#sessions.get(child.hello.token) : undefined;
    child.link.send(message.pulsed, encodeJson({ number, known: session !== undefined }));
    if (session === undefined) return;
    this.#pulses.set(child, session);
    const { stalled, turning, lapses, back } = this.#watch.pulse(session, lagMs);
    for (const watched of stalled) this.#sayStalled(watched, lagMs);
    for (const { tableName, key } of turning) this.#notes.clear(tableName, key, ["stalled"]);
    this.#lapse(lapses);
    for (const { table, key } of back) this.#rebind(session, table, key);
  }

  #sayStalled({ tableName, key, period, session }: Watched, lagMs: number): void {
    const { name = "", pid } = this.#programs.get(session) ?? {};
    const reason = `its event loop has not turned for ${lagMs} ms (its max period is ${period?.ms ?? 0} ms): ${nameOf(name, pid)} runs but does not get on`;
    this.#notes.say(tableName, key, "stalled", reason);
  }

  #rebind(session: number, table: string, key: string): void {
    this.#newest.get(session)?.link.send(message.rebind, encodeJson({ table, key, ended: false }));
  }

  /** The link of a program ended. Only the end of its process is proof. */
  ended(child: Child, byUs: boolean): void {
    const pulsing = this.#pulses.get(child);
    if (pulsing !== undefined) {
      this.#pulses.delete(child);
      // The end of its own link will tell more. Where we have closed that one, this is all that is left to hear.
      if (!this.#newest.has(pulsing)) this.#probe(pulsing, 0);
      return;
    }
    if (child.hello.role !== "client" || this.#newest.get(child.session) !== child) return;
    this.#newest.delete(child.session);
    this.#stopProbing(child.session);
    if (child.leaving) {
      this.#lapse(this.#watch.gone(child.session, "program-left"));
      return;
    }
    this.#watch.away(child.session, byUs);
    this.#probe(child.session, 0);
  }

  #stopProbing(session: number): void {
    this.#probes.get(session)?.cancel();
    this.#probes.delete(session);
  }

  #probe(session: number, attempt: number): void {
    this.#stopProbing(session);
    if (this.#closed || this.#watch.isPresent(session) || this.#lookAt(session)) return;
    const { clock, processes, periods } = this.#ports;
    const { pid, started } = this.#programs.get(session) ?? {};
    if (processes === undefined || pid === undefined || started === undefined) return;
    const quick = probePausesMs[attempt + 1];
    const slow = attempt + 1 - probePausesMs.length;
    if (quick === undefined && slow * periods.tickMs >= periods.sessionGraceMs) return;
    this.#probes.set(
      session,
      clock.schedule(quick ?? periods.tickMs, () => this.#probe(session, attempt + 1)),
    );
  }

  /** Looks at the process behind a session. When it has ended, what it held lapses, and the result is true. */
  #lookAt(session: number | undefined): boolean {
    const program = session === undefined ? undefined : this.#programs.get(session);
    if (session === undefined || program?.pid === undefined || program.started === undefined) return false;
    if (this.#ports.processes?.isGone(program.pid, program.started) !== true) return false;
    this.#ports.telemetry.log("info", "program-gone", { program: program.name, pid: program.pid });
    this.#lapse(this.#watch.gone(session, "program-gone"));
    // Its link, where it is still open, is told of when it ends.
    if (!this.#newest.has(session)) this.#ports.gone(program.child);
    return true;
  }

  #tick(): void {
    const { clock, periods } = this.#ports;
    const now = clock.monoMs();
    const late = now - this.#tickMonoMs > periods.watchTickMs + lateMs;
    this.#tickMonoMs = now;
    if (this.#watch.size === 0) return;
    if (late) {
      this.#watch.late();
      return;
    }
    // Judged only after all input that had arrived was read: expired timers run before buffered sockets.
    clock.turn(() =>
      clock.turn(() => {
        if (!this.#closed) this.#lapse(this.#watch.tick());
      }),
    );
  }

  #news(session: number): ProgramNews {
    const { name = "", pid, started } = this.#programs.get(session) ?? {};
    // Costs a file read each, and is for people only.
    const seen = pid === undefined || started === undefined ? undefined : this.#ports.processes?.describe?.(pid, started);
    return { name, pid, seen };
  }

  /** What lapsed together is told together: one change for up to fifty entries, each with the reason of its end. */
  #lapse(lapses: readonly Lapse[], where = ""): void {
    if (lapses.length === 0) return;
    const { clock, name, telemetry } = this.#ports;
    const said = { by: name, sinceUnixMs: clock.unixMs() };
    const news = new Map<number, ProgramNews>();
    const told: { readonly lapse: Lapse; readonly operation: RequestOperation }[] = [];
    for (const lapse of lapses) {
      const { table, key, incarnation, onExpiry, cause, session } = lapse;
      telemetry.log("info", "entry-lapsed", { table, key, cause });
      const expired = cause === "heartbeat" || cause === "stalled";
      const program = news.get(session) ?? this.#news(session);
      news.set(session, program);
      if (this.#deletedByLapse.size >= deletedByLapseMax) this.#deletedByLapse.clear();
      this.#deletedByLapse.add(`${table}\u0000${key}`);
      const operation: RequestOperation = {
        op: "lapse",
        table,
        key,
        incarnation,
        action: expired && onExpiry.action === "delete" ? "delete" : "invalidate",
        state: stateOfLapse(lapse, program, where, said),
      };
      told.push({ lapse, operation });
    }
    for (let start = 0; start < told.length; start += lapsesPerChange) this.#tellLapses(told.slice(start, start + lapsesPerChange));
    for (const lapse of lapses) if (lapse.cause === "heartbeat" || lapse.cause === "stalled") this.#act(lapse);
  }

  /** What was asked for when the heartbeat does not come. */
  #act(lapse: Lapse): void {
    const { onExpiry } = lapse;
    // In a change of its own: a refused addition must not keep the dead server valid.
    if (onExpiry.action === "add") {
      const { table, key, value } = onExpiry;
      this.#tellDirectory([lapse], [{ op: "add", table, key, value: parseStored(value), valid: true }]);
    }
    if (onExpiry.action === "hook") this.#ports.hook?.(onExpiry.name, lapse);
  }

  #tellLapses(told: readonly { readonly lapse: Lapse; readonly operation: RequestOperation }[]): void {
    const together = told.map(({ operation }) => operation);
    this.#tellDirectory(
      told.map(({ lapse }) => lapse),
      together,
      // One that is refused must not keep the others valid.
      told.length === 1 ? undefined : () => told.forEach((one) => this.#tellLapses([one])),
    );
  }

  #tellDirectory(lapses: readonly Lapse[], operations: readonly RequestOperation[], refused?: () => void): void {
    this.#ports.change(operations).catch((thrown: unknown) => {
      const expired = thrown instanceof MusterError && thrown.effect === "maybe";
      this.#ports.telemetry.log("warn", "lapse-refused", {
        key: lapses[0]?.key ?? "",
        reason: thrown instanceof Error ? thrown.message : String(thrown),
      });
      if (this.#closed) return;
      if (!expired) refused?.();
      // Still ours and still bound: it is watched again, and lapses again.
      for (const { table, key } of expired ? lapses : []) {
        const number = this.#ports.replica.table(table)?.number;
        if (number !== undefined) this.#watch.touched(number, key);
      }
    });
  }
}

/** The value came through the JSON parser of a heartbeat. */
function parseStored(value: unknown): JsonValue {
  const text = JSON.stringify(value ?? null);
  return JSON.parse(text);
}
