import type { Telemetry } from "../kernel/index.ts";
import type { Replica } from "../tables/index.ts";
import { ByteWriter, encodeMessage, filterChange } from "../wire/index.ts";
import type { ChangeLog, LogRecord } from "./change-log.ts";
import type { Child } from "./child.ts";
import type { Epochs } from "./epochs.ts";
import { type Range, includes, isEverything, touches } from "./interest.ts";
import { OutgoingLoad } from "./load.ts";
import { encodeJson, message } from "./messages.ts";
import type { RollLimits } from "./options.ts";
import { metricNames } from "./metrics.ts";

export interface ChildrenPorts {
  readonly replica: Replica;
  readonly log: ChangeLog;
  readonly epochs: Epochs;
  readonly telemetry: Telemetry;
  readonly limits: RollLimits;
  /** The child's first ranges are whole and it has everything up to this node's position. */
  readonly ready: (child: Child) => void;
}

/** What a slow child may have waiting before its replay or load pauses. */
const pumpBytes = 256 * 1024;
/** A batch is closed at this size; one change alone may be larger, but never as large as a frame. */
const batchBytes = 1024 * 1024;

/** Encoded batches, and the position that whoever reads them has been told. */
interface Batches {
  readonly frames: readonly Uint8Array[];
  readonly told: number;
}

/**
 * The stream to the children. Synced children with equal interest get the same bytes, encoded once; a child that falls
 * behind leaves this path and is replayed from the ring, or loaded anew when the ring has moved on, at its own pace.
 */
export class Children {
  readonly #ports: ChildrenPorts;
  readonly #all = new Set<Child>();
  readonly #writer = new ByteWriter();
  /** Up to here the fast path has written. */
  #flushed = 0;
  #flushedEpoch = 0;

  constructor(ports: ChildrenPorts) {
    this.#ports = ports;
  }

  get size(): number {
    return this.#all.size;
  }

  [Symbol.iterator](): Iterator<Child> {
    return this.#all[Symbol.iterator]();
  }

