import { type KeyObject, createCipheriv, createDecipheriv, createSecretKey } from "node:crypto";
import { limits as kernelLimits } from "../kernel/index.ts";
import type { Endpoint } from "../transport/index.ts";
import { ByteReader, ByteWriter } from "../wire/index.ts";
import { malformed } from "./errors.ts";
import { requestHeadBytes, traceFlag, traceHeadBytes } from "./message-layout.ts";
import { typeNameBytesMax } from "./options.ts";

/**
 * Requests by multicast: one datagram asks several servers, each of which has a link to the caller. Numbers are varints.
 *
 * | message   | kind | from, to         | body                                                                                       |
 * |-----------|------|------------------|----------------------------------------------------------------------------------------------|
 * | voice     | 7    | caller to server | 8 bytes voice, 32 bytes key, ear: listen to this voice; on this link you are that ear           |
 * | said      | 8    | caller to server | sequence, u8 kind, request or cancel: a datagram of that number has brought the request, or may |
 * | listening | 22   | server to caller | nothing: the group of this link's network was joined                                           |
 * | heard     | 23   | server to caller | sequence: a datagram of that number has come                                                   |
 *
 * A datagram: u8 0x51, u8 version, 8 bytes voice, u48 sequence; then, sealed, u8 kind; of a call the number of ears and the ears that are to say that they
 * hear it; of a request table, type, sequence of the declaration, trace, the number of entries {ear, id, u8 attempt, server, trace if it
 * is another}, and the message of a link (messages.ts) without id, attempt, target and trace; at the end 16 bytes that prove it.
 */
/** From this version of the protocol on servers may be asked to listen. */
export const voiceVersion = 4;
export const voiceMessage = 7;
export const saidMessage = 8;
export const listeningMessage = 22;
export const heardMessage = 23;

/** Administratively scoped (RFC 2365), one hop; the port after those of links, HTTP and DNS is what all programs share. */
export const requestGroup: Endpoint = Object.freeze({ host: "239.255.77.86", port: 7552 });
/** What crosses any network in one piece. */
export const multicastBytesMax = 1200;
const cipherName = "aes-256-gcm";
const tagBytes = 16;
const nonceBytes = 12;
const magic = 0x51;
const version = 1;
const voiceBytes = 8;
const keyBytes = 32;
const kinds = ["call", "request"] as const;
const sequenceBytes = 6;
const headBytes = 2 + voiceBytes + sequenceBytes;
/** More than one caller will ever say. */
export const sequenceMax = 2 ** 48 - 1;
const earsMax = 512;
/** Of what stands before the message, with every number at its longest. */
const fixedBytes = headBytes + 1 + 8 + 4 + tagBytes;
const entryFixedBytes = 5 + 5 + 1;

/** Which server, by which of the caller's links, is asked under which number. */
export interface MulticastEntry {
  readonly ear: number;
  readonly id: number;
  readonly attempt: number;
  readonly server: string;
  /** What its request belongs to, if that is not the same for all of them; else empty. */
  readonly trace: string;
}

export interface MulticastRequest {
  readonly kind: "request";
  readonly table: string;
  readonly type: string;
  /** Of the declaration that the caller goes by. */
  readonly declaration: number;
  /** What all of them belong to, as messages carry it; empty for nothing. */
  readonly trace: string;
  readonly entries: readonly MulticastEntry[];
  /** As on a link; id, attempt and target are each server's own. */
  readonly message: Uint8Array;
}

export interface MulticastCall {
  readonly kind: "call";
  readonly ears: readonly number[];
}

export type MulticastBody = MulticastRequest | MulticastCall;

/**
 * What one caller's datagrams are sealed with: AES-256-GCM, whose nonce is the number of the datagram, which no other one of this key bears.
 * So they are no less private than links, whatever those are.
 */
export class VoiceSeal {
  readonly #key: KeyObject;

