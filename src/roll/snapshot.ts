import { createHash } from "node:crypto";
import { MusterError, type Revision, formatRevision, isRecord } from "../kernel/index.ts";
import type { StoreBatch, StoredEntry, StoredRoll } from "../storage/index.ts";
import type { Replica } from "../tables/index.ts";
import { ByteReader, ByteWriter } from "../wire/index.ts";
import type { DraftRow } from "./draft.ts";
import { type EpochStart, Epochs } from "./epochs.ts";
import { SnapshotRows, badSnapshot } from "./snapshot-rows.ts";
import { revisionNumberMax } from "./restored.ts";
import { decodeMeta, decodeRow, encodeMeta, encodeRow } from "./stored.ts";

/**
 * A roll as one file: a mark, a header, parts with the rows in order of table and key, an empty part, and the SHA-256 of all that. A
 * part is its length (4 bytes) and so many bytes. Writers' sessions are no part of it: whoever lives is admitted anew.
 */
export interface SnapshotHeader {
  readonly fleet: string;
  /** The revision that it shows. */
  readonly epoch: number;
  readonly sequence: number;
  readonly epochs: readonly EpochStart[];
  readonly entries: number;
  readonly savedUnixMs: number;
}

const mark = Buffer.from("muster-snapshot\n", "latin1");
const formatNow = 1;
const partBytes = 64 * 1024;
/** A row of the longest value and key, and what it is filled up with. */
const partBytesMax = 1024 * 1024;
const sumBytes = 32;

/** Encodes a replica that does not change meanwhile, piece by piece. */
export function* encodeSnapshot(replica: Replica, header: Omit<SnapshotHeader, "epoch" | "sequence" | "entries">): Generator<Uint8Array> {
  const hash = createHash("sha256");
  const piece = (bytes: Uint8Array) => {
    hash.update(bytes);
    return bytes;
  };
  const { fleet, epochs, savedUnixMs } = header;
  yield piece(mark);
  const { epoch, sequence } = replica.position;
  const first = { format: formatNow, fleet, epoch, sequence, epochs, entries: replica.size, savedUnixMs };
  yield piece(partOf(Buffer.from(JSON.stringify(first))));
  const writer = new ByteWriter(partBytes + 4096);
  const rowWriter = new ByteWriter();
  for (const table of replica.tableNumbers())
    for (const { key, text, flag: valid, owner, incarnation, epoch: e, sequence: s } of replica.entries(table)) {
      writer.varint(table);
      writer.string(key);
      const row = encodeRow(rowWriter, { text, valid, owner, incarnation, epoch: e, sequence: s });
      writer.varint(row.length);
      writer.bytes(row);
      if (writer.length >= partBytes) yield piece(partOf(writer.take()));
    }
  if (writer.length > 0) yield piece(partOf(writer.take()));
  yield piece(Buffer.alloc(4));
  yield hash.digest();
}

function partOf(bytes: Uint8Array): Uint8Array {
  const part = Buffer.allocUnsafe(4 + bytes.length);
  part.writeUInt32BE(bytes.length);
  part.set(bytes, 4);
  return part;
}

/**
 * Reads a snapshot in pieces of any size, and takes no row that a directory could not have written. `finish` says whether it was sound to
 * the last byte: nothing of it may be used for good before that. Throws `roll/bad-snapshot` or `roll/newer-snapshot`.
 */
export class SnapshotDecoder {
  readonly #entry: (entry: StoredEntry) => void;
  readonly #hash = createHash("sha256");
  #waiting: Buffer = Buffer.alloc(0);
  #state: "mark" | "header" | "parts" | "sum" | "end" = "mark";
  #header: SnapshotHeader | undefined;
  #rows: SnapshotRows | undefined;
  readonly #rowWriter = new ByteWriter();
  #entries = 0;

  constructor(entry: (entry: StoredEntry) => void) {
    this.#entry = entry;
  }

  /** Known after the first piece, or a few. */
  get header(): SnapshotHeader | undefined {
    return this.#header;
  }

