import { type Clock, type JsonValue, MusterError, type Telemetry, type Timer, every } from "../kernel/index.ts";
import type { Replica } from "../tables/index.ts";
import type { Child } from "./child.ts";
import { type Beat, encodeJson, message } from "./messages.ts";
import type { RollPeriods } from "./options.ts";
import type { RequestOperation } from "./requests.ts";
import { sessionOfOwner, watcherOfOwner } from "./rules.ts";
import { type Lapse, Watch } from "./watch.ts";

/** Tells a dead process from a lost link. `started` distinguishes a process from a later one with the same number. */
export interface ProcessProbe {
  isGone(pid: number, started: string): boolean;
}

export interface ProgramWatchPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly replica: Replica;
  readonly periods: RollPeriods;
  readonly name: string;
  readonly watchedMax: number;
  readonly processes: ProcessProbe | undefined;
  readonly hook: ((name: string, lapse: Lapse) => void) | undefined;
  readonly change: (operations: readonly RequestOperation[]) => Promise<unknown>;
  /** The process behind this child has ended. */
  readonly gone: (child: Child) => void;
}

/** A tick this much later than due means that this node itself was away. */
const lateMs = 100;
/** When a link ends, the process is looked at again after these pauses: the kernel closes files a little before it buries. */
const probePausesMs = [0, 1, 2, 4, 8, 16, 32, 64, 128] as const;
const deletedByLapseMax = 10_000;

/** The shell around `Watch`: its ticks, the look at processes, and what is done about what lapsed. */
export class ProgramWatch {
  readonly #ports: ProgramWatchPorts;
  readonly #watch: Watch;
  readonly #deletedByLapse = new Set<string>();
  /** The newest link of each program: the end of an older one says nothing about it. */
  readonly #newest = new Map<number, Child>();
  #timer: Timer | undefined;
  #tickMonoMs = 0;
  #self = 0;
  #closed = false;

  constructor(ports: ProgramWatchPorts) {
    this.#ports = ports;
    const { periods, replica, telemetry, name, watchedMax } = ports;
    this.#watch = new Watch({
      replica,
      telemetry,
      name,
      watchedMax,
      tickMs: periods.watchTickMs,
      programGraceMs: periods.programGraceMs,
      restartGraceMs: periods.hostGraceMs,
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
  }

  touched(table: number, key: string): void {
    this.#watch.touched(table, key);
  }

  rescan(): void {
    this.#watch.rescan();
  }

  /** This node's own session: what it holds itself (for HTTP callers, say) lapses by heartbeat only. */
  presentSelf(session: number): void {
    const first = this.#self === 0;
    this.#self = session;
    this.#watch.present(session);
    if (first) this.#watch.rescan();
  }

  present(child: Child): void {
    if (child.hello.role !== "client" || child.session === 0) return;
    const known = this.#newest.get(child.session);
    if (known === undefined || known.counter <= child.counter) this.#newest.set(child.session, child);
    this.#watch.present(child.session);
  }

  beatSelf(session: number, beat: Beat): "watched" | "lapsed" {
    return this.#watch.beat(session, beat) === "watched" ? "watched" : "lapsed";
  }

  /** A heartbeat of a program; one that finds nothing to keep alive is told what has become of its entry. */
  beat(child: Child, beat: Beat): void {
    if (this.#watch.beat(child.session, beat) === "watched") return;
    const { replica, name } = this.#ports;
    const definition = replica.table(beat.table);
    const row = definition === undefined ? undefined : replica.row(definition.number, beat.key);
    const place = `${definition?.name ?? beat.table}\u0000${beat.key}`;
    const own = row !== undefined && row.incarnation > 0 && sessionOfOwner(row.owner) === child.session;
    // Invalid by its own wish and still ours: nothing to do.
    if (own && watcherOfOwner(row.owner) === name && !row.flag && !this.#deletedByLapse.has(place)) return;
    const lapsed = own || (row === undefined && this.#deletedByLapse.has(place));
    this.#deletedByLapse.delete(place);
    child.link.send(message.rebind, encodeJson({ table: beat.table, key: beat.key, ended: !lapsed }));
  }

  /** The link of a program ended. Only the end of its process is proof. */
  ended(child: Child, byUs: boolean): void {
    if (child.hello.role !== "client" || this.#newest.get(child.session) !== child) return;
    this.#newest.delete(child.session);
    if (child.leaving) {
      this.#lapse(this.#watch.gone(child.session));
      return;
    }
    this.#watch.away(child.session);
    const { pid, started } = child.hello;
    if (pid === undefined || started === undefined || byUs) return;
    this.#probe(child, pid, started, 0);
  }

  #probe(child: Child, pid: number, started: string, attempt: number): void {
    if (this.#closed || this.#watch.isPresent(child.session)) return;
    const { processes, clock } = this.#ports;
    if (processes?.isGone(pid, started) === true) {
      this.#ports.telemetry.log("info", "program-gone", { program: child.hello.name, pid });
      this.#lapse(this.#watch.gone(child.session));
      this.#ports.gone(child);
      return;
    }
    const pauseMs = probePausesMs[attempt + 1];
    if (processes !== undefined && pauseMs !== undefined) clock.schedule(pauseMs, () => this.#probe(child, pid, started, attempt + 1));
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

  #lapse(lapses: readonly Lapse[]): void {
    for (const lapse of lapses) {
      const { table, key, incarnation, onExpiry, cause } = lapse;
      this.#ports.telemetry.log("info", "entry-lapsed", { table, key, cause });
      const action = cause === "heartbeat" && onExpiry.action === "delete" ? "delete" : "invalidate";
      if (this.#deletedByLapse.size >= deletedByLapseMax) this.#deletedByLapse.clear();
      this.#deletedByLapse.add(`${table}\u0000${key}`);
      this.#tellDirectory(lapse, [{ op: "lapse", table, key, incarnation, action }]);
      if (cause !== "heartbeat") continue;
      // In a change of its own: a refused addition must not keep the dead server valid.
      if (onExpiry.action === "add") {
        const { value } = onExpiry;
        this.#tellDirectory(lapse, [{ op: "add", table: onExpiry.table, key: onExpiry.key, value: parseStored(value), valid: true }]);
      }
      if (onExpiry.action === "hook") this.#ports.hook?.(onExpiry.name, lapse);
    }
  }

  #tellDirectory(lapse: Lapse, operations: readonly RequestOperation[]): void {
    this.#ports.change(operations).catch((thrown: unknown) => {
      this.#ports.telemetry.log("warn", "lapse-refused", {
        key: lapse.key,
        reason: thrown instanceof Error ? thrown.message : String(thrown),
      });
      // Still ours and still bound: it is watched again, and lapses again.
      const number = this.#ports.replica.table(lapse.table)?.number;
      const expired = thrown instanceof MusterError && thrown.effect === "maybe";
      if (number !== undefined && expired && !this.#closed) this.#watch.touched(number, lapse.key);
    });
  }
}

/** The value came through the JSON parser of a heartbeat. */
function parseStored(value: unknown): JsonValue {
  const text = JSON.stringify(value ?? null);
  return JSON.parse(text);
}