  /** `key`: 64 hexadecimal digits. */
  constructor(key: string) {
    this.#key = createSecretKey(Buffer.from(key, "hex"));
  }

  /** `head`: what stands before it in the clear, up to the number. */
  seal(head: Uint8Array, plain: Uint8Array): Buffer {
    const cipher = createCipheriv(cipherName, this.#key, nonceOf(head));
    cipher.setAAD(head);
    return Buffer.concat([head, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }

  /** Undefined for what this key has not sealed. */
  open(bytes: Uint8Array): Buffer | undefined {
    const cut = bytes.length - tagBytes;
    if (cut < headBytes) return undefined;
    const head = bytes.subarray(0, headBytes);
    const decipher = createDecipheriv(cipherName, this.#key, nonceOf(head), { authTagLength: tagBytes });
    decipher.setAAD(head);
    decipher.setAuthTag(bytes.subarray(cut));
    const plain = decipher.update(bytes.subarray(headBytes, cut));
    try {
      decipher.final();
      return plain;
    } catch {
      return undefined;
    }
  }
}

function nonceOf(head: Uint8Array): Buffer {
  const nonce = Buffer.alloc(nonceBytes);
  nonce.set(head.subarray(headBytes - sequenceBytes));
  return nonce;
}

/** What a request and one of its entries take at most. */
export function requestBytes({ table, type, trace, message }: Omit<MulticastRequest, "entries" | "kind">): number {
  return fixedBytes + textBytes(table) + textBytes(type) + textBytes(trace) + message.length;
}

export function entryBytes({ server, trace }: Pick<MulticastEntry, "server" | "trace">): number {
  return entryFixedBytes + textBytes(server) + textBytes(trace);
}

function textBytes(text: string): number {
  return 2 + Buffer.byteLength(text);
}

/** `voice`: 16 hexadecimal digits. */
export function encodeMulticast(voice: string, sequence: number, body: MulticastBody, seal: VoiceSeal): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt8(magic, 0);
  head.writeUInt8(version, 1);
  head.write(voice, 2, "hex");
  head.writeUIntLE(sequence, headBytes - sequenceBytes, sequenceBytes);
  const writer = new ByteWriter(multicastBytesMax);
  writer.u8(kinds.indexOf(body.kind));
  if (body.kind === "call") {
    writer.varint(body.ears.length);
    for (const ear of body.ears) writer.varint(ear);
  } else {
    writer.string(body.table);
    writer.string(body.type);
    writer.varint(body.declaration);
    writer.string(body.trace);
    writer.varint(body.entries.length);
    for (const { ear, id, attempt, server, trace } of body.entries) {
      writer.varint(ear);
      writer.varint(id);
      writer.u8(attempt);
      writer.string(server);
      writer.string(trace);
    }
    writer.bytes(body.message);
  }
  return seal.seal(head, writer.take());
}

/** Whose it claims to be; undefined for what is no such datagram. Costs next to nothing, so that a flood of garbage does. */
export function voiceOf(bytes: Uint8Array): string | undefined {
  if (bytes.length < headBytes + tagBytes || bytes.length > multicastBytesMax || bytes[0] !== magic || bytes[1] !== version)
    return undefined;
  return Buffer.from(bytes.buffer, bytes.byteOffset + 2, voiceBytes).toString("hex");
}

/** Undefined for what this seal did not make, or a later version did. Never throws. */
export function parseMulticast(
  bytes: Uint8Array,
  seal: VoiceSeal,
): { readonly sequence: number; readonly body: MulticastBody } | undefined {
  const plain = seal.open(bytes);
  if (plain === undefined) return undefined;
  try {
    const sequence = Buffer.from(bytes.buffer, bytes.byteOffset, headBytes).readUIntLE(headBytes - sequenceBytes, sequenceBytes);
    const reader = new ByteReader(plain);
    const kind = kinds[reader.u8()];
    if (kind === undefined) return undefined;
    const body = kind === "call" ? readCall(reader) : readRequest(reader);
    return body === undefined ? undefined : { sequence, body };
  } catch {
    return undefined;
  }
}

function readCall(reader: ByteReader): MulticastCall | undefined {
  const count = reader.varint();
  if (count > earsMax) return undefined;
  const ears = Array.from({ length: count }, () => reader.varint());
  reader.end();
  return { kind: "call", ears };
}

function readRequest(reader: ByteReader): MulticastRequest | undefined {
  const table = reader.string();
  const type = reader.string();
  const declaration = reader.varint();
  const trace = reader.string();
  const count = reader.varint();
  if (table.length > kernelLimits.tableNameBytesMax || type.length > typeNameBytesMax || count > earsMax) return undefined;
  const entries = Array.from({ length: count }, () => ({
    ear: reader.varint(),
    id: reader.varint(),
    attempt: reader.u8(),
    server: reader.string(),
    trace: reader.string(),
  }));
  return { kind: "request", table, type, declaration, trace, entries, message: reader.rest() };
}

/** The message of a link, as the server of this entry would have got it there. */
export function messageFor(request: MulticastRequest, { id, attempt, trace: own }: MulticastEntry): Buffer {
  const { message } = request;
  if (message.length < requestHeadBytes) throw malformed("a request is too short");
  const trace = own === "" ? request.trace : own;
  const headBytes = requestHeadBytes + (trace === "" ? 0 : traceHeadBytes + trace.length);
  const bytes = Buffer.alloc(headBytes + message.length - requestHeadBytes);
  bytes.set(message.subarray(0, requestHeadBytes));
  bytes.set(message.subarray(requestHeadBytes), headBytes);
  bytes.writeUInt32LE(id >>> 0, 0);
  bytes.writeUInt8(attempt, 4);
  if (trace !== "") {
    bytes.writeUInt8(bytes.readUInt8(5) | traceFlag, 5);
    bytes.writeUInt16LE(trace.length, requestHeadBytes);
    bytes.write(trace, requestHeadBytes + traceHeadBytes, "latin1");
  }
  return bytes;
}

// On links.

export interface VoiceMessage {
  readonly voice: string;
  readonly key: string;
  readonly ear: number;
}

export function encodeVoice({ voice, key, ear }: VoiceMessage): Buffer {
  const writer = new ByteWriter();
  writer.bytes(Buffer.from(voice, "hex"));
  writer.bytes(Buffer.from(key, "hex"));
  writer.varint(ear);
  return writer.take();
}

export function parseVoice(bytes: Uint8Array): VoiceMessage {
  try {
    const reader = new ByteReader(bytes);
    const voice = reader.bytes(voiceBytes).toString("hex");
    const key = reader.bytes(keyBytes).toString("hex");
    const ear = reader.varint();
    reader.end();
    return { voice, key, ear };
  } catch {
    throw malformed("a voice has no name, key and ear");
  }
}

export function encodeSaid(sequence: number, kind: number, body: Uint8Array): Buffer {
  const writer = new ByteWriter(body.length + 16);
  writer.varint(sequence);
  writer.u8(kind);
  writer.bytes(body);
  return writer.take();
}

export function parseSaid(bytes: Uint8Array): { readonly sequence: number; readonly kind: number; readonly body: Buffer } {
  try {
    const reader = new ByteReader(bytes);
    return { sequence: reader.varint(), kind: reader.u8(), body: reader.rest() };
  } catch {
    throw malformed("what a datagram has said has no number");
  }
}

export function encodeHeard(sequence: number): Buffer {
  const writer = new ByteWriter(16);
  writer.varint(sequence);
  return writer.take();
}

export function parseHeard(bytes: Uint8Array): number {
  try {
    return new ByteReader(bytes).varint();
  } catch {
    throw malformed("a datagram that was heard has no number");
  }
}
