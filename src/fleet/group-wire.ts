import { parseMusterError } from "../kernel/index.ts";
import type { Outcome, Position, RequestId, Settled, SlotClaim } from "../groups/index.ts";
import { type RequestBody, ownTypePrefix } from "../requests/index.ts";
import { ByteReader, ByteWriter } from "../wire/index.ts";
import { badBody, malformed, tooLarge } from "./group-errors.ts";

/**
 * What programs say to the members of an ordering group, as bodies of requests. Types that begin with "muster." are our own, and
 * declared by nobody.
 *
 * | type             | body                                             | answer                                              |
 * |------------------|--------------------------------------------------|-----------------------------------------------------|
 * | `muster.group`   | sender's key, message of the group                | null, at once                                       |
 * | `muster.ordered` | id, low, type, body: a copy of a write             | how it ended at this member                         |
 * | `muster.ask`     | id, low                                           | the same; if nobody has begun it, it never runs      |
 * | `muster.slot`    | what is wanted of a slot that is on its way        | a part of it, or null                                |
 * | a type of reads  | mark, freshness, position that was seen, body      | mark, position, answer, or that another one must be asked; without the mark: as it is |
 */
export const groupTypes = Object.freeze({ message: "muster.group", ordered: "muster.ordered", ask: "muster.ask", slot: "muster.slot" });

/** Types of requests that begin so are not for programs. */
export const reservedPrefix = ownTypePrefix;

/** Of a request to a group, and of its answer: a frame holds 4 MiB, and so much stands around a body. */
export const groupBodyBytesMax = 4 * 1024 * 1024 - 16 * 1024;

export type Consistency = "session" | "latest";

const formJson = 0;
const formBytes = 1;

/** Throws `fleet/bad-value` and `fleet/too-large`. */
export function encodeBody(body: RequestBody | undefined): Uint8Array {
  const isBytes = body instanceof Uint8Array;
  const content = isBytes ? body : Buffer.from(jsonOf(body ?? null), "utf8");
  if (content.length > groupBodyBytesMax) throw tooLarge(content.length, groupBodyBytesMax);
  const bytes = new Uint8Array(content.length + 1);
  bytes[0] = isBytes ? formBytes : formJson;
  bytes.set(content, 1);
  return bytes;
}

function jsonOf(body: RequestBody): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(body);
  } catch (cause) {
    throw badBody(cause);
  }
  if (text === undefined) throw badBody();
  return text;
}

export function decodeBody(bytes: Uint8Array): RequestBody {
  const content = bytes.subarray(1);
  switch (bytes[0]) {
    case formBytes:
      return new Uint8Array(content);
    case formJson:
      try {
        return JSON.parse(Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString("utf8"));
      } catch {
        throw malformed("a body is not JSON");
      }
    default:
      throw malformed("a body has no form");
  }
}

/** A body of one of our own types. */
export function readerOf(body: RequestBody): ByteReader {
  if (body instanceof Uint8Array) return new ByteReader(body);
  throw malformed("it is not bytes");
}

export function encodeGroupMessage(from: string, message: Uint8Array): Uint8Array {
  const writer = new ByteWriter(message.length + from.length * 3 + 8);
  writer.string(from);
  writer.bytes(message);
  return writer.take();
}

export function decodeGroupMessage(body: RequestBody): { readonly from: string; readonly message: Uint8Array } {
  const reader = readerOf(body);
  const from = reader.string();
  const message = reader.rest();
  // Parts of it are kept for long, and a small body would keep the memory that it shares with others.
  return { from, message: message.buffer.byteLength > 2 * message.length ? new Uint8Array(message) : message };
}

/** A copy of a write; without `type` and `body` a question after it. */
export interface OrderedCopy {
  readonly id: RequestId;
  readonly low: number;
  /** Where groups share the keys of a service. */
  readonly slot?: SlotClaim | undefined;
  readonly type: string;
  readonly body: Uint8Array;
}

export function encodeCopy({ id, low, slot, type, body }: OrderedCopy): Uint8Array {
  const writer = new ByteWriter(body.length + 256);
  writeId(writer, id, low, slot);
  writer.string(type);
  writer.bytes(body);
  return writer.take();
}

export function decodeCopy(body: RequestBody): OrderedCopy {
  const reader = readerOf(body);
  return { ...readId(reader), type: reader.string(), body: new Uint8Array(reader.rest()) };
}

export function encodeQuestion(id: RequestId, low: number, slot?: SlotClaim): Uint8Array {
  const writer = new ByteWriter(256);
  writeId(writer, id, low, slot);
  return writer.take();
}

export function decodeQuestion(body: RequestBody): Pick<OrderedCopy, "id" | "low" | "slot"> {
  const reader = readerOf(body);
  const question = readId(reader);
  reader.end();
  return question;
}

/** No request is numbered 0: in the place of `low` it says that a slot stands before it. */
const slotFollows = 0;

function writeId(writer: ByteWriter, { lease, sequence }: RequestId, low: number, slot: SlotClaim | undefined): void {
  writer.string(lease);
  writer.varint(sequence);
  if (slot !== undefined) {
    writer.varint(slotFollows);
    writeClaim(writer, slot);
  }
  writer.varint(low);
}

function readId(reader: ByteReader): Pick<OrderedCopy, "id" | "low" | "slot"> {
  const id = { lease: reader.string(), sequence: reader.varint() };
  const low = reader.varint();
  if (low !== slotFollows) return { id, low };
  return { id, slot: readClaim(reader), low: reader.varint() };
}

