import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type JsonValue, MusterError, limits } from "../kernel/index.ts";
import { ByteWriter } from "./bytes.ts";
import {
  FrameDecoder,
  type FrameHandler,
  encodeMessage,
  frameJsonBytesMax,
  writeAnswer,
  writeCall,
  writeCancel,
  writeClose,
  writeFail,
  writeHello,
  writeMessage,
  writeMessageParts,
} from "./frame.ts";

type Seen = readonly unknown[];

class Recorder implements FrameHandler {
  readonly seen: Seen[] = [];
  /** Bodies of answers, looked at only in the end: they must outlive their chunk. */
  readonly answers: { readonly index: number; readonly body: Uint8Array }[] = [];
  readonly #note = (...what: unknown[]): void => {
    this.seen.push(what);
  };

  hello(hello: unknown): void {
    this.#note("hello", hello);
  }
  call(id: number, timeoutMs: number, method: number, body: Buffer): void {
    this.#note("call", id, timeoutMs, method, body.toString("hex"));
  }
  answer(id: number, body: Buffer): void {
    this.answers.push({ index: this.seen.length, body });
    this.#note("answer", id, "");
  }
  fail(id: number, error: unknown): void {
    this.#note("fail", id, error);
  }
  cancel(id: number): void {
    this.#note("cancel", id);
  }
  message(kind: number, body: Buffer): void {
    this.#note("message", kind, body.toString("hex"));
  }
  close(reason: unknown): void {
    this.#note("close", reason);
  }

  frames(): Seen[] {
    const frames = [...this.seen];
    for (const { index, body } of this.answers) frames[index] = [...(frames[index] ?? []).slice(0, 2), Buffer.from(body).toString("hex")];
    return frames;
  }
}

interface Sample {
  readonly seen: Seen;
  write(writer: ByteWriter): void;
}

const u32 = fc.nat(0xffff_ffff);
const u16 = fc.nat(0xffff);
const body = fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ maxLength: 1500, size: "max" }));
const json: fc.Arbitrary<JsonValue> = fc.oneof(
  fc.dictionary(fc.string({ maxLength: 6 }), fc.oneof(fc.string(), fc.integer(), fc.boolean()), { maxKeys: 4, noNullPrototype: true }),
  fc.constant(null),
);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const sample: fc.Arbitrary<Sample> = fc.oneof(
  json.map((value) => ({ seen: ["hello", value], write: (writer: ByteWriter) => writeHello(writer, value) })),
  fc.tuple(u32, u32, u16, body).map(([id, timeoutMs, method, bytes]) => ({
    seen: ["call", id, timeoutMs, method, hex(bytes)],
    write: (writer: ByteWriter) => writeCall(writer, id, timeoutMs, method, bytes),
  })),
  fc.tuple(u32, body).map(([id, bytes]) => ({
    seen: ["answer", id, hex(bytes)],
    write: (writer: ByteWriter) => writeAnswer(writer, id, bytes),
  })),
  fc.tuple(u32, json).map(([id, value]) => ({ seen: ["fail", id, value], write: (writer: ByteWriter) => writeFail(writer, id, value) })),
  u32.map((id) => ({ seen: ["cancel", id], write: (writer: ByteWriter) => writeCancel(writer, id) })),
  fc.tuple(u16, body).map(([kind, bytes]) => ({
    seen: ["message", kind, hex(bytes)],
    write: (writer: ByteWriter) => writeMessage(writer, kind, bytes),
  })),
  fc.tuple(u16, body).map(([kind, bytes]) => ({
    seen: ["message", kind, hex(bytes)],
    write: (writer: ByteWriter) => writer.bytes(encodeMessage(kind, bytes)),
  })),
  fc.tuple(u16, body, fc.oneof(body, fc.string({ unit: "grapheme", maxLength: 5000 }))).map(([kind, head, rest]) => ({
    seen: ["message", kind, hex(head) + hex(typeof rest === "string" ? Buffer.from(rest) : rest)],
    write: (writer: ByteWriter) => writeMessageParts(writer, kind, head, rest),
  })),
  json.map((value) => ({ seen: ["close", value], write: (writer: ByteWriter) => writeClose(writer, value) })),
);

/** Pushes the bytes cut at the given places; each chunk is overwritten after its call, as a transport may do. */
function pushCut(decoder: FrameDecoder, bytes: Uint8Array, cuts: readonly number[]): void {
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  for (let index = 1; index < edges.length; index++) {
    const chunk = Uint8Array.from(bytes.subarray(edges[index - 1], edges[index]));
    decoder.push(chunk);
    chunk.fill(0xdd);
  }
}

test("any cutting of the stream gives the same frames", () => {
  fc.assert(
    fc.property(
      fc.array(sample, { maxLength: 15, size: "max" }),
      fc.array(fc.nat(20_000), { maxLength: 30, size: "max" }),
      (samples, cuts) => {
        const writer = new ByteWriter();
        for (const { write } of samples) write(writer);
        const recorder = new Recorder();
        pushCut(new FrameDecoder(recorder), writer.take(), cuts);
        assert.deepEqual(
          recorder.frames(),
          samples.map(({ seen }) => seen),
        );
      },
    ),
    { numRuns: 400 },
  );
});

