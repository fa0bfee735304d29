import { Buffer } from "node:buffer";
import type { MusterError } from "../kernel/index.ts";
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
import type { CancelWhere, EncodedBody, RefusalReason } from "./messages.ts";
import type { RequestEffect } from "./options.ts";

const u16Max = 0xffff;
/** Larger bodies get memory of their own for the time of the call. */
const scratchBytes = 64 * 1024;

/** Writes messages into memory that is used again by the next one: what it returns is valid until then. */
export class MessageWriter {
  readonly #scratch = Buffer.allocUnsafeSlow(scratchBytes);
  // Views of their own, because a view costs as much as all that is written into it.
  readonly #requestHead = Buffer.allocUnsafeSlow(requestHeadBytes);
  readonly #answerHead = Buffer.allocUnsafeSlow(answerHeadBytes);
  readonly #fullAnswerHead = Buffer.allocUnsafeSlow(fullAnswerHeadBytes);

  /**
   * What stands before the body of a request. `tell`: the server is to say when a handler has begun that does not answer at once.
   * `trace`: of printable ASCII.
   */
  requestHead(
    id: number,
    attempt: number,
    effect: RequestEffect,
    target: number,
    leftMs: number,
    body: EncodedBody,
    tell: boolean = false,
    trace?: string,
  ): Buffer {
    const bytes = trace === undefined ? this.#requestHead : Buffer.allocUnsafe(requestHeadBytes + traceHeadBytes + trace.length);
    putU32(bytes, 0, id);
    bytes[4] = attempt;
    bytes[5] = (typeof body === "string" ? formJson : formBytes) | (effects.indexOf(effect) << 2) | (tell ? tellFlag : 0);
    if (trace !== undefined) bytes[5] |= traceFlag;
    bytes[6] = target;
    bytes[7] = target >>> 8;
    putU32(bytes, 8, leftMs);
    if (trace !== undefined) putTrace(bytes, trace);
    return bytes;
  }

  /** A whole request; as `requestHead`. */
  request(...request: Parameters<MessageWriter["requestHead"]>): Buffer {
    const [, , , , , body] = request;
    return this.#joined(this.requestHead(...request), body);
  }

  /** `where`: "elsewhere" also ends what another link has brought or will bring; "waiting" only what has not begun. */
  cancel(id: number, attempt: number, where: CancelWhere, leftMs: number, reason: string): Buffer {
    const text = reason.slice(0, reasonCharactersMax);
    const bytes = this.#room(cancelHeadBytes, text);
    putU32(bytes, 0, id);
    bytes[4] = attempt;
    bytes[5] = where === "elsewhere" ? elsewhereFlag : where === "waiting" ? waitingFlag : 0;
    putU32(bytes, 6, leftMs);
    return bytes.subarray(0, putBody(bytes, cancelHeadBytes, text));
  }

  /** What stands before the body of an answer. `underWay`: how many requests are; undefined for callers of a version that is not told. */
  answerHead(id: number, attempt: number, body: EncodedBody, underWay: number | undefined): Buffer {
    const bytes = underWay === undefined ? this.#answerHead : this.#fullAnswerHead;
    putU32(bytes, 0, id);
    bytes[4] = attempt;
    bytes[5] = typeof body === "string" ? formJson : formBytes;
    if (underWay !== undefined) {
      const told = Math.min(underWay, u16Max);
      bytes[6] = told;
      bytes[7] = told >>> 8;
    }
    return bytes;
  }

  started(id: number, attempt: number): Buffer {
    const bytes = this.#scratch;
    putU32(bytes, 0, id);
    bytes[4] = attempt;
    return bytes.subarray(0, errorHeadBytes);
  }

  error(id: number, attempt: number, error: MusterError): Buffer {
    const text = JSON.stringify(cut(error.toJSON()));
    const bytes = this.#room(errorHeadBytes, text);
    putU32(bytes, 0, id);
    bytes[4] = attempt;
    return bytes.subarray(0, putBody(bytes, errorHeadBytes, text));
  }

  refusal(id: number, attempt: number, reason: RefusalReason, why: string): Buffer {
    const text = why.slice(0, reasonCharactersMax);
    const bytes = this.#room(refusalHeadBytes, text);
    putU32(bytes, 0, id);
    bytes[4] = attempt;
    bytes[5] = refusalReasons.indexOf(reason);
    return bytes.subarray(0, putBody(bytes, refusalHeadBytes, text));
  }

  #joined(head: Buffer, body: EncodedBody): Buffer {
    const bytes = this.#room(head.length, body);
    bytes.set(head);
    return bytes.subarray(0, putBody(bytes, head.length, body));
  }

  #room(headBytes: number, body: EncodedBody): Buffer {
    // A character is at most three bytes of UTF-8.
    const bytes = headBytes + (typeof body === "string" ? body.length * 3 : body.length);
    return bytes <= scratchBytes ? this.#scratch : Buffer.allocUnsafe(bytes);
  }
}

function cut(error: ReturnType<MusterError["toJSON"]>): ReturnType<MusterError["toJSON"]> {
  const charactersMax = 4096;
  const { message: text, next, ...rest } = error;
  const short = { ...rest, message: text.slice(0, charactersMax) };
  return next === undefined ? short : { ...short, next: next.slice(0, charactersMax) };
}

/** Returns where the body ends. */
function putBody(bytes: Buffer, at: number, body: EncodedBody): number {
  if (typeof body === "string") return at + bytes.write(body, at, "utf8");
  bytes.set(body, at);
  return at + body.length;
}

function putTrace(bytes: Buffer, trace: string): void {
  bytes[requestHeadBytes] = trace.length;
  bytes[requestHeadBytes + 1] = trace.length >>> 8;
  bytes.write(trace, requestHeadBytes + traceHeadBytes, "latin1");
}

function putU32(bytes: Buffer, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}
