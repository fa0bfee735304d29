import { Buffer, isUtf8 } from "node:buffer";
import { type JsonValue, MusterError, limits } from "../kernel/index.ts";
import type { ByteWriter } from "./bytes.ts";

/**
 * A link's stream is a row of frames: u32 length of what follows (little-endian), u8 kind, then by kind:
 *
 * | kind    |   | rest                                              |
 * |---------|---|---------------------------------------------------|
 * | hello   | 1 | JSON                                              |
 * | call    | 2 | u32 id, u32 time left in ms (0: none), u16 method, body |
 * | answer  | 3 | u32 id, body                                      |
 * | fail    | 4 | u32 id, JSON error                                |
 * | cancel  | 5 | u32 id                                            |
 * | message | 6 | u16 kind, body                                    |
 * | close   | 7 | JSON reason                                       |
 */
const kindHello = 1;
const kindCall = 2;
const kindAnswer = 3;
const kindFail = 4;
const kindCancel = 5;
const kindMessage = 6;
const kindClose = 7;

const lengthBytes = 4;
/** What stands before the body, the length included. */
const callHeadBytes = 15;
const answerHeadBytes = 9;
const messageHeadBytes = 7;

/** A hello, an error or a reason is a few hundred bytes; more is a mistake or an attack. */
export const frameJsonBytesMax = 64 * 1024;

/** Appends a call. Throws `wire/frame-too-large`, having written nothing. */
export function writeCall(writer: ByteWriter, id: number, timeoutMs: number, method: number, body: Uint8Array): void {
  const length = frameLength(callHeadBytes, body);
  writer.u32(length);
  writer.u8(kindCall);
  writer.u32(id);
  writer.u32(timeoutMs);
  writer.u16(method);
  writer.bytes(body);
}

/** Appends an answer. Throws `wire/frame-too-large`, having written nothing. */
export function writeAnswer(writer: ByteWriter, id: number, body: Uint8Array): void {
  const length = frameLength(answerHeadBytes, body);
  writer.u32(length);
  writer.u8(kindAnswer);
  writer.u32(id);
  writer.bytes(body);
}

export function writeFail(writer: ByteWriter, id: number, error: JsonValue): void {
  const json = jsonBytes(error);
  writer.u32(5 + json.length);
  writer.u8(kindFail);
  writer.u32(id);
  writer.bytes(json);
}

export function writeCancel(writer: ByteWriter, id: number): void {
  writer.u32(5);
  writer.u8(kindCancel);
  writer.u32(id);
}

/** Appends a message. Throws `wire/frame-too-large`, having written nothing. */
export function writeMessage(writer: ByteWriter, kind: number, body: Uint8Array): void {
  const length = frameLength(messageHeadBytes, body);
  writer.u32(length);
  writer.u8(kindMessage);
  writer.u16(kind);
  writer.bytes(body);
}

/**
 * Appends a message whose body is `head`, then `rest` (a text as UTF-8), so that nobody has to put them together before. Throws
 * `wire/frame-too-large`, having written nothing.
 */
export function writeMessageParts(writer: ByteWriter, kind: number, head: Uint8Array, rest: Uint8Array | string): void {
  // A character is a byte at least.
  if (head.length + rest.length > limits.frameBytesMax) throw tooLarge(head.length + rest.length, limits.frameBytesMax);
  const at = writer.length;
  writer.u32(0);
  writer.u8(kindMessage);
  writer.u16(kind);
  writer.bytes(head);
  if (typeof rest === "string") writer.text(rest);
  else writer.bytes(rest);
  const length = writer.length - at - lengthBytes;
  if (length > limits.frameBytesMax) {
    writer.backTo(at);
    throw tooLarge(length, limits.frameBytesMax);
  }
  writer.patchU32(at, length);
}

export function writeHello(writer: ByteWriter, hello: JsonValue): void {
  writeJson(writer, kindHello, hello);
}

export function writeClose(writer: ByteWriter, reason: JsonValue): void {
  writeJson(writer, kindClose, reason);
}

/**
 * A message as bytes of its own, to be given to many links: the same buffer goes into each, so nobody may modify it.
 * Throws `wire/frame-too-large`.
 */
