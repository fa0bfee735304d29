// The global of this name is a getter, which costs more than what is done here.
import { Buffer, isUtf8 } from "node:buffer";
import { MusterError } from "../kernel/index.ts";

/** Up to here a loop in JavaScript beats the call into the runtime, which costs about 45 ns whatever the length. */
const shortReadChars = 8;
const shortWriteChars = 24;
const shortCopyBytes = 16;
/** The bytes of a longer text are counted before room is made for it. */
const countedChars = 4096;
const slabBytesMinDefault = 1024;
const slabBytesMax = 64 * 1024;
const noSlab = Buffer.alloc(0);

/**
 * Writes values one after the other. `take` hands out what was written since the last `take`; the writer goes on behind
 * it in the same slab, so a steady stream of small messages costs one allocation a slab and no copy. A taken buffer
 * belongs to the caller and is never touched again, but keeps its slab alive: copy what is kept for long and is small.
 */
export class ByteWriter {
  readonly #slabBytesMin: number;
  #slab: Buffer = noSlab;
  #start = 0;
  #end = 0;

  /** Slabs follow the traffic: eight times what a message needed, between `slabBytesMin` and 64 KiB unless it needs more. */
  constructor(slabBytesMin = slabBytesMinDefault) {
    this.#slabBytesMin = slabBytesMin;
  }

  /** Bytes written since the last `take`. */
  get length(): number {
    return this.#end - this.#start;
  }

