import type { Outcome, Position, RequestId } from "../../../src/groups/index.ts";
import type { StoreBatch } from "../../../src/storage/index.ts";
import { ByteReader } from "../../../src/wire/index.ts";

/**
 * What a member writes on its disk, read without its code: what is judged by it must not change when that does. Records of the log begin
 * with kind and epoch; every batch carries the mark; a table of the store is one of eight of some copy of the state.
 */

/** The one meta record: what counts of everything else that lies there. */
export interface Mark {
  readonly replica: string;
  readonly promised: number;
  readonly installed: Position;
  readonly base: Position;
  readonly end: number;
  /** The copy of the state that counts. */
  readonly generation: number;
}

export type LoggedBody =
  | { readonly kind: "opened" }
  | { readonly kind: "lease-ended"; readonly lease: string }
  | { readonly kind: "request"; readonly id: RequestId; readonly low: number; readonly outcome: Outcome };

export interface Logged {
  readonly epoch: number;
  readonly index: number;
  readonly body: LoggedBody;
  readonly bytes: Uint8Array;
}

/** An outcome, or a lease that has ended, or one that lives. */
export type KeptRow =
  | { readonly kind: "outcome"; readonly id: string; readonly position: Position; readonly outcome: Outcome }
  | { readonly kind: "ended"; readonly lease: string; readonly index: number }
  | { readonly kind: "lease"; readonly lease: string; readonly low: number };

const markName = "group";
const tablesOfCopy = 8;
const tables = { outcomes: 2, leases: 3 } as const;
const outcomeKinds = ["answer", "failed", "abandoned"] as const;
const logged = { opened: 0, request: 1, leaseEnded: 2, openedParted: 3, openedBy: 6 } as const;

export function markOf(batch: StoreBatch): Mark | undefined {
  const bytes = [...(batch.meta ?? [])].find(([name]) => name === markName)?.[1];
  if (bytes === undefined) return undefined;
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  const [replica, promised] = [reader.string(), reader.varint()];
  const [installed, base] = [positionOf(reader), positionOf(reader)];
  const end = reader.varint();
  return { replica, promised, installed, base, end, generation: version === 1 ? 0 : reader.varint() };
}

/** Undefined for tables that are not judged by their rows: the state has a checker of its own. */
export function keptTableOf(stored: number): { readonly generation: number; readonly table: number } | undefined {
  const table = stored % tablesOfCopy;
  const isKept = table === tables.outcomes || table === tables.leases;
  return isKept ? { generation: Math.floor(stored / tablesOfCopy), table } : undefined;
}

export function readKeptRow(table: number, key: string, bytes: Uint8Array): KeptRow {
  const reader = new ByteReader(bytes);
  if (table === tables.leases) {
    const hasEnded = reader.u8() === 1;
    const number = reader.varint();
    return hasEnded ? { kind: "ended", lease: key, index: number } : { kind: "lease", lease: key, low: number };
  }
  const position = positionOf(reader);
  reader.bytes(reader.u8());
  return { kind: "outcome", id: key, position, outcome: outcomeOf(reader) };
}

export function epochOfRecord(bytes: Uint8Array): number {
  const reader = new ByteReader(bytes);
  reader.u8();
  return reader.varint();
}

export function readLogged(index: number, bytes: Uint8Array): Logged {
  const reader = new ByteReader(bytes);
  const kind = reader.u8();
  const epoch = reader.varint();
  return { epoch, index, body: bodyOf(kind, reader), bytes };
}

function bodyOf(kind: number, reader: ByteReader): LoggedBody {
  if (kind === logged.opened || kind === logged.openedParted || kind === logged.openedBy) return { kind: "opened" };
  if (kind === logged.leaseEnded) return { kind: "lease-ended", lease: reader.string() };
  if (kind !== logged.request) throw new Error(`a record of the unknown kind ${kind}`);
  const id = { lease: reader.string(), sequence: reader.varint() };
  const low = reader.varint();
  // The revision of the lease, and the digest.
  reader.string();
  reader.bytes(reader.u8());
  return { kind: "request", id, low, outcome: outcomeOf(reader) };
}

function outcomeOf(reader: ByteReader): Outcome {
  const kind = outcomeKinds[reader.u8()];
  const bytes = reader.bytes(reader.varint());
  if (kind === undefined) throw new Error("an outcome of an unknown kind");
  return kind === "abandoned" ? { kind } : { kind, bytes };
}

function positionOf(reader: ByteReader): Position {
  return { epoch: reader.varint(), index: reader.varint() };
}
