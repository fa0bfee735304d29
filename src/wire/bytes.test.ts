import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MusterError } from "../kernel/index.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";

type Item =
  | { readonly kind: "u8" | "u16" | "u32" | "varint"; readonly value: number }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "bytes"; readonly value: Uint8Array };

const text = fc.oneof(
  fc.string({ maxLength: 60, size: "max" }),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ minLength: 100, maxLength: 400 }),
);
const item: fc.Arbitrary<Item> = fc.oneof(
  fc.record({ kind: fc.constant("u8" as const), value: fc.nat(0xff) }),
  fc.record({ kind: fc.constant("u16" as const), value: fc.nat(0xffff) }),
  fc.record({ kind: fc.constant("u32" as const), value: fc.nat(0xffff_ffff) }),
  fc.record({ kind: fc.constant("varint" as const), value: fc.maxSafeNat() }),
  fc.record({ kind: fc.constant("varint" as const), value: fc.nat(300) }),
  fc.record({ kind: fc.constant("string" as const), value: text }),
  fc.record({ kind: fc.constant("bytes" as const), value: fc.uint8Array({ maxLength: 200 }) }),
);

function write(writer: ByteWriter, { kind, value }: Item): void {
  if (kind === "string") writer.string(value);
  else if (kind === "bytes") writer.bytes(value);
  else writer[kind](value);
}

function assertReads(reader: ByteReader, { kind, value }: Item): void {
  if (kind === "string") assert.equal(reader.string(), value);
  else if (kind === "bytes") assert.deepEqual([...reader.bytes(value.length)], [...value]);
  else assert.equal(reader[kind](), value);
}

const isMusterError = (error: unknown): boolean =>
  error instanceof MusterError && (error.code === "wire/truncated" || error.code === "wire/malformed") && error.next !== undefined;

test("whatever is written is read back, across messages and slabs of any size", () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(item, { maxLength: 12, size: "max" }), { maxLength: 12, size: "max" }),
      fc.integer({ min: 1, max: 600 }),
      (messages, slabBytes) => {
        const writer = new ByteWriter(slabBytes);
        const taken = messages.map((items) => {
          for (const one of items) write(writer, one);
          const { length } = writer;
          const bytes = writer.take();
          assert.equal(bytes.length, length);
          return bytes;
        });
        messages.forEach((items, index) => {
          const reader = new ByteReader(taken[index] ?? new Uint8Array());
          for (const one of items) assertReads(reader, one);
          reader.end();
        });
      },
    ),
    { numRuns: 300 },
  );
});

test("a message cut anywhere is refused as truncated and never read as another", () => {
  const writer = new ByteWriter();
  writer.u32(7);
  writer.varint(70_000);
  writer.string("gateway");
  const whole = writer.take();
  for (let length = 0; length < whole.length; length++) {
    const reader = new ByteReader(whole.subarray(0, length));
    assert.throws(() => [reader.u32(), reader.varint(), reader.string()], { code: "wire/truncated" });
  }
});

test("random bytes throw nothing but errors of this folder", () => {
  const read = fc.constantFrom("u8" as const, "u16" as const, "u32" as const, "varint" as const, "string" as const);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.array(read, { maxLength: 20 }), (bytes, reads) => {
      const reader = new ByteReader(bytes);
      try {
        for (const kind of reads) reader[kind]();
      } catch (error) {
        assert.ok(isMusterError(error), String(error));
      }
      assert.ok(reader.remaining >= 0 && reader.position <= bytes.length);
    }),
    { numRuns: 2000 },
  );
});

test("a number has one form only: longer ones, endless ones and those beyond 2^53 are refused", () => {
  for (const bytes of [
    [0x80, 0x00],
    [0xff, 0x80, 0x00],
    Array.from({ length: 9 }, () => 0xff),
    [...Array.from({ length: 7 }, () => 0xff), 0x7f],
  ])
    assert.throws(() => new ByteReader(Uint8Array.from(bytes)).varint(), { code: "wire/malformed" }, String(bytes));
});

test("the largest safe integer takes eight bytes", () => {
  const writer = new ByteWriter();
  writer.varint(Number.MAX_SAFE_INTEGER);
  const bytes = writer.take();
  assert.equal(bytes.length, 8);
  assert.equal(new ByteReader(bytes).varint(), Number.MAX_SAFE_INTEGER);
});

test("what is no non-negative safe integer cannot be written as a varint", () => {
  const writer = new ByteWriter();
  for (const value of [-1, 1.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(() => writer.varint(value), { code: "wire/malformed" });
  assert.equal(writer.length, 0);
});

test("text that is not UTF-8 is refused, short or long", () => {
  for (const length of [1, 5, 60]) {
    const bytes = Buffer.alloc(length + 1, "a");
    bytes[0] = length;
    bytes[length] = 0xff;
    assert.throws(() => new ByteReader(bytes).string(), { code: "wire/malformed" });
  }
  const writer = new ByteWriter();
  writer.string("the replacement sign \ufffd itself is text");
  assert.equal(new ByteReader(writer.take()).string(), "the replacement sign \ufffd itself is text");
});

test("a taken buffer is never touched again by its writer", () => {
  const writer = new ByteWriter(64);
  writer.string("first");
  const first = writer.take();
  const before = first.toString("hex");
  for (let index = 0; index < 100; index++) {
    writer.string(`message ${index}`);
    writer.take();
  }
  assert.equal(first.toString("hex"), before);
});

test("a length can be patched in later, and a half-written message forgotten", () => {
  const writer = new ByteWriter(32);
  writer.u8(1);
  writer.take();
  writer.u32(0);
  writer.string("x".repeat(100));
  writer.patchU32(0, writer.length - 4);
  const reader = new ByteReader(writer.take());
  assert.equal(reader.u32(), reader.remaining);
  writer.string("half");
  writer.clear();
  writer.u8(9);
  assert.deepEqual([...writer.take()], [9]);
  assert.throws(() => writer.patchU32(0, 1), RangeError);
  writer.u8(1);
  writer.string("half");
  writer.backTo(1);
  assert.throws(() => writer.backTo(2), RangeError);
  assert.deepEqual([...writer.take()], [1]);
});

test("a text without a length is its UTF-8, however long it is", () => {
  const writer = new ByteWriter(32);
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 40 }), fc.constantFrom(1, 30, 400), (part, times) => {
      const text = part.repeat(times);
      writer.u8(7);
      writer.text(text);
      assert.deepEqual(writer.take(), Buffer.concat([Uint8Array.of(7), Buffer.from(text)]));
    }),
  );
});

test("bytes left over are refused by a decoder that asks for the end", () => {
  assert.throws(() => new ByteReader(Uint8Array.of(1, 2)).end(), { code: "wire/malformed" });
});
