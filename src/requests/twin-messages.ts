import { isRecord } from "../kernel/index.ts";
import { malformed } from "./errors.ts";

/**
 * What makes two copies of a request a pair: of the two only one is to begin, if that can be helped. From version 3 on.
 *
 * | message | kind | from, to         | body                                                                                             |
 * |---------|------|------------------|----------------------------------------------------------------------------------------------------|
 * | tie     | 5    | caller to server | u32 id, u8 attempt, u8 attempt of the other copy, u16 port and text address of the server that has it |
 * | drop    | 6    | server to server | u32 id, u8 attempt, text token of the caller: the other copy has begun                                |
 */
export const tieMessage = 5;
export const dropMessage = 6;
/** Of links between servers: there is none of an older version. */
export const twinVersions = Object.freeze({ min: 3, max: 3 });

const tieHeadBytes = 8;
const dropHeadBytes = 5;
const addressBytesMax = 255;
const tokenPattern = /^[0-9a-f]{16,64}$/;

/** Where the other copy of a request is. */
export interface TwinPlace {
  readonly address: string;
  readonly port: number;
  readonly attempt: number;
}

export interface TieMessage {
  readonly id: number;
  readonly attempt: number;
  readonly twin: TwinPlace;
}

export function encodeTie({ id, attempt, twin }: TieMessage): Buffer {
  const bytes = Buffer.alloc(tieHeadBytes + Buffer.byteLength(twin.address));
  bytes.writeUInt32LE(id, 0);
  bytes.writeUInt8(attempt, 4);
  bytes.writeUInt8(twin.attempt, 5);
  bytes.writeUInt16LE(twin.port, 6);
  bytes.write(twin.address, tieHeadBytes);
  return bytes;
}

export function parseTie(body: Uint8Array): TieMessage {
  if (body.length <= tieHeadBytes || body.length > tieHeadBytes + addressBytesMax) throw malformed("a tie names no place");
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const twin = { address: bytes.toString("utf8", tieHeadBytes), port: bytes.readUInt16LE(6), attempt: bytes.readUInt8(5) };
  return { id: bytes.readUInt32LE(0), attempt: bytes.readUInt8(4), twin };
}

export interface DropMessage {
  readonly id: number;
  readonly attempt: number;
  readonly token: string;
}

export function encodeDrop({ id, attempt, token }: DropMessage): Buffer {
  const bytes = Buffer.alloc(dropHeadBytes + token.length);
  bytes.writeUInt32LE(id, 0);
  bytes.writeUInt8(attempt, 4);
  bytes.write(token, dropHeadBytes, "latin1");
  return bytes;
}

export function parseDrop(body: Uint8Array): DropMessage {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const token = bytes.toString("latin1", dropHeadBytes);
  if (!tokenPattern.test(token)) throw malformed("a drop names no caller");
  return { id: bytes.readUInt32LE(0), attempt: bytes.readUInt8(4), token };
}

/** What a server says of itself when it connects to another one. */
export function isTwinHello(value: unknown): boolean {
  return isRecord(value) && value["role"] === "twin";
}
