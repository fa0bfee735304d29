import { anyReplica } from "../tables/index.ts";
import { ByteReader, type ByteWriter } from "../wire/index.ts";
import { type CarriedRow, readRows, writeRows } from "./carried-row.ts";
import { type Entry, readEntry } from "./entry.ts";
import { malformed } from "./errors.ts";
import { type Held, type Holding, type PartingName, partingsMax } from "./history.ts";
import { messageBytesMax } from "./options.ts";
import type { Signed } from "./openings.ts";
import type { Position } from "./ports.ts";

export type { CarriedRow, RowName } from "./carried-row.ts";

/** Why a server cannot join: it holds what the group lacks and nobody has given up; or the state is larger than anybody takes in. */
export type DenialReason = (typeof denialReasons)[number];
const denialReasons = ["parted", "too-large"] as const;

/**
 * What members say to one another, one way each; every one may be lost, doubled and overtaken.
 * From the synchronising host: promise, append, fetch, part, confirm, denied. Back: promised, appended, behind, entries, got, confirmed, refused, troubled.
 * From a server outside: join.
 */
export type GroupWord =
  | { readonly kind: "promise" }
  | ({ readonly kind: "promised"; readonly base: Position } & Held)
  | { readonly kind: "append"; readonly previous: Position; readonly commit: number; readonly entries: readonly Entry[] }
  /** Everything up to `end` is as the synchronising host has it in this epoch, and durable. */
  | { readonly kind: "appended"; readonly end: number }
  /** The entry before those that were sent is missing or another one; try after `hint`. */
  | { readonly kind: "behind"; readonly previous: number; readonly hint: number }
  | { readonly kind: "fetch"; readonly after: Signed }
  /** None: that one is not here, or another one is. */
  | { readonly kind: "entries"; readonly previous: Position; readonly entries: readonly Entry[] }
  | ({ readonly kind: "join"; readonly attempt: number } & Holding)
  | {
      readonly kind: "part";
      readonly attempt: number;
      /** Names this copy of the state: parts of two copies do not go together, and a later copy for the same attempt has a higher number. */
      readonly feed: number;
      readonly number: number;
      readonly isLast: boolean;
      /** The state is the one after this entry. */
      readonly at: Position;
      readonly rows: readonly CarriedRow[];
    }
  | { readonly kind: "got"; readonly feed: number; readonly number: number }
  | { readonly kind: "confirm"; readonly round: number }
  | { readonly kind: "confirmed"; readonly round: number }
  | { readonly kind: "refused"; readonly promised: number }
  | { readonly kind: "troubled" }
  /** `at`: the last entry that both have, or (`too-large`) the state's. */
  | { readonly kind: "denied"; readonly attempt: number; readonly reason: DenialReason; readonly at: Position };

export interface GroupMessage {
  /** The sender's epoch: what it says counts in this one only. */
  readonly epoch: number;
  /** The data that the sender speaks for, and the data that is meant: a server that lost its disk is another one. */
  readonly fromReplica: string;
  readonly toReplica: string;
  readonly word: GroupWord;
}

const version = 2;
const replicaBytes = 8;
const kinds: readonly GroupWord["kind"][] = [
  "promise",
  "promised",
  "append",
  "appended",
  "behind",
  "fetch",
  "entries",
  "join",
  "part",
  "got",
  "confirm",
  "confirmed",
  "refused",
  "troubled",
  "denied",
];

export function encodeGroupMessage(writer: ByteWriter, { epoch, fromReplica, toReplica, word }: GroupMessage): Uint8Array {
  writer.u8(version);
  writer.u8(kinds.indexOf(word.kind));
  writer.varint(epoch);
  writer.bytes(Buffer.from(fromReplica, "hex"));
  writer.bytes(Buffer.from(toReplica, "hex"));
  writeWord(writer, word);
  return writer.take();
}

function writeWord(writer: ByteWriter, word: GroupWord): void {
  switch (word.kind) {
    case "promise":
    case "troubled":
      return;
    case "promised":
      writeHeld(writer, word);
      writePosition(writer, word.base);
      return;
    case "append":
      writePosition(writer, word.previous);
      writer.varint(word.commit);
      writeEntries(writer, word.entries);
      return;
    case "appended":
      writer.varint(word.end);
      return;
    case "behind":
      writer.varint(word.previous);
      writer.varint(word.hint);
      return;
    case "fetch":
      writeSigned(writer, word.after);
      return;
    case "entries":
      writePosition(writer, word.previous);
      writeEntries(writer, word.entries);
      return;
    case "join":
      writer.varint(word.attempt);
      writeHeld(writer, word);
      writer.varint(word.partings.length);
      for (const { epoch, by } of word.partings) {
        writer.varint(epoch);
        writer.bytes(Buffer.from(by, "hex"));
      }
      return;
    case "part":
      writer.varint(word.attempt);
      writer.varint(word.feed);
      writer.varint(word.number);
      writer.u8(word.isLast ? 1 : 0);
      writePosition(writer, word.at);
      writeRows(writer, word.rows);
      return;
    case "got":
      writer.varint(word.feed);
      writer.varint(word.number);
      return;
    case "confirm":
    case "confirmed":
      writer.varint(word.round);
      return;
    case "refused":
      writer.varint(word.promised);
      return;
    case "denied":
      writer.varint(word.attempt);
      writer.u8(denialReasons.indexOf(word.reason));
      writePosition(writer, word.at);
      return;
  }
}

