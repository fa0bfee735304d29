import { MusterError } from "../kernel/index.ts";
import { batchLimits } from "./store.ts";

/**
 * Keys of a store that knows only bytes. The first byte tells what follows, so that one tree holds everything and a
 * commit touches few pages; the log comes last, because it grows at its end. Numbers are big-endian: the order of the
 * bytes is the order of (table number, key bytes), of sessions, and of sequences.
 */
export const keyKinds = Object.freeze({ header: 0, meta: 1, entry: 2, session: 3, log: 4, end: 5 });

export const headerKey: Uint8Array = Uint8Array.of(keyKinds.header);

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const entryHeadBytes = 5;
const numberBytes = 9;

/** The key of an entry: kind, table (4 bytes), UTF-8 of the key. */
export function encodeEntryKey(table: number, key: string): Uint8Array {
  const bytes = Buffer.allocUnsafe(entryHeadBytes + Buffer.byteLength(key));
  bytes[0] = keyKinds.entry;
  bytes.writeUInt32BE(table, 1);
  bytes.write(key, entryHeadBytes);
  return bytes;
}

/** Reads what `encodeEntryKey` wrote; undefined for anything else. */
export function decodeEntryKey(bytes: Uint8Array): { table: number; key: string } | undefined {
  if (bytes.length < entryHeadBytes || bytes[0] !== keyKinds.entry) return undefined;
  try {
    return { table: viewOf(bytes).getUint32(1), key: utf8.decode(bytes.subarray(entryHeadBytes)) };
  } catch {
    return undefined;
  }
}

export function encodeMetaKey(name: string): Uint8Array {
  return Buffer.concat([Uint8Array.of(keyKinds.meta), Buffer.from(name, "latin1")]);
}

export function decodeMetaKey(bytes: Uint8Array): string | undefined {
  if (bytes[0] !== keyKinds.meta) return undefined;
  const name = Buffer.from(bytes.subarray(1)).toString("latin1");
  return isMetaName(name) ? name : undefined;
}

/** The key of a session or a log record: kind, number (8 bytes). */
export function encodeNumberKey(kind: number, value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(numberBytes);
  bytes[0] = kind;
  bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), 1);
  bytes.writeUInt32BE(value % 0x1_0000_0000, 5);
  return bytes;
}

export function decodeNumberKey(kind: number, bytes: Uint8Array): number | undefined {
  if (bytes.length !== numberBytes || bytes[0] !== kind) return undefined;
  const view = viewOf(bytes);
  const value = view.getUint32(1) * 0x1_0000_0000 + view.getUint32(5);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Whether the bytes are a key that this layout can hold. */
export function isStoredKey(bytes: Uint8Array): boolean {
  switch (bytes[0]) {
    case keyKinds.header:
      return bytes.length === 1;
    case keyKinds.meta:
      return decodeMetaKey(bytes) !== undefined;
    case keyKinds.entry:
      return bytes.length >= entryHeadBytes;
    case keyKinds.session:
    case keyKinds.log:
      return decodeNumberKey(bytes[0], bytes) !== undefined;
    default:
      return false;
  }
}

export function isMetaName(name: string): boolean {
  return name.length <= batchLimits.metaNameMax && /^[A-Za-z0-9._/-]+$/.test(name);
}

/** Throws `storage/bad-batch` for what no store can keep and give back unchanged. */
export function checkEntryKey(table: number, key: string): void {
  if (!Number.isInteger(table) || table < 0 || table > batchLimits.tableMax) throw badBatch(`${table} is not the number of a table`);
  // A lone surrogate has no UTF-8 form: it would come back as another key.
  if (!key.isWellFormed()) throw badBatch("the key of an entry is not well-formed text");
  if (key.length * 3 > batchLimits.keyBytesMax && Buffer.byteLength(key) > batchLimits.keyBytesMax)
    throw badBatch(`the key of an entry is longer than ${batchLimits.keyBytesMax} bytes`);
}

export function checkNumber(value: number, what: string): void {
  if (!Number.isSafeInteger(value) || value < 0) throw badBatch(`${value} is not the number of a ${what}`);
}

export function badBatch(reason: string): MusterError {
  return new MusterError("storage/bad-batch", `the batch was not kept: ${reason}`, {
    next: "this is a fault in the program that wrote it; please report it with the message",
  });
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
