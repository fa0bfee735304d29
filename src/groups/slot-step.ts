import { slotsCount } from "../tables/index.ts";
import type { ByteReader, ByteWriter } from "../wire/index.ts";
import { type CarriedRow, readRows, writeRows } from "./carried-row.ts";
import { malformed } from "./errors.ts";

/**
 * What a group's log says of slots. `claimed`: those that the first map gives to this group. `sealed`: nothing of the slot is ordered here any
 * more, it belongs to another group as soon as that has it. `adopting`: a part of it has come over. `adopted`: all of it, and
 * from here on it is ordered here. `released`: the other group has it for good, so the copy here is dropped. `revision` names the move.
 */
export type SlotStep =
  | { readonly kind: "claimed"; readonly first: number; readonly last: number; readonly revision: number }
  | { readonly kind: "sealed"; readonly slot: number; readonly revision: number; readonly to: string }
  | {
      readonly kind: "adopting";
      readonly slot: number;
      readonly revision: number;
      readonly from: string;
      /** What is left of an earlier time is dropped before it. */
      readonly isFirst: boolean;
      readonly part: SlotPart;
    }
  | { readonly kind: "adopted"; readonly slot: number; readonly revision: number; readonly from: string; readonly digest: Uint8Array }
  | { readonly kind: "released"; readonly slot: number; readonly revision: number };

/** Outcomes, rows of the state and callers, as far as they fit into one entry. */
export interface SlotPart {
  readonly rows: readonly CarriedRow[];
  /** Where the next part goes on. */
  readonly cursor: string;
  /** How far the member was from which it comes: no later part comes from one that is behind it. */
  readonly at: number;
  readonly isLast: boolean;
  /** Of all rows of the state in this slot; empty before the last part. */
  readonly digest: Uint8Array;
}

/** What one group asks another one for. */
export interface SlotWanted {
  readonly slot: number;
  readonly revision: number;
  /** The instance that asks, which is the one that the seal names. */
  readonly to: string;
  readonly cursor: string;
  readonly at: number;
}

const stepKinds = ["claimed", "sealed", "adopting", "adopted", "released"] as const;

export function writeSlotStep(writer: ByteWriter, step: SlotStep): void {
  writer.u8(stepKinds.indexOf(step.kind));
  writer.varint(step.revision);
  switch (step.kind) {
    case "claimed":
      writer.varint(step.first);
      writer.varint(step.last);
      return;
    case "sealed":
      writer.varint(step.slot);
      writer.string(step.to);
      return;
    case "adopting":
      writer.varint(step.slot);
      writer.string(step.from);
      writer.u8(step.isFirst ? 1 : 0);
      writeSlotPart(writer, step.part);
      return;
    case "adopted":
      writer.varint(step.slot);
      writer.string(step.from);
      writer.u8(step.digest.length);
      writer.bytes(step.digest);
      return;
    case "released":
      writer.varint(step.slot);
  }
}

export function readSlotStep(reader: ByteReader): SlotStep {
  const kind = stepKinds[reader.u8()];
  const revision = reader.varint();
  switch (kind) {
    case "claimed":
      return { kind, revision, first: readSlot(reader), last: readSlot(reader) };
    case "sealed":
      return { kind, revision, slot: readSlot(reader), to: reader.string() };
    case "adopting":
      return {
        kind,
        revision,
        slot: readSlot(reader),
        from: reader.string(),
        isFirst: reader.u8() === 1,
        part: readSlotPart(reader),
      };
    case "adopted":
      return { kind, revision, slot: readSlot(reader), from: reader.string(), digest: reader.bytes(reader.u8()) };
    case "released":
      return { kind, revision, slot: readSlot(reader) };
    default:
      throw malformed("a step of a slot of an unknown kind");
  }
}

export function readSlot(reader: ByteReader): number {
  const slot = reader.varint();
  if (slot >= slotsCount) throw malformed(`there is no slot ${slot}`);
  return slot;
}

export function writeSlotPart(writer: ByteWriter, { rows, cursor, at, isLast, digest }: SlotPart): void {
  writer.string(cursor);
  writer.varint(at);
  writer.u8(isLast ? 1 : 0);
  writer.u8(digest.length);
  writer.bytes(digest);
  writeRows(writer, rows);
}

/** Throws `groups/malformed` or `wire/*`. */
export function readSlotPart(reader: ByteReader): SlotPart {
  const cursor = reader.string();
  const at = reader.varint();
  const isLast = reader.u8() === 1;
  const digest = Buffer.from(reader.bytes(reader.u8()));
  return { cursor, at, isLast, digest, rows: readRows(reader) };
}

export function writeSlotWanted(writer: ByteWriter, { slot, revision, to, cursor, at }: SlotWanted): void {
  writer.varint(slot);
  writer.varint(revision);
  writer.string(to);
  writer.string(cursor);
  writer.varint(at);
}

export function readSlotWanted(reader: ByteReader): SlotWanted {
  return { slot: readSlot(reader), revision: reader.varint(), to: reader.string(), cursor: reader.string(), at: reader.varint() };
}
