import { type Clock, MusterError, type Telemetry, compareRevision } from "../kernel/index.ts";
import type { Replica, StagedLoad } from "../tables/index.ts";
import { ByteReader, decodeChanges } from "../wire/index.ts";
import type { ChangeLog } from "./change-log.ts";
import type { Epochs } from "./epochs.ts";
import { type Range, isEverything, normaliseRanges, parseRanges } from "./interest.ts";
import { readLoadPart } from "./load.ts";
import { type Attached, type Hello, type Tick, decodeJson, encodeJson, message, parseEpochs, parseTick } from "./messages.ts";
import type { RollPeriods } from "./options.ts";

export interface FollowerPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly replica: Replica;
  readonly log: ChangeLog;
  readonly epochs: Epochs;
  readonly periods: RollPeriods;
  readonly token: string;
  readonly parents: number;
  /** Changes or progress were applied; `loaded` when by difference. */
  readonly moved: (loaded: boolean) => void;
  readonly ticked: (tick: Tick, news: { readonly newer: boolean; readonly returned: boolean }) => void;
}

/** A tick counts as heard in time when it answers a sign of life that is at most so many periods old. */
const hopTicks = 2;
/** Signs of life that are remembered. */
const saidMax = 16;

/**
 * The child's side of the stream: what is taken from a parent, in which order, and from which parent at all. Its position
 * never runs backwards and never skips.
 */
export class Follower {
  readonly #ports: FollowerPorts;
  fleet = "";
  /** The highest epoch that this node has seen. */
  epoch = 0;
  path: readonly string[] = [];
  /** The reign of the highest epoch. */
  reign = "";
  /** What keys the probes, as the parent said. */
  secret: string | undefined;
  /** Where the parent answers them, as it said. */
  probes: readonly string[] = [];
  tick: Tick = { epoch: 0, reign: "", number: 0, path: [], sequence: 0, at: 0, ageMs: 0, echo: 0 };
  /** When the directory raised the newest tick that was heard in time, at the latest. */
  tickMonoMs = Number.NEGATIVE_INFINITY;
  held: readonly Range[] = [];
  #load: { readonly staged: StagedLoad; readonly ranges: readonly Range[] } | undefined;
  readonly #said = new Map<number, { readonly monoMs: number; readonly unixMs: number }>();
  #saidLast = 0;
  #tickUnixMs = 0;
  /** When the last attachment was made, or its last load ended. */
  #quietSinceMonoMs = Number.NEGATIVE_INFINITY;
  #detachedRefused = 0;
  /** Whether a tick has come since the last attachment. */
  #tickedSinceAttach = false;
  #loadedOnce = false;

  constructor(ports: FollowerPorts) {
    this.#ports = ports;
  }

  get loaded(): boolean {
    return this.#loadedOnce;
  }

  /** Not hearing the directory's pulse: lookups go on and say so. */
  get detached(): boolean {
    const { tickMs, detachedTicks } = this.#ports.periods;
    return !this.#tickedSinceAttach || this.#passedMs(this.tickMonoMs, this.#tickUnixMs) > tickMs * detachedTicks;
  }

