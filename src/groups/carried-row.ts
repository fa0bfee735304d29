import type { ByteReader, ByteWriter } from "../wire/index.ts";
import { malformed } from "./errors.ts";
import { tables } from "./store-tables.ts";

export interface RowName {
  readonly table: number;
  readonly key: string;
}

/** A row of the store, as a copy of a state or a part of a slot carries it. */
export interface CarriedRow extends RowName {
  readonly bytes: Uint8Array;
}

/** UTF-8 bytes; a store takes no longer key. */
const rowKeyBytesMax = 1024;
const rowTables: ReadonlySet<number> = new Set(Object.values(tables));

export function writeRows(writer: ByteWriter, rows: readonly CarriedRow[]): void {
  writer.varint(rows.length);
  for (const { table, key, bytes } of rows) {
    writer.u8(table);
    writer.string(key);
    writer.varint(bytes.length);
    writer.bytes(bytes);
  }
}

/** Throws `groups/malformed` or `wire/*`; keeps copies. */
export function readRows(reader: ByteReader): CarriedRow[] {
  const count = reader.varint();
  if (count > reader.remaining) throw malformed("more rows than bytes");
  const rows: CarriedRow[] = [];
  for (let at = 0; at < count; at++) {
    const table = reader.u8();
    const key = reader.string();
    if (!rowTables.has(table)) throw malformed(`a row of table ${table}`);
    if (Buffer.byteLength(key) > rowKeyBytesMax) throw malformed(`a row's key has ${Buffer.byteLength(key)} bytes`);
    rows.push({ table, key, bytes: Buffer.from(reader.bytes(reader.varint())) });
  }
  return rows;
}