test("a stream that comes byte by byte gives the same frames", () => {
  const writer = new ByteWriter();
  writeHello(writer, { hello: "there" });
  writeMessage(writer, 3, Buffer.alloc(40_000, "m"));
  writeAnswer(writer, 7, Buffer.from("answer"));
  const recorder = new Recorder();
  const decoder = new FrameDecoder(recorder);
  for (const byte of writer.take()) decoder.push(Uint8Array.of(byte));
  assert.deepEqual(recorder.frames(), [
    ["hello", { hello: "there" }],
    ["message", 3, "6d".repeat(40_000)],
    ["answer", 7, hex(Buffer.from("answer"))],
  ]);
});

const isFrameError = (error: unknown): boolean =>
  error instanceof MusterError &&
  (error.code === "wire/frame-too-large" || error.code === "wire/malformed-frame") &&
  error.next !== undefined;

test("random bytes, and frames with one byte changed, throw nothing but errors of this folder", () => {
  const noise = fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 });
  const shortFrames = fc
    .array(fc.tuple(fc.nat(9), fc.uint8Array({ maxLength: 12 })), { maxLength: 6 })
    .map((frames) => frames.map(([kind, rest]) => Uint8Array.of(rest.length + 1, 0, 0, 0, kind, ...rest)));
  const changed = fc
    .tuple(fc.array(sample, { minLength: 1, maxLength: 5 }), fc.nat(5000), fc.integer({ min: 1, max: 255 }))
    .map(([samples, at, change]) => {
      const writer = new ByteWriter();
      for (const { write } of samples) write(writer);
      const bytes = writer.take();
      const place = at % bytes.length;
      bytes[place] = (bytes[place] ?? 0) ^ change;
      return [bytes];
    });
  fc.assert(
    fc.property(fc.oneof(noise, shortFrames, changed), (chunks) => {
      const decoder = new FrameDecoder(new Recorder());
      try {
        for (const chunk of chunks) decoder.push(chunk);
      } catch (error) {
        assert.ok(isFrameError(error), String(error));
      }
    }),
    { numRuns: 3000 },
  );
});

const lengthOnly = (length: number): Uint8Array => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(length);
  return bytes;
};

test("a frame above the limit is refused when it is announced, before its bytes come", () => {
  const decode = (bytes: Uint8Array) => new FrameDecoder(new Recorder()).push(bytes);
  assert.throws(() => decode(lengthOnly(limits.frameBytesMax + 1)), { code: "wire/frame-too-large" });
  assert.throws(() => decode(lengthOnly(0xffff_ffff)), { code: "wire/frame-too-large" });
  decode(lengthOnly(limits.frameBytesMax));
});

test("a stricter limit holds where it was asked for, whichever chunk the length comes in", () => {
  for (const cut of [1, 4, 10]) {
    const decoder = new FrameDecoder(new Recorder());
    decoder.limitTo(100);
    const frame = encodeMessage(1, Buffer.alloc(200));
    assert.throws(() => [decoder.push(frame.subarray(0, cut)), decoder.push(frame.subarray(cut))], { code: "wire/frame-too-large" });
  }
});

test("empty frames, unknown kinds, short heads and broken JSON are malformed", () => {
  const frame = (...bytes: number[]) => Uint8Array.of(bytes.length, 0, 0, 0, ...bytes);
  for (const bytes of [
    frame(),
    frame(0),
    frame(99),
    frame(2, 1, 2),
    frame(3, 1),
    frame(5, 1, 2, 3, 4, 5),
    frame(6, 1),
    frame(1, 0x7b),
    frame(7, 0xff),
  ])
    assert.throws(() => new FrameDecoder(new Recorder()).push(bytes), { code: "wire/malformed-frame" }, String(bytes));
});

test("what is too large to be read is not written", () => {
  const writer = new ByteWriter();
  const large = Buffer.alloc(limits.frameBytesMax);
  assert.throws(() => writeCall(writer, 1, 0, 1, large), { code: "wire/frame-too-large" });
  assert.throws(() => writeAnswer(writer, 1, large), { code: "wire/frame-too-large" });
  assert.throws(() => writeMessage(writer, 1, large), { code: "wire/frame-too-large" });
  assert.throws(() => writeMessageParts(writer, 1, Buffer.alloc(1), large), { code: "wire/frame-too-large" });
  // Small enough in characters, too large in bytes: known only when it has been written.
  assert.throws(() => writeMessageParts(writer, 1, Buffer.alloc(1), "ü".repeat(limits.frameBytesMax / 2)), {
    code: "wire/frame-too-large",
  });
  assert.throws(() => encodeMessage(1, large), { code: "wire/frame-too-large" });
  assert.throws(() => writeHello(writer, "x".repeat(frameJsonBytesMax)), { code: "wire/frame-too-large" });
  assert.equal(writer.length, 0);
});

test("a decoder that was stopped delivers nothing more, also of the chunk at hand", () => {
  const recorder = new Recorder();
  const decoder = new FrameDecoder(recorder);
  recorder.cancel = (id) => {
    recorder.seen.push(["cancel", id]);
    decoder.stop();
  };
  const writer = new ByteWriter();
  for (const id of [1, 2]) writeCancel(writer, id);
  const bytes = writer.take();
  decoder.push(bytes);
  decoder.push(bytes);
  assert.deepEqual(recorder.seen, [["cancel", 1]]);
});