  /**
   * How much time has passed, by the clock that says more. Monotonic time stands still while a machine sleeps, and then everything
   * that lay in its sockets would pass for fresh; a wall clock that was set looks the same, and costs one period of modesty.
   */
  #passedMs(sinceMonoMs: number, sinceUnixMs: number): number {
    const { clock } = this.#ports;
    return Math.max(clock.monoMs() - sinceMonoMs, Math.abs(clock.unixMs() - sinceUnixMs));
  }

  /** Milliseconds since a newer tick came; how old an answer may be. */
  get ageMs(): number {
    return Math.max(0, this.#ports.clock.monoMs() - this.tickMonoMs);
  }

  /**
   * For how long this parent has not let us hear the directory, although it could have: a load comes before the first tick, however
   * long it takes. 0 while the directory is heard.
   */
  get forsakenMs(): number {
    if (!this.detached || this.#load !== undefined) return 0;
    return this.#ports.clock.monoMs() - Math.max(this.tickMonoMs, this.#quietSinceMonoMs);
  }

  /** Whether a parent that says this of itself may be followed; undefined is yes. */
  objection(parent: Hello): MusterError | undefined {
    if (parent.fleet === "" || this.fleet === "") return undefined;
    if (parent.fleet !== this.fleet) return this.#otherFleet(parent.fleet);
    if (parent.role === "directory" && parent.epoch < this.epoch) return this.#lowerEpoch(parent.epoch);
    return undefined;
  }

  #otherFleet(fleet: string): MusterError {
    return new MusterError("roll/other-fleet", `the parent belongs to fleet ${fleet}, this node to ${this.fleet}`, {
      next: "check --parent; a node that shall change fleets is started anew",
    });
  }

  #lowerEpoch(epoch: number): MusterError {
    return new MusterError("roll/lower-epoch", `the parent reigns in epoch ${epoch}, this node has seen ${this.epoch}`, {
      next: "the directory was started on an old copy of its store: start it on the right one",
    });
  }

  /** What this node tells its own children when they attach; undefined before it has anything to show. */
  answer(): Omit<Attached, "resumed"> | undefined {
    if (!this.#loadedOnce) return undefined;
    const { fleet, epoch, path, tick, reign, detached } = this;
    return { fleet, epoch, epochs: this.#ports.epochs.starts, path: [...path, this.#ports.token], tick: tick.number, reign, detached };
  }

  /** What an empty directory is offered: undefined when this node holds less than everything. */
  offer(): Uint8Array | undefined {
    return this.fleet === "" || !isEverything(this.held) ? undefined : encodeJson({ fleet: this.fleet, ...this.#ports.replica.position });
  }

  /** The parent took us: may it be followed? */
  attached(answer: Attached): MusterError | undefined {
    const { replica, epochs, token, parents } = this.#ports;
    if (this.fleet !== "" && answer.fleet !== this.fleet) return this.#otherFleet(answer.fleet);
    if (answer.epoch < this.epoch) return this.#lowerEpoch(answer.epoch);
    if (answer.epoch === this.epoch) {
      const other = this.#otherReign(answer.reign);
      if (other !== undefined) return other;
    }
    if (answer.path.includes(token))
      return new MusterError("roll/loop", "the parent follows this very node", { next: "check the --parent of the relays" });
    if (parents > 1 && this.#detachedRefused < parents) {
      const older = answer.epoch === this.tick.epoch && answer.tick + 1 < this.tick.number;
      if (answer.detached || older) {
        this.#detachedRefused++;
        return new MusterError("roll/parent-detached", "the parent does not hear the directory", { next: "another parent is tried" });
      }
    }
    this.#detachedRefused = 0;
    this.fleet = answer.fleet;
    this.epoch = answer.epoch;
    this.reign = answer.reign;
    this.path = answer.path;
    this.secret = answer.secret ?? this.secret;
    this.probes = answer.probes ?? [];
    if (answer.epochs.length > 0) epochs.replace(answer.epochs);
    this.#quietSinceMonoMs = this.#ports.clock.monoMs();
    this.#tickedSinceAttach = false;
    this.#said.clear();
    this.#said.set(0, this.#instant());
    this.#saidLast = 0;
    if (answer.resumed && replica.position.sequence > 0) this.#loadedOnce = true;
    return undefined;
  }

  /** The number of the next sign of life: the parent's ticks echo it, which tells how long they lay about. */
  sayAlive(): number {
    this.#said.set(++this.#saidLast, this.#instant());
    this.#said.delete(this.#saidLast - saidMax);
    return this.#saidLast;
  }

  #instant(): { readonly monoMs: number; readonly unixMs: number } {
    const { clock } = this.#ports;
    return { monoMs: clock.monoMs(), unixMs: clock.unixMs() };
  }

  #otherReign(reign: string): MusterError | undefined {
    if (this.reign === "" || reign === "" || reign === this.reign) return undefined;
    return new MusterError(
      "roll/other-history",
      `two directories have reigned in epoch ${this.epoch}, and the parent follows the other one`,
      {
        next: "a directory was started on an old copy of its store: start it on the right one",
      },
    );
  }

  /** The link is gone: a load under way is dropped, what was shown before stays. */
  lost(): void {
    this.#load?.staged.abandon();
    this.#load = undefined;
    this.#tickedSinceAttach = false;
  }

  /** Takes one message of the stream; returns false when it is none. */
  receive(kind: number, body: Uint8Array): boolean {
    switch (kind) {
      case message.batch:
        this.#batch(body);
        return true;
      case message.loadBegin:
        this.#beginLoad(decodeJson(body));
        return true;
      case message.loadPart:
        if (this.#load === undefined) throw new MusterError("roll/bad-load", "a part of a load came before its beginning");
        readLoadPart(body, this.#load.staged);
        return true;
      case message.loadEnd:
        this.#endLoad(decodeJson(body));
        return true;
      case message.tick:
        this.#tick(parseTick(decodeJson(body)));
        return true;
      default:
        return false;
    }
  }

  #batch(body: Uint8Array): void {
    const { replica, log, epochs } = this.#ports;
    const reader = new ByteReader(body);
    const from = reader.varint();
    const epoch = reader.varint();
    const sequence = reader.varint();
    this.#checkEpoch(epoch);
    if (from > replica.sequence)
      throw new MusterError("roll/gap", `the parent continues from ${from}, this node is at ${replica.sequence}`, {
        next: "the node attaches again",
      });
    // One copy: the records live on in the ring and go to the children as they are. A client has neither.
    const records = log.keepsNothing ? reader.rest() : Buffer.from(reader.rest());
    decodeChanges(records, replica, (recordEpoch, recordSequence, start, end) => {
      if (recordSequence <= replica.sequence) return false;
      this.#checkEpoch(recordEpoch);
      epochs.note(recordEpoch, recordSequence);
      if (log.keepsNothing) log.skip(recordSequence);
      else log.append({ epoch: recordEpoch, sequence: recordSequence, bytes: records.subarray(start, end) });
      return true;
    });
    this.#advance(epoch, sequence);
    this.#ports.moved(false);
  }

  /** No node takes a change of an epoch lower than the highest that it has seen. */
  #checkEpoch(epoch: number): void {
    if (epoch < this.#ports.replica.epoch)
      throw new MusterError("roll/lower-epoch", `a change of epoch ${epoch} came after one of ${this.#ports.replica.epoch}`);
    if (epoch <= this.epoch) return;
    this.epoch = epoch;
    // Its identity follows with the next tick.
    this.reign = "";
  }

  #advance(epoch: number, sequence: number): void {
    const { replica } = this.#ports;
    if (compareRevision({ epoch, sequence }, replica.position) > 0) replica.advance(epoch, sequence);
  }

  #beginLoad(input: Readonly<Record<string, unknown>>): void {
    this.#load?.staged.abandon();
    const ranges = parseRanges(input["ranges"]);
    const numbers = Array.isArray(input["ranges"]) ? input["ranges"].map((range: { number?: unknown }) => Number(range.number ?? 0)) : [];
    const numbered: { readonly table: number | "all"; readonly prefix: string }[] = [];
    ranges.forEach(({ table, prefix }, index) => {
      const number = numbers[index] ?? 0;
      if (table === "*") numbered.push({ table: "all", prefix });
      // A table that the parent does not know (yet) has no rows to load.
      else if (number > 0) numbered.push({ table: number, prefix });
    });
    const staged = this.#ports.replica.beginLoad(numbered);
    this.#load = { staged, ranges };
  }

  #endLoad(input: Readonly<Record<string, unknown>>): void {
    if (this.#load === undefined) throw new MusterError("roll/bad-load", "a load ended before its beginning");
    const { replica, log, epochs, telemetry } = this.#ports;
    const { staged, ranges } = this.#load;
    this.#load = undefined;
    this.#quietSinceMonoMs = this.#ports.clock.monoMs();
    const epoch = Number(input["epoch"]);
    const sequence = Number(input["sequence"]);
    this.#checkEpoch(epoch);
    staged.finish(epoch, sequence);
    epochs.replace(parseEpochs(input["epochs"]));
    // Single changes before this point are not known for the new ranges.
    log.reset(sequence);
    this.held = normaliseRanges([...this.held, ...ranges]);
    this.#loadedOnce = true;
    telemetry.log("debug", "loaded", { sequence, entries: replica.size });
    this.#ports.moved(true);
  }

  #tick(tick: Tick): void {
    const { clock, periods } = this.#ports;
    const order = tick.epoch - this.tick.epoch || tick.number - this.tick.number;
    // One of an earlier epoch than this node has seen by now was under way for long: it is news of nothing.
    const current = order >= 0 && tick.epoch >= this.epoch;
    const newer = current && order > 0;
    const wasDetached = this.detached;
    if (newer) {
      const other = tick.epoch === this.epoch ? this.#otherReign(tick.reign) : undefined;
      if (other !== undefined) throw other;
      this.#checkEpoch(tick.epoch);
      this.reign = tick.reign;
      this.tick = tick;
      this.path = tick.path;
    }
    // Also of a tick that is no newer: it stands in the stream, so everything up to its position has come.
    this.#advance(tick.at, tick.sequence);
    this.#ports.moved(false);
    // What the parent sent before it heard our latest signs of life may have lain in a socket for any time (a pause here, there
    // or on the way): it moves the position, but it is no sign that the directory is heard now.
    const now = clock.monoMs();
    const saidAt = this.#said.get(tick.echo);
    const inTime = saidAt !== undefined && this.#passedMs(saidAt.monoMs, saidAt.unixMs) <= hopTicks * periods.tickMs;
    if (current && inTime) {
      // Of two ticks the younger counts, by the clock that says more: the one before may have been heard before a sleep.
      const ageMs = Math.min(tick.ageMs, this.#passedMs(this.tickMonoMs, this.#tickUnixMs));
      this.tickMonoMs = now - ageMs;
      this.#tickUnixMs = clock.unixMs() - ageMs;
      this.#tickedSinceAttach = true;
    }
    this.#ports.ticked(tick, { newer, returned: wasDetached && !this.detached });
  }
}
