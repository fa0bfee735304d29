import { closeSync, openSync } from "node:fs";
import { crc32 } from "node:zlib";
import { damaged, failed, foreign, newerLayout } from "./errors.ts";
import { headerKey, isStoredKey } from "./key-encoding.ts";
import { PageError, readMeta, walkPages } from "./lmdb-pages.ts";

/** The layout of keys and records that this version writes. Readers refuse higher numbers. */
export const layoutNow = 1;

const signature = Buffer.from("muster-roll\0", "latin1");
const sumBytes = 4;

/** A record as it lies in the file: CRC-32 over key and bytes, then the bytes. */
export function sealRecord(key: Uint8Array, bytes: Uint8Array): Buffer {
  const sealed = Buffer.allocUnsafe(sumBytes + bytes.length);
  sealed.writeUInt32LE(crc32(bytes, crc32(key)));
  sealed.set(bytes, sumBytes);
  return sealed;
}

/** The bytes of a record that `inspectRollFile` has found sound. */
export function unsealRecord(sealed: Uint8Array): Uint8Array {
  return sealed.subarray(sumBytes);
}

/** The first record of every roll: whose file it is, and in which layout. Its own form never changes. */
export function headerRecord(layout = layoutNow): Buffer {
  const bytes = Buffer.alloc(signature.length + 4);
  bytes.set(signature);
  bytes.writeUInt32LE(layout, signature.length);
  return sealRecord(headerKey, bytes);
}

/**
 * Reads the whole file and changes nothing: every page that is in use and the checksum of every record. Throws
 * `storage/damaged`, `storage/foreign` or `storage/newer-layout`. About 0.4 s per million entries. Returns the number
 * of the last transaction.
 */
export function inspectRollFile(path: string): number {
  const file = openToRead(path);
  try {
    const meta = readMeta(file);
    if (meta.main.entries === 0) throw foreign(path, "it is an LMDB file without records");
    let first = true;
    walkPages(file, meta, (key, value) => {
      if (first) checkHeader(path, key, value);
      first = false;
      if (!isSound(key, value)) throw new PageError("a record does not match its checksum");
    });
    return meta.transaction;
  } catch (error) {
    if (error instanceof PageError) throw damaged(path, error.message);
    throw error;
  } finally {
    closeSync(file);
  }
}

function checkHeader(path: string, key: Uint8Array, value: Uint8Array): void {
  const bytes = unsealRecord(value);
  const isOurs = Buffer.compare(key, headerKey) === 0 && Buffer.compare(bytes.subarray(0, signature.length), signature) === 0;
  if (!isOurs) throw foreign(path, "it is an LMDB file of another program");
  if (bytes.length < signature.length + 4 || !isSound(key, value)) throw new PageError("its header does not match its checksum");
  const layout = Buffer.from(bytes).readUInt32LE(signature.length);
  if (layout > layoutNow) throw newerLayout(path, layout, layoutNow);
}

function isSound(key: Uint8Array, value: Uint8Array): boolean {
  if (value.length < sumBytes || !isStoredKey(key)) return false;
  const sum = new DataView(value.buffer, value.byteOffset).getUint32(0, true);
  return sum === crc32(unsealRecord(value), crc32(key));
}

function openToRead(path: string): number {
  try {
    return openSync(path, "r");
  } catch (error) {
    throw failed(path, "opening", error);
  }
}
