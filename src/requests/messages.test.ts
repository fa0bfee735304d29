import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MusterError } from "../kernel/index.ts";
import { MessageWriter } from "./message-writer.ts";
import {
  RequestReader,
  attemptOf,
  encodeBody,
  encodeTarget,
  idOf,
  parseAnswer,
  parseCancel,
  parseError,
  parseRefusal,
  parseTarget,
  underWayOf,
} from "./messages.ts";
import { BodySlab } from "./body-slab.ts";
import { parseCallerHello } from "./caller-hello.ts";
import type { RequestBody, RequestEffect } from "./options.ts";

const writer = new MessageWriter();
const slab = new BodySlab();
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u8 = fc.integer({ min: 0, max: 255 });
const body: fc.Arbitrary<RequestBody> = fc.oneof(
  fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value))),
  fc.uint8Array({ maxLength: 300 }),
);

describe("messages between callers and servers", () => {
  test("a request is read as it was written", () => {
    const reader = new RequestReader();
    const effects: readonly RequestEffect[] = ["read", "repeatable", "write"];
    fc.assert(
      fc.property(
        u32,
        u8,
        fc.constantFrom(...effects),
        fc.integer({ min: 0, max: 0xffff }),
        u32,
        body,
        fc.option(fc.string({ minLength: 55, maxLength: 567 }), { nil: undefined }),
        (id, attempt, effect, target, leftMs, sent, trace) => {
          const encoded = encodeBody(sent, "none");
          const bytes = writer.request(id, attempt, effect, target, leftMs, encoded, false, trace);
          reader.read(bytes);
          assert.deepEqual([reader.id, reader.attempt, reader.effect, reader.target, reader.leftMs], [id, attempt, effect, target, leftMs]);
          assert.equal(reader.trace, trace);
          assert.equal(reader.bodyBytes, Buffer.byteLength(encoded));
          assert.deepEqual(reader.body(), sent);
        },
      ),
    );
  });

  test("without a trace a request is as it was before there were any; a trace longer than its message is refused, one too long ignored", () => {
    const plain = writer.request(1, 2, "read", 3, 4, "null").toString("hex");
    assert.equal(plain, "010000000200030004000000" + Buffer.from("null").toString("hex"));
    const reader = new RequestReader();
    const cut = Buffer.from(writer.request(1, 2, "read", 3, 4, new Uint8Array(0), false, "t".repeat(55))).subarray(0, 40);
    assert.throws(() => reader.read(cut), { code: "requests/malformed" });
    reader.read(writer.request(1, 2, "read", 3, 4, "7", false, "t".repeat(568)));
    assert.deepEqual([reader.trace, reader.body()], [undefined, 7]);
  });

  test("an answer is read as it was written, and bytes are a copy of what was lent", () => {
    fc.assert(
      fc.property(u32, u8, body, (id, attempt, sent) => {
        for (const [version, underWay] of [[2], [3, 70_000], [3, 258]] as const) {
          const encoded = encodeBody(sent, "none");
          const lent = Buffer.concat([writer.answerHead(id, attempt, encoded, underWay), Buffer.from(encoded)]);
          assert.deepEqual([idOf(lent), attemptOf(lent)], [id, attempt]);
          assert.equal(underWayOf(lent, version), Math.min(underWay ?? 0, 65_535));
          const answer = parseAnswer(lent, version, slab);
          lent.fill(0xdb);
          assert.deepEqual(answer, sent);
        }
      }),
    );
  });

  const where = fc.constantFrom("here" as const, "elsewhere" as const, "waiting" as const);

  test("cancels, refusals, errors and targets are read as they were written", () => {
    fc.assert(
      fc.property(u32, u8, where, u32, fc.string({ maxLength: 100 }), (id, attempt, wanted, leftMs, reason) => {
        assert.deepEqual(parseCancel(writer.cancel(id, attempt, wanted, leftMs, reason)), {
          id,
          attempt,
          where: wanted,
          leftMs,
          reason: Buffer.from(reason).toString(),
        });
        assert.equal(parseRefusal(writer.refusal(id, attempt, "overloaded", "full")).reason, "overloaded");
      }),
    );
    const error = parseError(writer.error(1, 2, new MusterError("files/gone", "it is gone", { effect: "done", next: "look" })));
    assert.deepEqual(error.toJSON(), { code: "files/gone", message: "it is gone", effect: "done", next: "look" });
    const target = { number: 4095, table: "metadata", instance: "MDS.1.1", type: "stat", sequence: 12 };
    assert.deepEqual(parseTarget(encodeTarget(target)), target);
    const started = writer.started(77, 3);
    assert.deepEqual([idOf(started), attemptOf(started)], [77, 3]);
  });

  test("a target with a number or a name beyond the limits is refused", () => {
    const target = { number: 1, table: "metadata", instance: "MDS.1.1", type: "stat", sequence: 12 };
    for (const wrong of [
      { number: 4096 },
      { number: -1 },
      { table: "t".repeat(65) },
      { instance: "i".repeat(513) },
      { type: "y".repeat(129) },
      { type: "ü".repeat(65) },
      { sequence: -1 },
      { sequence: 0.5 },
    ])
      assert.throws(
        () => parseTarget(encodeTarget({ ...target, ...wrong })),
        (error) => error instanceof MusterError && error.code === "requests/malformed",
        JSON.stringify(wrong).slice(0, 60),
      );
  });

  test("bodies are JSON or bytes of at most 4 MiB less 1 KiB", () => {
    const codeOf = (value: unknown): string => {
      try {
        encodeBody(value as RequestBody, "none");
        return "";
      } catch (thrown) {
        return thrown instanceof MusterError ? thrown.code : "another error";
      }
    };
    const circular: { self?: unknown } = {};
    circular.self = circular;
    assert.equal(codeOf(circular), "requests/bad-body");
    assert.equal(
      codeOf(() => null),
      "requests/bad-body",
    );
    assert.equal(codeOf(1n), "requests/bad-body");
    assert.equal(codeOf(undefined), "");
    assert.equal(codeOf(new Uint8Array(4 * 1024 * 1024 - 1024)), "");
    assert.equal(codeOf(new Uint8Array(4 * 1024 * 1024)), "requests/body-too-large");
    assert.equal(codeOf("x".repeat(4 * 1024 * 1024)), "requests/body-too-large");
    assert.equal(codeOf("ü".repeat(2_200_000)), "requests/body-too-large");
  });

  test("bytes that mean nothing are refused with an error of ours, never otherwise", () => {
    const reader = new RequestReader();
    const readers = [
      parseTarget,
      parseCancel,
      (bytes: Uint8Array) => parseAnswer(bytes, 2, slab),
      (bytes: Uint8Array) => parseAnswer(bytes, 3, slab),
      parseError,
      parseRefusal,
      idOf,
      (bytes: Uint8Array) => {
        reader.read(bytes);
        return reader.body();
      },
    ];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        for (const read of readers)
          try {
            read(bytes);
          } catch (thrown) {
            assert.ok(thrown instanceof MusterError && thrown.code === "requests/malformed", String(thrown));
          }
      }),
    );
  });

  test("a caller says its name and a token; anything else is no caller", () => {
    const hello = { role: "caller", name: "web", token: "0123456789abcdef" };
    assert.deepEqual(parseCallerHello(hello), hello);
    for (const wrong of [null, 1, {}, { ...hello, role: "agent" }, { ...hello, token: "x" }, { ...hello, name: "n".repeat(301) }])
      assert.equal(parseCallerHello(wrong), undefined);
  });
});
