import { MusterError } from "../kernel/index.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import type { ChangeEffect, EffectSink } from "./effects.ts";

/**
 * A committed change, on links, in the log and in stores. All numbers are varints, texts have their length before them:
 *
 *     record  = length of what follows, epoch, sequence, number of effects, effects
 *     effect  = table × 4 + kind, key, and for
 *               kinds 0 and 1, put as invalid or valid: incarnation, owner, value
 *               kind 2, set valid: 0 or 1
 *               kind 3, remove: nothing
 *
 * It is encoded once and decoded by every node of the fleet, so decoding is what a change costs.
 */
export interface ChangeSink extends EffectSink {
  /** A change begins: its effects follow, then `end`. There is no `end` when its record turns out to be malformed. */
  begin(epoch: number, sequence: number): void;
  end(): void;
}

const putInvalid = 0;
const putValid = 1;
const setValidity = 2;
const removal = 3;
const kinds = 4;
/** Table and kind together are a 30-bit integer. */
const tableMax = 0xfff_ffff;
const tagMax = tableMax * kinds + removal;

/** Writes one record. Throws `wire/malformed` before anything is written when an effect cannot be written. */
export function encodeChange(writer: ByteWriter, epoch: number, sequence: number, effects: readonly ChangeEffect[]): void {
  let length = varintBytes(epoch) + varintBytes(sequence) + varintBytes(effects.length);
  for (const effect of effects) length += effectBytes(effect);
  writer.varint(length);
  writer.varint(epoch);
  writer.varint(sequence);
  writer.varint(effects.length);
  for (const effect of effects) {
    switch (effect.kind) {
      case "put":
        writer.varint(effect.table * kinds + (effect.valid ? putValid : putInvalid));
        writer.string(effect.key);
        writer.varint(effect.incarnation);
        writer.string(effect.owner);
        writer.string(effect.text);
        break;
      case "valid":
        writer.varint(effect.table * kinds + setValidity);
        writer.string(effect.key);
        writer.u8(effect.valid ? 1 : 0);
        break;
      case "remove":
        writer.varint(effect.table * kinds + removal);
        writer.string(effect.key);
        break;
    }
  }
}

/**
 * Walks all records of `bytes`. `takes` is asked before each of them, told where in `bytes` it lies, and may pass one over. Throws
 * `wire/truncated` and `wire/malformed`; what a sink throws passes through.
 */
export function decodeChanges(
  bytes: Uint8Array,
  sink: ChangeSink,
  takes?: (epoch: number, sequence: number, from: number, to: number) => boolean,
): void {
  const reader = new ByteReader(bytes);
  while (reader.remaining > 0) {
    const from = reader.position;
    const end = recordEnd(reader);
    const epoch = reader.varint();
    const sequence = reader.varint();
    if (takes?.(epoch, sequence, from, end) === false) {
      if (reader.position > end) throw malformed("a change is longer or shorter than it says");
      reader.skipTo(end);
      continue;
    }
    sink.begin(epoch, sequence);
    for (let left = effectCount(reader, end); left > 0; left--) decodeEffect(reader, sink);
    if (reader.position !== end) throw malformed("a change is longer or shorter than it says");
    sink.end();
  }
}

/**
 * The record with those of its effects for which `keep` is true: the same bytes when that is all of them, undefined when
 * it is none. `record` is exactly one record.
 */
export function filterChange(record: Uint8Array, keep: (table: number, key: string) => boolean): Uint8Array | undefined {
  const reader = new ByteReader(record);
  const end = recordEnd(reader);
  const epoch = reader.varint();
  const sequence = reader.varint();
  const count = effectCount(reader, end);
  const kept: Uint8Array[] = [];
  for (let left = count; left > 0; left--) {
    const from = reader.position;
    const tag = reader.varint();
    const table = tableOf(tag);
    const key = keyOf(reader);
    skipRest(reader, tag % kinds);
    if (keep(table, key)) kept.push(record.subarray(from, reader.position));
  }
  if (reader.position !== end || end !== record.length) throw malformed("a change is longer or shorter than it says");
  if (kept.length === 0) return undefined;
  if (kept.length === count) return record;
  const body = kept.reduce((sum, bytes) => sum + bytes.length, 0);
  const length = varintBytes(epoch) + varintBytes(sequence) + varintBytes(kept.length) + body;
  const writer = new ByteWriter(length + varintBytes(length) + maxVarintBytes);
  writer.varint(length);
  writer.varint(epoch);
  writer.varint(sequence);
  writer.varint(kept.length);
  for (const bytes of kept) writer.bytes(bytes);
  return writer.take();
}

const maxVarintBytes = 8;

function decodeEffect(reader: ByteReader, sink: EffectSink): void {
  const tag = reader.varint();
  const table = tableOf(tag);
  const key = keyOf(reader);
  const kind = tag % kinds;
  if (kind <= putValid) {
    const incarnation = reader.varint();
    const owner = reader.string();
    sink.put(table, key, reader.string(), kind === putValid, owner, incarnation);
  } else if (kind === removal) {
    sink.remove(table, key);
  } else {
    sink.setValid(table, key, flagOf(reader));
  }
}

function skipRest(reader: ByteReader, kind: number): void {
  if (kind <= putValid) {
    reader.varint();
    reader.bytes(reader.varint());
    reader.bytes(reader.varint());
  } else if (kind === setValidity) {
    flagOf(reader);
  }
}

/** Reads the length of a record and returns the position of its end. */
function recordEnd(reader: ByteReader): number {
  const length = reader.varint();
  if (length > reader.remaining)
    throw new MusterError("wire/truncated", `a change ends early: ${length} bytes are expected, ${reader.remaining} are left`, { next });
  return reader.position + length;
}

function effectCount(reader: ByteReader, end: number): number {
  const count = reader.varint();
  // An effect has at least three bytes: a wrong count is found before anything is done for it.
  if (count * 3 > end - reader.position) throw malformed(`a change of ${end - reader.position} bytes cannot have ${count} effects`);
  return count;
}

function tableOf(tag: number): number {
  const table = tag <= tagMax ? tag >>> 2 : Math.floor(tag / kinds);
  if (table === 0 || table > tableMax) throw malformed(`there can be no table ${table}`);
  return table;
}

function keyOf(reader: ByteReader): string {
  const key = reader.string();
  if (key === "") throw malformed("a key is empty");
  return key;
}

function flagOf(reader: ByteReader): boolean {
  const value = reader.u8();
  if (value > 1) throw malformed(`${value} is not a validity`);
  return value === 1;
}

function effectBytes(effect: ChangeEffect): number {
  const { table, key } = effect;
  if (!Number.isInteger(table) || table < 1 || table > tableMax) throw malformed(`there can be no table ${table}`);
  if (key === "") throw malformed("a key is empty");
  const head = varintBytes(table * kinds) + textBytes(key);
  if (effect.kind === "remove") return head;
  if (effect.kind === "valid") return head + 1;
  return head + varintBytes(effect.incarnation) + textBytes(effect.owner) + textBytes(effect.text);
}

function textBytes(text: string): number {
  const bytes = Buffer.byteLength(text);
  return varintBytes(bytes) + bytes;
}

function varintBytes(value: number): number {
  if (value < 0 || !Number.isSafeInteger(value)) throw malformed(`${value} is not a non-negative safe integer`);
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

const next = "check that both sides run versions of Muster that speak with each other";

function malformed(what: string): MusterError {
  return new MusterError("wire/malformed", `a change cannot be read or written: ${what}`, { next });
}