  get #position(): { readonly epoch: number; readonly sequence: number } {
    return this.#ports.replica.position;
  }

  /**
   * Takes a child that stands at (epoch, sequence) and holds `held`. Says whether its position can be resumed; `begin` starts
   * its stream, once the child has been answered.
   */
  follow(
    child: Child,
    from: { readonly epoch: number; readonly sequence: number; readonly held: readonly Range[]; readonly want: readonly Range[] },
  ): { readonly resumed: boolean; readonly begin: () => void } {
    const { replica, log, epochs } = this.#ports;
    const shared = epochs.contains(from.epoch, from.sequence, replica.position.sequence);
    const resumed = shared && from.held.length > 0 && log.reaches(from.sequence);
    child.want = from.want;
    child.following = true;
    child.hold(resumed ? from.held : []);
    child.sent = resumed ? from.sequence : replica.position.sequence;
    child.told = child.sent;
    this.#all.add(child);
    if (!resumed && from.sequence > 0)
      this.#ports.telemetry.log("info", shared ? "child-behind-ring" : "child-of-another-history", {
        child: child.hello.name,
        epoch: from.epoch,
        sequence: from.sequence,
      });
    this.#startLoad(child, shared ? from.sequence : 0, from.held);
    return { resumed, begin: () => this.pump(child) };
  }

  remove(child: Child): void {
    this.#all.delete(child);
    child.load = undefined;
    child.markers = [];
  }

  widen(child: Child, want: readonly Range[]): void {
    child.want = want;
    if (child.following && child.load === undefined) this.#startLoad(child, 0, []);
    this.pump(child);
  }

  /** Loads what the child wants and does not hold. Rows at or below `keepBelow` of ranges that it held are only named. */
  #startLoad(child: Child, keepBelow: number, heldBefore: readonly Range[]): void {
    const missing = child.want.filter((range) => !includes(child.held, [range]));
    if (missing.length === 0) return;
    const keep = child.link.version >= 2 && includes(heldBefore, missing) ? keepBelow : 0;
    child.load = new OutgoingLoad({
      replica: this.#ports.replica,
      ranges: missing,
      keepBelow: keep,
      partBytes: this.#ports.limits.loadPartBytes,
    });
    child.loadBegun = false;
    this.#ports.telemetry.count(metricNames.loads);
  }

  /** A row changed here: loads under way send it again. */
  touched(table: number, tableName: string, key: string): void {
    for (const child of this.#all) child.load?.touched(table, tableName, key);
  }

  /** Too much has changed to name it: loads under way begin again. */
  redo(): void {
    for (const child of this.#all) {
      if (child.load === undefined) continue;
      child.load = new OutgoingLoad({
        replica: this.#ports.replica,
        ranges: child.load.ranges,
        keepBelow: 0,
        partBytes: this.#ports.limits.loadPartBytes,
      });
      child.loadBegun = false;
    }
  }

  /** This node got a load itself, so there are no single changes to pass on: everybody below is brought up by difference. */
  restart(): void {
    const { epoch, sequence } = this.#position;
    // Of another history than ours, what the children have proves nothing, however old it is.
    const shared = this.#ports.epochs.contains(this.#flushedEpoch, this.#flushed, sequence);
    for (const child of this.#all) {
      const before = child.held;
      const keepBelow = shared ? child.sent : 0;
      this.#apart(child);
      this.#startLoad(child, keepBelow, before);
      this.pump(child);
    }
    this.#flushed = sequence;
    this.#flushedEpoch = epoch;
  }

  /** The child has to be loaded anew: until the end mark it hears of no position, or it would skip what it lacks. */
  #apart(child: Child): void {
    child.hold([]);
    child.sent = this.#position.sequence;
    child.synced = false;
    child.ready = false;
    child.announced = false;
  }

  /** Writes what was committed since the last call to every synced child, then moves the others on. */
  flush(): void {
    const { epoch, sequence } = this.#position;
    this.#flushedEpoch = epoch;
    if (this.#all.size === 0) {
      this.#flushed = sequence;
      return;
    }
    // More came at once than the ring holds: then nobody can be served from it.
    if (sequence > this.#flushed && !this.#ports.log.reaches(this.#flushed)) {
      for (const child of this.#all) child.synced = false;
      this.#flushed = sequence;
    }
    if (sequence > this.#flushed) {
      const records = this.#ports.log.after(this.#flushed);
      const groups = new Map<string, Batches>();
      // The message is one for the whole group, so it continues from the position that all of the group have been told.
      const from = new Map<string, number>();
      for (const child of this.#all)
        if (child.synced) from.set(child.signature, Math.min(child.told, from.get(child.signature) ?? child.told));
      for (const child of this.#all) {
        if (!child.synced) continue;
        if (child.held.length === 0) {
          child.sent = sequence;
          continue;
        }
        if (child.link.bufferedBytes > this.#ports.limits.childBytesMax) {
          child.synced = false;
          this.#ports.telemetry.count(metricNames.childrenSetApart);
          continue;
        }
        let batches = groups.get(child.signature);
        if (batches === undefined) {
          batches = this.#encode(child.held, records, from.get(child.signature) ?? 0, { epoch, sequence });
          groups.set(child.signature, batches);
        }
        child.sent = sequence;
        this.#send(child, batches);
      }
      this.#flushed = sequence;
    }
    for (const child of this.#all) if (!child.synced || child.load !== undefined || child.markers.length > 0) this.pump(child);
  }

  #send(child: Child, { frames, told }: Batches): void {
    if (frames.length === 0) return;
    for (const frame of frames) child.link.sendFrame(frame);
    child.told = told;
  }

  /** The messages for all children with this interest, none when nothing matches: the last one tells the position `to`. */
  #encode(
    held: readonly Range[],
    records: readonly LogRecord[],
    from: number,
    to: { readonly epoch: number; readonly sequence: number },
  ): Batches {
    const frames: Uint8Array[] = [];
    const whole = isEverything(held);
    let told = from;
    let parts: Uint8Array[] = [];
    let bytes = 0;
    for (const record of records) {
      const part = whole ? record.bytes : this.#filter(held, record);
      if (part === undefined) continue;
      if (parts.length > 0 && bytes + part.length > batchBytes) {
        // Up to the change before this one; what of it did not match is passed in silence.
        const before = { epoch: this.#ports.epochs.epochOf(record.sequence - 1), sequence: record.sequence - 1 };
        frames.push(this.#batch(parts, told, before.epoch, before.sequence));
        told = before.sequence;
        parts = [];
        bytes = 0;
      }
      parts.push(part);
      bytes += part.length;
    }
    if (parts.length === 0) return { frames, told };
    frames.push(this.#batch(parts, told, to.epoch, to.sequence));
    return { frames, told: to.sequence };
  }

  #filter(held: readonly Range[], record: LogRecord): Uint8Array | undefined {
    const { replica } = this.#ports;
    return filterChange(record.bytes, (table, key) => {
      const name = replica.tableByNumber(table)?.name;
      // A table that is gone by now was empty when it went: nobody misses its changes.
      return name !== undefined && touches(held, name, key);
    });
  }

  #batch(parts: readonly Uint8Array[], from: number, epoch: number, sequence: number): Uint8Array {
    const writer = this.#writer;
    writer.varint(from);
    writer.varint(epoch);
    writer.varint(sequence);
    for (const part of parts) writer.bytes(part);
    return encodeMessage(message.batch, writer.take());
  }

  /**
   * Moves one child on as far as its link takes it: replay, load, end mark, markers. Only called when the fast path has
   * written everything up to this node's position, so nothing is written twice.
   */
  pump(child: Child): void {
    if (!child.following || !this.#all.has(child)) return;
    if (!this.#replay(child)) return;
    if (!this.#load(child)) return;
    this.#passMarkers(child);
  }

  pumpAll(): void {
    for (const child of this.#all) this.pump(child);
  }

  #replay(child: Child): boolean {
    const { replica, log } = this.#ports;
    while (child.sent < replica.position.sequence && child.held.length > 0) {
      if (child.link.bufferedBytes > pumpBytes) return false;
      if (!log.reaches(child.sent)) {
        const before = child.held;
        const keepBelow = child.sent;
        this.#apart(child);
        this.#startLoad(child, keepBelow, before);
        break;
      }
      const records = log.after(child.sent, pumpBytes);
      const last = records.at(-1);
      const to = last === undefined ? replica.position : last;
      const batches = this.#encode(child.held, records, child.told, to);
      child.sent = to.sequence;
      this.#send(child, batches);
    }
    if (child.held.length === 0) child.sent = replica.position.sequence;
    child.synced = true;
    return true;
  }

  #load(child: Child): boolean {
    const load = child.load;
    if (load === undefined) return true;
    if (!child.loadBegun) {
      child.link.send(
        message.loadBegin,
        encodeJson({ ranges: load.ranges.map((range) => ({ ...range, number: this.#ports.replica.table(range.table)?.number ?? 0 })) }),
      );
      child.loadBegun = true;
    }
    for (;;) {
      if (child.link.bufferedBytes > pumpBytes) return false;
      const part = load.next();
      if (part === undefined) break;
      child.link.send(message.loadPart, part);
    }
    const { epoch, sequence } = this.#position;
    child.link.send(message.loadEnd, encodeJson({ epoch, sequence, epochs: this.#ports.epochs.starts }));
    child.load = undefined;
    child.hold([...child.held, ...load.ranges]);
    child.sent = sequence;
    child.told = sequence;
    // What was wanted meanwhile.
    this.#startLoad(child, 0, []);
    return child.load === undefined || this.#load(child);
  }

  #passMarkers(child: Child): void {
    if (!child.synced || child.load !== undefined) return;
    if (!child.announced) {
      child.ready = true;
      child.announced = true;
      this.#ports.ready(child);
    }
    if (child.markers.length === 0) return;
    const due = child.markers.filter((marker) => marker.sequence <= child.sent);
    child.markers = child.markers.filter((marker) => marker.sequence > child.sent);
    for (const marker of due) {
      this.progress(child);
      child.link.send(message.settle, encodeJson({ id: marker.id }));
    }
  }

  /** Tells a synced child how far it is when nothing of the last changes was for it. */
  progress(child: Child): void {
    if (!child.synced || !child.ready || child.told >= child.sent) return;
    const { epoch } = this.#position;
    child.link.sendFrame(this.#batch([], child.told, epoch, child.sent));
    child.told = child.sent;
  }
}