  u8(value: number): void {
    if (this.#end + 1 > this.#slab.length) this.#grow(1);
    this.#slab[this.#end++] = value;
  }

  /** Little-endian, as all numbers here. */
  u16(value: number): void {
    if (this.#end + 2 > this.#slab.length) this.#grow(2);
    const slab = this.#slab;
    slab[this.#end++] = value;
    slab[this.#end++] = value >>> 8;
  }

  u32(value: number): void {
    if (this.#end + 4 > this.#slab.length) this.#grow(4);
    this.#putU32(this.#end, value);
    this.#end += 4;
  }

  /** A non-negative safe integer, seven bits a byte, lowest first: 1 byte below 128, at most 8. */
  varint(value: number): void {
    if (this.#end + 8 > this.#slab.length) this.#grow(8);
    if ((value & 0x7f) === value) {
      this.#slab[this.#end++] = value;
      return;
    }
    if (value < 0 || !Number.isSafeInteger(value)) throw unwritable(`${value} is not a non-negative safe integer`);
    this.#putVarint(value);
  }

  /** A varint with the number of bytes, then UTF-8. */
  string(text: string): void {
    const chars = text.length;
    if (this.#end + 8 + chars * 3 > this.#slab.length) this.#grow(8 + chars * 3);
    if (chars > shortWriteChars || !this.#putShortAscii(text)) this.#putText(text);
  }

  /** UTF-8, without a length. */
  text(text: string): void {
    const bytesMax = text.length > countedChars ? Buffer.byteLength(text) : text.length * 3;
    if (this.#end + bytesMax > this.#slab.length) this.#grow(bytesMax);
    this.#end += this.#slab.write(text, this.#end, "utf8");
  }

  /** Raw bytes, copied, without a length. */
  bytes(bytes: Uint8Array): void {
    const { length } = bytes;
    if (this.#end + length > this.#slab.length) this.#grow(length);
    const slab = this.#slab;
    if (length > shortCopyBytes) slab.set(bytes, this.#end);
    else for (let index = 0; index < length; index++) slab[this.#end + index] = byteAt(bytes, index);
    this.#end += length;
  }

  /** Overwrites four bytes at `position` (counted from the last `take`): a length that is known only afterwards. */
  patchU32(position: number, value: number): void {
    if (position < 0 || position + 4 > this.length) throw new RangeError(`no u32 has been written at ${position}`);
    this.#putU32(this.#start + position, value);
  }

  /** What was written since the last `take`, without a copy. */
  take(): Buffer {
    const taken = this.#slab.subarray(this.#start, this.#end);
    this.#start = this.#end;
    return taken;
  }

  /** Forgets what was written since the last `take`, e.g. after an encoder failed half-way. */
  clear(): void {
    this.#end = this.#start;
  }

  /** Forgets what was written behind `position` (counted from the last `take`). */
  backTo(position: number): void {
    if (position < 0 || position > this.length) throw new RangeError(`nothing has been written at ${position}`);
    this.#end = this.#start + position;
  }

  #putU32(at: number, value: number): void {
    const slab = this.#slab;
    slab[at] = value;
    slab[at + 1] = value >>> 8;
    slab[at + 2] = value >>> 16;
    slab[at + 3] = value >>> 24;
  }

  #putVarint(value: number): void {
    const slab = this.#slab;
    let rest = value;
    while (rest >= 0x8000_0000) {
      slab[this.#end++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    while (rest >= 0x80) {
      slab[this.#end++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    slab[this.#end++] = rest;
  }

  /** False, and nothing written, when the text is not plain ASCII. */
  #putShortAscii(text: string): boolean {
    const slab = this.#slab;
    let at = this.#end;
    slab[at++] = text.length;
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code >= 0x80) return false;
      slab[at++] = code;
    }
    this.#end = at;
    return true;
  }

  #putText(text: string): void {
    // Most texts are ASCII, so the length in characters is the guess for the length in bytes; a wrong guess costs a shift.
    const from = this.#end;
    this.#putVarint(text.length);
    const guessed = this.#end;
    const written = this.#slab.write(text, guessed, "utf8");
    if (written === text.length) {
      this.#end = guessed + written;
      return;
    }
    const prefix = varintBytes(written);
    this.#slab.copyWithin(from + prefix, guessed, guessed + written);
    this.#end = from;
    this.#putVarint(written);
    this.#end += written;
  }

  /** A new slab; what is not taken yet moves along. */
  #grow(moreBytes: number): void {
    const used = this.#end - this.#start;
    const needed = used + moreBytes;
    const slab = Buffer.allocUnsafeSlow(Math.max(this.#slabBytesMin, Math.min(needed * 8, slabBytesMax), needed + used));
    this.#slab.copy(slab, 0, this.#start, this.#end);
    this.#slab = slab;
    this.#start = 0;
    this.#end = used;
  }
}

/**
 * Reads what `ByteWriter` wrote. Every read is checked against the end: throws `wire/truncated` when bytes are missing
 * and `wire/malformed` when they cannot have been written by a `ByteWriter` (an overlong varint, invalid UTF-8).
 */
export class ByteReader {
  #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bufferOf(bytes);
  }

  /** Starts over with other bytes, so that one reader serves many messages. */
  reset(bytes: Uint8Array): void {
    this.#bytes = bufferOf(bytes);
    this.#at = 0;
  }

  get position(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) throw truncated(1, 0);
    this.#at++;
    return value;
  }

  u16(): number {
    const at = this.#take(2);
    const bytes = this.#bytes;
    return byteAt(bytes, at) | (byteAt(bytes, at + 1) << 8);
  }

  u32(): number {
    const at = this.#take(4);
    const bytes = this.#bytes;
    return (byteAt(bytes, at) | (byteAt(bytes, at + 1) << 8) | (byteAt(bytes, at + 2) << 16) | (byteAt(bytes, at + 3) << 24)) >>> 0;
  }

  varint(): number {
    const first = this.u8();
    return first < 0x80 ? first : this.#longVarint(first);
  }

  string(): string {
    const length = this.varint();
    const from = this.#take(length);
    const short = length <= shortReadChars ? shortAscii(this.#bytes, from, this.#at) : undefined;
    return short ?? utf8(this.#bytes, from, this.#at);
  }

  /** A view of the next `length` bytes, not a copy: valid as long as the bytes given to the reader are. */
  bytes(length: number): Buffer {
    const from = this.#take(length);
    return this.#bytes.subarray(from, this.#at);
  }

  /** Goes on at `position`, which is not before the present one. */
  skipTo(position: number): void {
    this.#take(position - this.#at);
  }

  /** A view of everything that is left. */
  rest(): Buffer {
    return this.bytes(this.remaining);
  }

  /** Throws `wire/malformed` when anything is left: a decoder calls it last. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw malformed(`${this.remaining} bytes too many`);
  }

  #take(length: number): number {
    const from = this.#at;
    if (length > this.#bytes.length - from) throw truncated(length, this.#bytes.length - from);
    this.#at = from + length;
    return from;
  }

  #longVarint(first: number): number {
    let value = first & 0x7f;
    // Up to four bytes are the integers that the engine computes with fastest.
    for (let shift = 7; shift < 28; shift += 7) {
      const next = this.u8();
      value |= (next & 0x7f) << shift;
      if (next >= 0x80) continue;
      if (next === 0) throw malformed("a number is written longer than it needs to be");
      return value;
    }
    let factor = 2 ** 28;
    for (let index = 4; index < 8; index++) {
      const next = this.u8();
      value += (next & 0x7f) * factor;
      if (next < 0x80) {
        if (next === 0) throw malformed("a number is written longer than it needs to be");
        if (value > Number.MAX_SAFE_INTEGER) throw malformed("a number is too large");
        return value;
      }
      factor *= 0x80;
    }
    throw malformed("a number has no end");
  }
}

/** An index that `#take` has already checked. */
function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}

/** `undefined` when the bytes are not plain ASCII. */
function shortAscii(bytes: Uint8Array, from: number, to: number): string | undefined {
  let text = "";
  for (let at = from; at < to; at++) {
    const code = byteAt(bytes, at);
    if (code >= 0x80) return undefined;
    text += String.fromCharCode(code);
  }
  return text;
}

function utf8(bytes: Buffer, from: number, to: number): string {
  const text = bytes.toString("utf8", from, to);
  // Invalid sequences turn into U+FFFD; the search for it is free in a text that V8 holds as one byte a character.
  if (text.includes("\ufffd") && !isUtf8(bytes.subarray(from, to))) throw malformed("a text is not UTF-8");
  return text;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

function truncated(wanted: number, left: number): MusterError {
  return new MusterError("wire/truncated", `a message ends early: ${wanted} bytes are expected, ${left} are left`, {
    next: "check that both sides run versions of Muster that speak with each other",
  });
}

function malformed(what: string): MusterError {
  return new MusterError("wire/malformed", `a message cannot be read: ${what}`, {
    next: "check that both sides run versions of Muster that speak with each other",
  });
}

function unwritable(what: string): MusterError {
  return new MusterError("wire/malformed", `a message cannot be written: ${what}`, { next: "report this as a bug" });
}