  push(piece: Uint8Array): void {
    this.#waiting = this.#waiting.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#waiting, piece]);
    while (this.#step());
  }

  finish(): SnapshotHeader {
    if (this.#state !== "end" || this.#header === undefined) throw badSnapshot("it ends too early");
    return this.#header;
  }

  #take(length: number): Buffer | undefined {
    if (this.#waiting.length < length) return undefined;
    const taken = this.#waiting.subarray(0, length);
    this.#waiting = this.#waiting.subarray(length);
    if (this.#state !== "sum") this.#hash.update(taken);
    return taken;
  }

  #step(): boolean {
    switch (this.#state) {
      case "mark": {
        const found = this.#take(mark.length);
        if (found === undefined) return false;
        if (!found.equals(mark)) throw badSnapshot("it does not begin like one");
        this.#state = "header";
        return true;
      }
      case "header":
      case "parts":
        return this.#part();
      case "sum": {
        const digest = this.#take(sumBytes);
        if (digest === undefined) return false;
        if (!digest.equals(this.#hash.digest())) throw badSnapshot("its checksum is wrong");
        if (this.#header?.entries !== this.#entries)
          throw badSnapshot(`it holds ${this.#entries} entries of ${this.#header?.entries ?? 0}`);
        this.#state = "end";
        return true;
      }
      case "end":
        if (this.#waiting.length > 0) throw badSnapshot("something follows its end");
        return false;
    }
  }

  #part(): boolean {
    if (this.#waiting.length < 4) return false;
    const length = this.#waiting.readUInt32BE();
    if (length > partBytesMax) throw badSnapshot("a part of it is too long");
    if (this.#waiting.length < 4 + length) return false;
    const part = this.#take(4 + length)?.subarray(4) ?? Buffer.alloc(0);
    if (this.#state === "header") {
      this.#header = parseHeader(part);
      this.#rows = new SnapshotRows(this.#header);
      this.#state = "parts";
    } else if (length === 0) this.#state = "sum";
    else if (this.#rows !== undefined) this.#readRows(part, this.#rows);
    return true;
  }

  #readRows(part: Uint8Array, rows: SnapshotRows): void {
    const reader = new ByteReader(part);
    while (reader.remaining > 0) {
      const { table, key, row } = readRow(reader);
      this.#entries++;
      this.#entry({ table, key, bytes: encodeRow(this.#rowWriter, rows.parse(table, key, row)) });
    }
  }
}

function readRow(reader: ByteReader): { readonly table: number; readonly key: string; readonly row: DraftRow } {
  try {
    const table = reader.varint();
    const key = reader.string();
    return { table, key, row: decodeRow(reader.bytes(reader.varint())) };
  } catch (cause) {
    throw badSnapshot("a row of it cannot be read", cause);
  }
}

function parseHeader(bytes: Uint8Array): SnapshotHeader {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    throw badSnapshot("its header cannot be read");
  }
  if (!isRecord(value)) throw badSnapshot("its header cannot be read");
  const { format, fleet, epoch, sequence, entries, savedUnixMs } = value;
  if (typeof format === "number" && format > formatNow)
    throw new MusterError("roll/newer-snapshot", `the snapshot has format ${format}, this version reads up to ${formatNow}`, {
      next: "run the version of Muster that wrote it, or a newer one",
    });
  const numbers = { epoch: natural(epoch), sequence: natural(sequence), entries: natural(entries), savedUnixMs: natural(savedUnixMs) };
  if (format !== formatNow || typeof fleet !== "string" || fleet === "" || fleet.length > 64)
    throw badSnapshot("its header names no fleet");
  if (numbers.epoch === undefined || numbers.sequence === undefined || numbers.entries === undefined)
    throw badSnapshot("its header names no revision");
  return {
    fleet,
    epoch: numbers.epoch,
    sequence: numbers.sequence,
    entries: numbers.entries,
    savedUnixMs: numbers.savedUnixMs ?? 0,
    epochs: parseEpochs(value["epochs"]),
  };
}

function natural(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= revisionNumberMax ? value : undefined;
}

function parseEpochs(value: unknown): readonly EpochStart[] {
  if (!Array.isArray(value) || value.length > Epochs.keepMax) throw badSnapshot(`its epochs are no list of at most ${Epochs.keepMax}`);
  const starts: EpochStart[] = [];
  for (const start of value) {
    const epoch = isRecord(start) ? natural(start["epoch"]) : undefined;
    const sequence = isRecord(start) ? natural(start["sequence"]) : undefined;
    if (epoch === undefined || sequence === undefined || epoch <= (starts.at(-1)?.epoch ?? -1))
      throw badSnapshot("its epochs do not follow one another");
    starts.push({ epoch, sequence });
  }
  return starts;
}

/**
 * The last batch of a restoration. `known`: the newest revision that anybody is known to have seen besides. Throws `roll/bad-snapshot`
 * when no reign could begin beyond it.
 */
export function restoredMeta({ fleet, epochs, epoch, sequence }: SnapshotHeader, known: Revision): StoreBatch {
  if (natural(known.epoch) === undefined || natural(known.sequence) === undefined)
    throw badSnapshot(`no reign can begin beyond ${formatRevision(known)}`);
  return { meta: encodeMeta({ fleet, epochs, last: { epoch, sequence }, restored: known }) };
}

/** What a store has seen: its fleet and its newest revision; undefined when it holds no roll. */
export function storedPosition(stored: StoredRoll): { readonly fleet: string; readonly last: Revision } | undefined {
  const meta = decodeMeta(stored.meta);
  if (meta === undefined) return undefined;
  const { fleet, last, restored } = meta;
  const known = restored ?? last;
  return { fleet, last: { epoch: Math.max(last.epoch, known.epoch), sequence: Math.max(last.sequence, known.sequence) } };
}