export function encodeMessage(kind: number, body: Uint8Array): Buffer {
  const length = frameLength(messageHeadBytes, body);
  const frame = Buffer.allocUnsafe(lengthBytes + length);
  frame.writeUInt32LE(length, 0);
  frame[4] = kindMessage;
  frame.writeUInt16LE(kind, 5);
  frame.set(body, messageHeadBytes);
  return frame;
}

function writeJson(writer: ByteWriter, kind: number, value: JsonValue): void {
  const json = jsonBytes(value);
  writer.u32(1 + json.length);
  writer.u8(kind);
  writer.bytes(json);
}

function jsonBytes(value: JsonValue): Buffer {
  const json = Buffer.from(JSON.stringify(value));
  if (json.length > frameJsonBytesMax) throw tooLarge(json.length, frameJsonBytesMax);
  return json;
}

function frameLength(headBytes: number, body: Uint8Array): number {
  const length = headBytes - lengthBytes + body.length;
  if (length > limits.frameBytesMax) throw tooLarge(length, limits.frameBytesMax);
  return length;
}

/**
 * What a decoder calls, in the order of the stream. Bodies are views into the chunk that was pushed: valid only during
 * the call, unless they are copied. The body of an answer alone belongs to the receiver, because a promise delivers it
 * after the chunk is gone; it may share its memory with other answers, so copy what is small and kept for long.
 */
export interface FrameHandler {
  hello(hello: unknown): void;
  call(id: number, timeoutMs: number, method: number, body: Buffer): void;
  answer(id: number, body: Buffer): void;
  fail(id: number, error: unknown): void;
  cancel(id: number): void;
  message(kind: number, body: Buffer): void;
  close(reason: unknown): void;
}

/** A frame that is announced as large is stored as it comes, so that an announcement alone costs nobody memory. */
const firstPartBytes = 16 * 1024;

/**
 * Cuts a stream of chunks into frames. Whole frames are read where they lie; only what a chunk leaves over is copied.
 * `push` throws `wire/frame-too-large` and `wire/malformed-frame`; the stream cannot be used any further after that.
 */
export class FrameDecoder {
  readonly #handler: FrameHandler;
  /** The beginning of a frame whose end has not come yet. */
  #part: Buffer = Buffer.allocUnsafe(0);
  #partBytes = 0;
  #bytesMax: number = limits.frameBytesMax;
  #stopped = false;
  /** A copy of the current chunk from `#ownedFrom` on, made for its first answer. */
  #owned: Buffer | undefined;
  #ownedFrom = 0;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** A stricter limit than that of all frames: before the handshake is over nobody may send much. */
  limitTo(bytesMax: number): void {
    this.#bytesMax = Math.min(bytesMax, limits.frameBytesMax);
  }

  /** Delivers nothing more, also of the chunk at hand. */
  stop(): void {
    this.#stopped = true;
    this.#part = Buffer.allocUnsafe(0);
    this.#partBytes = 0;
  }

