import { type Revision, assert, isRecord } from "../kernel/index.ts";
import { ByteReader, type ByteWriter } from "../wire/index.ts";
import type { DraftRow } from "./draft.ts";
import type { EpochStart } from "./epochs.ts";

/** How the directory writes rows and its few counters into its store. */
export function encodeRow(writer: ByteWriter, row: DraftRow): Uint8Array {
  writer.varint(row.epoch);
  writer.varint(row.sequence);
  writer.u8(row.valid ? 1 : 0);
  writer.varint(row.incarnation);
  writer.string(row.owner);
  writer.string(row.text);
  return writer.take();
}

export function decodeRow(bytes: Uint8Array): DraftRow {
  const reader = new ByteReader(bytes);
  const epoch = reader.varint();
  const sequence = reader.varint();
  const valid = reader.u8() === 1;
  const incarnation = reader.varint();
  const owner = reader.string();
  const text = reader.string();
  return { text, valid, owner, incarnation, epoch, sequence };
}

export interface StoredMeta {
  readonly fleet: string;
  readonly epochs: readonly EpochStart[];
  readonly last: { readonly epoch: number; readonly sequence: number };
  /**
   * Written by `muster snapshot restore`, gone with the first change of the reign that follows: the newest revision that anybody is known
   * to have seen.
   */
  readonly restored?: Revision;
}

export function encodeMeta(meta: StoredMeta): (readonly [string, Uint8Array])[] {
  return [["roll", Buffer.from(JSON.stringify(meta))]];
}

/** Undefined when the store is empty: no fleet was ever founded in it. */
export function decodeMeta(meta: ReadonlyMap<string, Uint8Array>): StoredMeta | undefined {
  const bytes = meta.get("roll");
  if (bytes === undefined) return undefined;
  const stored: unknown = JSON.parse(Buffer.from(bytes).toString());
  assert(
    isRecord(stored) && typeof stored["fleet"] === "string" && Array.isArray(stored["epochs"]) && isRecord(stored["last"]),
    "the stored roll has a fleet, epochs and a last revision",
  );
  const { last, restored } = stored;
  return {
    fleet: stored["fleet"],
    epochs: stored["epochs"].map((start: unknown) => {
      assert(isRecord(start), "an epoch start is an object");
      return { epoch: Number(start["epoch"]), sequence: Number(start["sequence"]) };
    }),
    last: { epoch: Number(last["epoch"]), sequence: Number(last["sequence"]) },
    ...(isRecord(restored) ? { restored: { epoch: Number(restored["epoch"]), sequence: Number(restored["sequence"]) } } : {}),
  };
}
