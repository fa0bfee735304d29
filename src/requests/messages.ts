import { Buffer } from "node:buffer";
import { type Effect, type MusterError, limits as kernelLimits, parseMusterError } from "../kernel/index.ts";
import { BodySlab } from "./body-slab.ts";
import { badBody, bodyTooLarge, malformed } from "./errors.ts";
import {
  formJson,
  formBytes,
  effects,
  refusalReasons,
  requestHeadBytes,
  cancelHeadBytes,
  answerHeadBytes,
  fullAnswerHeadBytes,
  tellFlag,
  traceFlag,
  traceHeadBytes,
  elsewhereFlag,
  waitingFlag,
  errorHeadBytes,
  refusalHeadBytes,
  reasonCharactersMax,
} from "./message-layout.ts";
import { type RequestBody, type RequestEffect, bodyBytesMax, typeNameBytesMax } from "./options.ts";
import { traceTextCharactersMax } from "./trace-context.ts";

/**
 * What a caller and a server say to each other, as one-way messages of a link; answers find their request by number. Numbers
 * are little-endian. A *target* stands for (table, server instance, type): it is named once on a link and by its number from then on.
 *
 * | message  | kind | body                                                                                     |
 * |----------|------|------------------------------------------------------------------------------------------|
 * | target   | 1    | JSON [number, table, instance, type, sequence of the declaration]                          |
 * | request  | 2    | u32 id, u8 attempt, u8 flags (form, effect × 4, 16: tell when it has begun, 32: trace), u16 target, u32 time left in ms, with 32 a u16 length and the trace, body |
 * | cancel   | 3    | u32 id, u8 attempt, u8 flags (1: it was sent on another link; 2: only while it waits), u32 time left in ms, reason |
 * | ping     | 4    | nothing: is this path alive? From version 2 on                                             |
 * |          | 5, 6 | what makes two copies a pair: twin-messages.ts                                               |
 * |          | 7, 8, 22, 23 | requests by multicast: multicast-wire.ts. From version 4 on                          |
 * | answer   | 16   | u32 id, u8 attempt, u8 form, from version 3 on u16 requests under way there, body            |
 * | error    | 17   | u32 id, u8 attempt, JSON error: the handler threw it                                       |
 * | refusal  | 18   | u32 id, u8 attempt, u8 why, text: it was not started (or given up, which `why` tells)        |
 * | closing  | 19   | nothing: no new requests, please                                                           |
 * | pong     | 20   | nothing: the answer to a ping, by the link and not by a handler                            |
 * | started  | 21   | u32 id, u8 attempt: a handler works on it, its answer is not there yet. From version 3 on    |
 */
export const message = {
  target: 1,
  request: 2,
  cancel: 3,
  ping: 4,
  answer: 16,
  error: 17,
  refusal: 18,
  closing: 19,
  pong: 20,
  started: 21,
} as const;

export const versions = Object.freeze({ min: 1, max: 4 });
/** Servers of an older version take a ping for an error of the protocol. */
export const pingVersion = 2;
/** From this version on servers say that a request has begun, and how many are under way. */
export const startedVersion = 3;
/** From this version on requests carry the trace that they belong to: the text of `trace-context.ts`, one byte for each character. */
export const traceVersion = 4;
/** The body of messages that say all by their kind. */
export const nothing = new Uint8Array(0);

/** Why a server did not begin a request; of `abandoned` it did, and gave it up. `twin`: another copy of it has begun elsewhere. */
export type RefusalReason = "turned-away" | "overloaded" | "reclassified" | "abandoned" | "malformed" | "twin";

/** JSON as text, so that it is made once and never changes; bytes as they are. */
export type EncodedBody = string | Uint8Array;

/** Targets that a link knows at a time; their numbers are used again. */
export const targetsMax = 4096;

/** Throws `requests/bad-body` and `requests/body-too-large`. */
export function encodeBody(body: RequestBody | undefined, effect: Effect): EncodedBody {
  if (body instanceof Uint8Array) {
    if (body.length > bodyBytesMax) throw bodyTooLarge(body.length, effect);
    return body;
  }
  let text: string | undefined;
  try {
    text = body === undefined ? "null" : JSON.stringify(body);
  } catch (cause) {
    throw badBody(cause);
  }
  if (text === undefined) throw badBody();
  if (text.length * 3 > bodyBytesMax) {
    const bytes = Buffer.byteLength(text);
    if (bytes > bodyBytesMax) throw bodyTooLarge(bytes, effect);
  }
  return text;
}

export interface TargetMessage {
  readonly number: number;
  readonly table: string;
  readonly instance: string;
  readonly type: string;
  /** Of the declaration that the caller goes by; 0 when it knows none. */
  readonly sequence: number;
}

export function encodeTarget({ number, table, instance, type, sequence }: TargetMessage): Buffer {
  return Buffer.from(JSON.stringify([number, table, instance, type, sequence]));
}

export function parseTarget(body: Uint8Array): TargetMessage {
  const value = parseJson(bufferOf(body), 0);
  if (Array.isArray(value)) {
    const [number, table, instance, type, sequence]: unknown[] = value;
    const { tableNameBytesMax, keyBytesMax } = kernelLimits;
    const named = isName(table, tableNameBytesMax) && isName(instance, keyBytesMax) && isName(type, typeNameBytesMax);
    if (named && isTargetNumber(number) && isSequence(sequence)) return { number, table, instance, type, sequence };
  }
  throw malformed("a target does not name a table, a server and a type");
}