  push(bytes: Uint8Array): void {
    const chunk = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = this.#partBytes > 0 ? this.#complete(chunk) : 0;
    while (!this.#stopped && chunk.length - at >= lengthBytes) {
      const length = this.#checked(readU32(chunk, at));
      if (chunk.length - at < lengthBytes + length) break;
      this.#deliver(chunk, at + lengthBytes, at + lengthBytes + length);
      at += lengthBytes + length;
    }
    this.#owned = undefined;
    if (at < chunk.length && !this.#stopped) this.#keep(chunk, at, chunk.length);
  }

  /** Adds to the kept part until it is a frame; returns where the chunk goes on. */
  #complete(chunk: Buffer): number {
    let at = Math.min(chunk.length, Math.max(0, lengthBytes - this.#partBytes));
    if (at > 0) this.#keep(chunk, 0, at);
    if (this.#partBytes < lengthBytes) return at;
    const whole = lengthBytes + this.#checked(readU32(this.#part, 0));
    const to = Math.min(chunk.length, at + whole - this.#partBytes);
    this.#keep(chunk, at, to);
    at = to;
    if (this.#partBytes === whole) {
      const frame = this.#part;
      this.#part = Buffer.allocUnsafe(0);
      this.#partBytes = 0;
      this.#deliver(frame, lengthBytes, whole);
      this.#owned = undefined;
    }
    return at;
  }

  #keep(chunk: Buffer, from: number, to: number): void {
    const needed = this.#partBytes + to - from;
    if (needed > this.#part.length) {
      const larger = Buffer.allocUnsafe(
        Math.max(needed, Math.min(this.#part.length * 2, this.#bytesMax + lengthBytes), this.#firstBytes(chunk, from)),
      );
      this.#part.copy(larger, 0, 0, this.#partBytes);
      this.#part = larger;
    }
    chunk.copy(this.#part, this.#partBytes, from, to);
    this.#partBytes = needed;
  }

  /** Room for the whole frame when its length is known and small: then it is copied once. */
  #firstBytes(chunk: Buffer, from: number): number {
    if (this.#partBytes > 0 || chunk.length - from < lengthBytes) return lengthBytes;
    return Math.min(firstPartBytes, lengthBytes + readU32(chunk, from));
  }

  #checked(length: number): number {
    if (length > this.#bytesMax) throw tooLarge(length, this.#bytesMax);
    if (length === 0) throw malformed("a frame is empty");
    return length;
  }

  #deliver(bytes: Buffer, from: number, to: number): void {
    const handler = this.#handler;
    const rest = from + 1;
    switch (bytes[from]) {
      case kindAnswer:
        this.#need(to - rest, 4);
        handler.answer(readU32(bytes, rest), this.#own(bytes, rest + 4, to));
        return;
      case kindCall:
        this.#need(to - rest, 10);
        handler.call(readU32(bytes, rest), readU32(bytes, rest + 4), readU16(bytes, rest + 8), bytes.subarray(rest + 10, to));
        return;
      case kindMessage:
        this.#need(to - rest, 2);
        handler.message(readU16(bytes, rest), bytes.subarray(rest + 2, to));
        return;
      case kindCancel:
        if (to - rest !== 4) throw malformed(`a cancel has ${to - rest} bytes instead of 4`);
        handler.cancel(readU32(bytes, rest));
        return;
      case kindFail:
        this.#need(to - rest, 4);
        handler.fail(readU32(bytes, rest), parseJson(bytes.subarray(rest + 4, to)));
        return;
      case kindHello:
        handler.hello(parseJson(bytes.subarray(rest, to)));
        return;
      case kindClose:
        handler.close(parseJson(bytes.subarray(rest, to)));
        return;
      default:
        throw malformed(`frames of kind ${bytes[from]} do not exist`);
    }
  }

  #need(available: number, wanted: number): void {
    if (available < wanted) throw malformed(`a frame ends after ${available} of ${wanted} bytes`);
  }

  /** One copy for all answers of a chunk costs less than one for each. */
  #own(bytes: Buffer, from: number, to: number): Buffer {
    let owned = this.#owned;
    if (owned === undefined) {
      owned = Buffer.allocUnsafe(bytes.length - from);
      bytes.copy(owned, 0, from, bytes.length);
      this.#owned = owned;
      this.#ownedFrom = from;
    }
    return owned.subarray(from - this.#ownedFrom, to - this.#ownedFrom);
  }
}

function readU32(bytes: Buffer, at: number): number {
  return (byteAt(bytes, at) | (byteAt(bytes, at + 1) << 8) | (byteAt(bytes, at + 2) << 16) | (byteAt(bytes, at + 3) << 24)) >>> 0;
}

function readU16(bytes: Buffer, at: number): number {
  return byteAt(bytes, at) | (byteAt(bytes, at + 1) << 8);
}

/** An index that has been checked against the length of the frame. */
function byteAt(bytes: Buffer, index: number): number {
  return bytes[index] ?? 0;
}

function parseJson(bytes: Buffer): unknown {
  if (bytes.length > frameJsonBytesMax) throw tooLarge(bytes.length, frameJsonBytesMax);
  if (!isUtf8(bytes)) throw malformed("a text is not UTF-8");
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw malformed("a text is not JSON", error);
  }
}

function tooLarge(bytes: number, bytesMax: number): MusterError {
  return new MusterError("wire/frame-too-large", `a frame of ${bytes} bytes is larger than the ${bytesMax} allowed`, {
    next: "send less at a time; if the other side is not a Muster node, correct the address",
  });
}

function malformed(what: string, cause?: unknown): MusterError {
  return new MusterError("wire/malformed-frame", `the stream cannot be read: ${what}`, {
    next: "check that the other side is a Muster node and speaks this version",
    cause,
  });
}