function writeClaim(writer: ByteWriter, { slot, revision }: SlotClaim): void {
  writer.varint(slot);
  writer.varint(revision);
}

function readClaim(reader: ByteReader): SlotClaim {
  return { slot: reader.varint(), revision: reader.varint() };
}

const settledKinds = ["elsewhere", "refused", "answer", "failed", "abandoned", "moved"] as const;

export function encodeSettled(settled: Settled): Uint8Array {
  const writer = new ByteWriter(256);
  const kind = settled.kind === "committed" ? settled.outcome.kind : settled.kind;
  writer.u8(settledKinds.indexOf(kind));
  if (settled.kind === "moved") writer.varint(settled.revision);
  if (settled.kind === "refused") writer.string(JSON.stringify(settled.error));
  if (settled.kind === "committed") {
    const { outcome, position } = settled;
    writePosition(writer, position);
    if (outcome.kind !== "abandoned") writer.bytes(outcome.bytes);
  }
  return writer.take();
}

export function decodeSettled(body: RequestBody): Settled {
  const reader = readerOf(body);
  const kind = settledKinds[reader.u8()];
  switch (kind) {
    case "elsewhere":
      return { kind };
    case "moved":
      return { kind, revision: reader.varint() };
    case "refused":
      return { kind, error: parseMusterError(parseJson(reader.string()), "groups/malformed") };
    case "answer":
    case "failed":
    case "abandoned": {
      const position = readPosition(reader);
      const outcome: Outcome = kind === "abandoned" ? { kind } : { kind, bytes: reader.rest() };
      return { kind: "committed", outcome, position };
    }
    default:
      throw malformed("an ending is of an unknown kind");
  }
}

/** The error in an outcome `failed`, which changed nothing. */
export function errorIn(bytes: Uint8Array): ReturnType<typeof parseMusterError> {
  return parseMusterError(parseJson(Buffer.from(bytes).toString("utf8")), "groups/handler-failed");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function writePosition(writer: ByteWriter, { epoch, index }: Position): void {
  writer.varint(epoch);
  writer.varint(index);
}

function readPosition(reader: ByteReader): Position {
  return { epoch: reader.varint(), index: reader.varint() };
}

// Reads keep the type that their program gave them, so that its declaration counts; a mark tells them from bodies of programs
// that know nothing of the group.

const mark = Buffer.from("6d7573746572067265616401f3a95c1e", "hex");
const freshness: readonly (Consistency | undefined)[] = [undefined, "session", "latest"];

export interface GroupRead {
  /** Undefined: as the server declares it. */
  readonly consistency: Consistency | undefined;
  /** The newest that this program has seen of the group. */
  readonly position: Position;
  /** Where groups share the keys of a service. */
  readonly slot?: SlotClaim;
  readonly body: RequestBody;
}

export function encodeRead(consistency: Consistency | undefined, position: Position, body: Uint8Array, slot?: SlotClaim): Uint8Array {
  const writer = new ByteWriter(body.length + 64);
  writer.bytes(mark);
  writer.u8(freshness.indexOf(consistency) + (slot === undefined ? 0 : freshness.length));
  if (slot !== undefined) writeClaim(writer, slot);
  writePosition(writer, position);
  writer.bytes(body);
  return writer.take();
}

/** Undefined: whoever asks takes this server for one without a group. */
export function decodeRead(body: RequestBody): GroupRead | undefined {
  const reader = markedReader(body);
  if (reader === undefined) return undefined;
  const said = reader.u8();
  const consistency = freshness[said % freshness.length];
  const slot = said < freshness.length ? undefined : readClaim(reader);
  const position = readPosition(reader);
  const read = { consistency, position, body: decodeBody(reader.rest()) };
  return slot === undefined ? read : { ...read, slot };
}

const readAnswered = 0;
const readElsewhere = 1;
const readMoved = 2;

/** `elsewhere`: only the synchronising host can say. `moved`: another group has it, as a map of this revision says. */
export type ReadAnswer =
  | { readonly kind: "answer"; readonly position: Position; readonly answer: RequestBody }
  | { readonly kind: "elsewhere" }
  | { readonly kind: "moved"; readonly revision: number };

export function encodeReadAnswer(position: Position, answer: RequestBody | undefined): Uint8Array {
  const content = encodeBody(answer);
  const writer = new ByteWriter(content.length + 64);
  writer.bytes(mark);
  writer.u8(readAnswered);
  writePosition(writer, position);
  writer.bytes(content);
  return writer.take();
}

export function encodeReadMoved(revision: number): Uint8Array {
  const writer = new ByteWriter(64);
  writer.bytes(mark);
  writer.u8(readMoved);
  writer.varint(revision);
  return writer.take();
}

export function encodeReadElsewhere(): Uint8Array {
  return Buffer.concat([mark, Uint8Array.of(readElsewhere)]);
}

/** Undefined: whoever answered keeps no group. */
export function decodeReadAnswer(answer: RequestBody): ReadAnswer | undefined {
  const reader = markedReader(answer);
  if (reader === undefined) return undefined;
  const kind = reader.u8();
  if (kind === readElsewhere) return { kind: "elsewhere" };
  if (kind === readMoved) return { kind: "moved", revision: reader.varint() };
  return { kind: "answer", position: readPosition(reader), answer: decodeBody(reader.rest()) };
}

function markedReader(body: RequestBody): ByteReader | undefined {
  if (!(body instanceof Uint8Array) || body.length < mark.length || !mark.equals(body.subarray(0, mark.length))) return undefined;
  return new ByteReader(body.subarray(mark.length));
}
