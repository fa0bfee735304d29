import { ByteReader, ByteWriter } from "../wire/index.ts";
import { malformed } from "./errors.ts";

/** What one request did to the rows: the last word for each key. `undefined`: deleted. */
export type KeyedChanges = ReadonlyMap<string, Uint8Array | undefined>;

export function encodeDelta(changes: KeyedChanges): Uint8Array {
  const writer = new ByteWriter(256);
  writer.varint(changes.size);
  for (const [key, bytes] of changes) {
    writer.string(key);
    writer.u8(bytes === undefined ? 0 : 1);
    if (bytes === undefined) continue;
    writer.varint(bytes.length);
    writer.bytes(bytes);
  }
  return writer.take();
}

/** Throws `groups/malformed` or `wire/*`; hands out copies. */
export function decodeDelta(delta: Uint8Array): KeyedChanges {
  const changes = new Map<string, Uint8Array | undefined>();
  if (delta.length === 0) return changes;
  const reader = new ByteReader(delta);
  const count = reader.varint();
  if (count > reader.remaining) throw malformed("more changes than bytes");
  for (let at = 0; at < count; at++) {
    const key = reader.string();
    changes.set(key, reader.u8() === 0 ? undefined : new Uint8Array(reader.bytes(reader.varint())));
  }
  reader.end();
  return changes;
}