/** Throws `groups/malformed` or `wire/*`; keeps copies of what it hands out. */
export function decodeGroupMessage(bytes: Uint8Array): GroupMessage {
  if (bytes.length > messageBytesMax + 1024) throw malformed("it is too long");
  const reader = new ByteReader(bytes);
  if (reader.u8() !== version) throw malformed("another version");
  const kind = kinds[reader.u8()];
  const epoch = reader.varint();
  const fromReplica = reader.bytes(replicaBytes).toString("hex");
  const toReplica = reader.bytes(replicaBytes).toString("hex");
  if (kind === undefined) throw malformed("an unknown kind");
  const word = readWord(kind, reader);
  reader.end();
  return { epoch, fromReplica, toReplica, word };
}

function readWord(kind: GroupWord["kind"], reader: ByteReader): GroupWord {
  switch (kind) {
    case "promise":
    case "troubled":
      return { kind };
    case "promised":
      return { kind, ...readHeld(reader), base: readPosition(reader) };
    case "append": {
      const previous = readPosition(reader);
      const commit = reader.varint();
      return { kind, previous, commit, entries: readEntries(reader, previous) };
    }
    case "appended":
      return { kind, end: reader.varint() };
    case "behind":
      return { kind, previous: reader.varint(), hint: reader.varint() };
    case "fetch":
      return { kind, after: readSigned(reader) };
    case "entries": {
      const previous = readPosition(reader);
      return { kind, previous, entries: readEntries(reader, previous) };
    }
    case "join":
      return { kind, attempt: reader.varint(), ...readHeld(reader), partings: readPartings(reader) };
    case "part": {
      const attempt = reader.varint();
      const feed = reader.varint();
      const number = reader.varint();
      const isLast = reader.u8() === 1;
      return { kind, attempt, feed, number, isLast, at: readPosition(reader), rows: readRows(reader) };
    }
    case "got":
      return { kind, feed: reader.varint(), number: reader.varint() };
    case "confirm":
    case "confirmed":
      return { kind, round: reader.varint() };
    case "refused":
      return { kind, promised: reader.varint() };
    case "denied": {
      const attempt = reader.varint();
      const reason = denialReasons[reader.u8()];
      if (reason === undefined) throw malformed("a denial for an unknown reason");
      return { kind, attempt, reason, at: readPosition(reader) };
    }
  }
}

function writePosition(writer: ByteWriter, { epoch, index }: Position): void {
  writer.varint(epoch);
  writer.varint(index);
}

function readPosition(reader: ByteReader): Position {
  return { epoch: reader.varint(), index: reader.varint() };
}

function writeHeld(writer: ByteWriter, { committed, last }: Held): void {
  writeSigned(writer, last);
  writeSigned(writer, committed);
}

function readHeld(reader: ByteReader): Held {
  return { last: readSigned(reader), committed: readSigned(reader) };
}

/** Sixteen zeros stand for nobody who is known: no data has that identity. */
function writeSigned(writer: ByteWriter, { at, by }: Signed): void {
  writePosition(writer, at);
  writer.bytes(Buffer.from(by === "" ? anyReplica : by, "hex"));
}

function readSigned(reader: ByteReader): Signed {
  const at = readPosition(reader);
  const by = reader.bytes(replicaBytes).toString("hex");
  return { at, by: by === anyReplica ? "" : by };
}

function readPartings(reader: ByteReader): PartingName[] {
  const count = reader.varint();
  if (count > partingsMax) throw malformed("more partings than anybody remembers");
  return Array.from({ length: count }, () => ({ epoch: reader.varint(), by: reader.bytes(replicaBytes).toString("hex") }));
}

function writeEntries(writer: ByteWriter, entries: readonly Entry[]): void {
  writer.varint(entries.length);
  for (const { bytes } of entries) {
    writer.varint(bytes.length);
    writer.bytes(bytes);
  }
}

/** Epochs never fall along a log: whatever else is in the bytes, that is checked here. */
function readEntries(reader: ByteReader, previous: Position): Entry[] {
  const count = reader.varint();
  if (count > reader.remaining) throw malformed("more entries than bytes");
  const entries: Entry[] = [];
  let { epoch } = previous;
  for (let at = 1; at <= count; at++) {
    const entry = readEntry(previous.index + at, reader.bytes(reader.varint()));
    if (entry.epoch < epoch) throw malformed("an entry of an older epoch than the one before it");
    ({ epoch } = entry);
    entries.push(entry);
  }
  return entries;
}