function isName(value: unknown, bytesMax: number): value is string {
  return typeof value === "string" && value.length <= bytesMax && Buffer.byteLength(value) <= bytesMax;
}

function isTargetNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < targetsMax;
}

function isSequence(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** The head of a request, and where its body lies. The reader is used again for each of them. */
export class RequestReader {
  id = 0;
  attempt = 0;
  effect: RequestEffect = "write";
  target = 0;
  leftMs = 0;
  /** The caller wants to know when it has begun. */
  tell = false;
  #form = 0;
  #bytes: Uint8Array = nothing;
  /** Where the body begins. */
  #bodyAt = requestHeadBytes;
  readonly #slab = new BodySlab();

  /** Throws `requests/malformed`. */
  read(bytes: Uint8Array): void {
    if (bytes.length < requestHeadBytes) throw malformed("a request is too short");
    const flags = byteAt(bytes, 5);
    this.id = u32At(bytes, 0);
    this.attempt = byteAt(bytes, 4);
    this.effect = effects[(flags >> 2) & 3] ?? "write";
    this.target = byteAt(bytes, 6) | (byteAt(bytes, 7) << 8);
    this.leftMs = u32At(bytes, 8);
    this.tell = (flags & tellFlag) !== 0;
    this.#form = flags & 3;
    this.#bytes = bytes;
    this.#bodyAt = (flags & traceFlag) === 0 ? requestHeadBytes : endOfTrace(bytes);
  }

  get bodyBytes(): number {
    return this.#bytes.length - this.#bodyAt;
  }

  /** The text that its caller has sent along, whatever it is. */
  get trace(): string | undefined {
    const length = this.#bodyAt - requestHeadBytes - traceHeadBytes;
    if (length <= 0 || length > traceTextCharactersMax) return undefined;
    return bufferOf(this.#bytes).toString("latin1", requestHeadBytes + traceHeadBytes, this.#bodyAt);
  }

  body(): RequestBody {
    return readBody(this.#form, this.#bytes, this.#bodyAt, this.#slab);
  }
}

/** What a cancel ends besides what runs or waits on its own link. */
export type CancelWhere = "here" | "elsewhere" | "waiting";

export interface CancelMessage {
  readonly id: number;
  readonly attempt: number;
  readonly where: CancelWhere;
  readonly leftMs: number;
  readonly reason: string;
}

export function parseCancel(body: Uint8Array): CancelMessage {
  if (body.length < cancelHeadBytes) throw malformed("a cancel is too short");
  const bytes = bufferOf(body);
  const flags = byteAt(bytes, 5);
  return {
    id: u32At(bytes, 0),
    attempt: byteAt(bytes, 4),
    where: (flags & elsewhereFlag) !== 0 ? "elsewhere" : (flags & waitingFlag) !== 0 ? "waiting" : "here",
    leftMs: u32At(bytes, 6),
    reason: bytes.toString("utf8", cancelHeadBytes, cancelHeadBytes + reasonCharactersMax * 3),
  };
}

/** Every message about a request begins with its number. */
export function idOf(body: Uint8Array): number {
  if (body.length < errorHeadBytes) throw malformed("an answer is too short");
  return u32At(body, 0);
}

export function attemptOf(body: Uint8Array): number {
  return byteAt(body, 4);
}

/** `version`: of the link that it came over. */
export function parseAnswer(body: Uint8Array, version: number, slab: BodySlab): RequestBody {
  const headBytes = version >= startedVersion ? fullAnswerHeadBytes : answerHeadBytes;
  if (body.length < headBytes) throw malformed("an answer is too short");
  return readBody(byteAt(body, 5), body, headBytes, slab);
}

/** How many requests were under way at the server besides this one when it was answered; 0 where that is not told. */
export function underWayOf(body: Uint8Array, version: number): number {
  return version >= startedVersion ? byteAt(body, 6) | (byteAt(body, 7) << 8) : 0;
}

export function parseError(body: Uint8Array): MusterError {
  return parseMusterError(parseJson(bufferOf(body), errorHeadBytes), "requests/handler-failed");
}

export function parseRefusal(body: Uint8Array): { readonly reason: RefusalReason; readonly why: string } {
  if (body.length < refusalHeadBytes) throw malformed("a refusal is too short");
  const bytes = bufferOf(body);
  return { reason: refusalReasons[byteAt(bytes, 5)] ?? "abandoned", why: bytes.toString("utf8", refusalHeadBytes) };
}

function readBody(form: number, bytes: Uint8Array, from: number, slab: BodySlab): RequestBody {
  if (form === formJson) return parseJson(bufferOf(bytes), from);
  if (form !== formBytes) throw malformed(`a body has the form ${form}`);
  return slab.copy(bytes, from);
}

function parseJson(bytes: Buffer, from: number): RequestBody {
  try {
    return JSON.parse(bytes.toString("utf8", from));
  } catch {
    throw malformed("a body is not JSON");
  }
}

function endOfTrace(bytes: Uint8Array): number {
  const length = byteAt(bytes, requestHeadBytes) | (byteAt(bytes, requestHeadBytes + 1) << 8);
  const end = requestHeadBytes + traceHeadBytes + length;
  if (end > bytes.length) throw malformed("a request is shorter than its trace");
  return end;
}

function u32At(bytes: Uint8Array, at: number): number {
  return (byteAt(bytes, at) | (byteAt(bytes, at + 1) << 8) | (byteAt(bytes, at + 2) << 16) | (byteAt(bytes, at + 3) << 24)) >>> 0;
}

/** An index that has been checked against the length. */
function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
