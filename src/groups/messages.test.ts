import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MusterError } from "../kernel/index.ts";
import { ByteWriter } from "../wire/index.ts";
import { type EntryBody, makeEntry } from "./entry.ts";
import { type GroupMessage, type GroupWord, decodeGroupMessage, encodeGroupMessage } from "./messages.ts";

const natural = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const position = fc.record({ epoch: fc.integer({ min: 0, max: 1000 }), index: fc.integer({ min: 0, max: 2 ** 40 }) });
const bytes = fc.uint8Array({ maxLength: 40 }).map((one) => Buffer.from(one));
const outcome = fc.oneof(
  fc.record({ kind: fc.constantFrom("answer" as const, "failed" as const), bytes }),
  fc.constant({ kind: "abandoned" as const }),
);
const replica = fc.uint8Array({ minLength: 8, maxLength: 8 }).map((one) => Buffer.from(one).toString("hex"));
const signed = fc.record({ at: position, by: fc.oneof(fc.constant(""), replica) });
const body: fc.Arbitrary<EntryBody> = fc.oneof(
  fc.constant({ kind: "opened" as const }),
  fc.record({ kind: fc.constant("opened" as const), by: replica }),
  fc.record({ kind: fc.constant("opened" as const), parting: fc.record({ by: replica, isAccepted: fc.boolean() }) }),
  fc.record({ kind: fc.constant("lease-ended" as const), lease: fc.string({ maxLength: 20 }) }),
  fc.record({
    kind: fc.constant("request" as const),
    id: fc.record({ lease: fc.string({ maxLength: 20 }), sequence: natural }),
    low: natural,
    leaseRevision: fc.string({ maxLength: 20 }),
    digest: fc.constantFrom(Buffer.alloc(0), Buffer.alloc(16, 7)),
    outcome,
    delta: bytes,
  }),
);
const rows = fc.array(fc.record({ table: fc.integer({ min: 1, max: 4 }), key: fc.string({ unit: "grapheme", maxLength: 20 }), bytes }), {
  maxLength: 5,
});
const bodies = fc.array(body, { maxLength: 5 });
const entriesAfter = (previous: { epoch: number; index: number }, all: EntryBody[]) =>
  all.map((one, at) => makeEntry(previous.epoch + at, previous.index + 1 + at, one));
const word: fc.Arbitrary<GroupWord> = fc.oneof(
  fc.record({ kind: fc.constantFrom("promise" as const, "troubled" as const) }),
  fc.record({ kind: fc.constant("promised" as const), last: signed, committed: signed, base: position }),
  fc
    .tuple(position, natural, bodies)
    .map(([previous, commit, all]) => ({ kind: "append" as const, previous, commit, entries: entriesAfter(previous, all) })),
  fc.tuple(position, bodies).map(([previous, all]) => ({ kind: "entries" as const, previous, entries: entriesAfter(previous, all) })),
  fc.record({ kind: fc.constant("appended" as const), end: natural }),
  fc.record({ kind: fc.constant("behind" as const), previous: natural, hint: natural }),
  fc.record({ kind: fc.constant("fetch" as const), after: signed }),
  fc.record({
    kind: fc.constant("join" as const),
    attempt: natural,
    committed: signed,
    last: signed,
    partings: fc.array(fc.record({ epoch: natural, by: replica }), { maxLength: 32 }),
  }),
  fc.record({
    kind: fc.constant("denied" as const),
    attempt: natural,
    reason: fc.constantFrom("parted" as const, "too-large" as const),
    at: position,
  }),
  fc.record({
    kind: fc.constant("part" as const),
    attempt: natural,
    feed: natural,
    number: natural,
    isLast: fc.boolean(),
    at: position,
    rows,
  }),
  fc.record({ kind: fc.constant("got" as const), feed: natural, number: natural }),
  fc.record({ kind: fc.constantFrom("confirm" as const, "confirmed" as const), round: natural }),
  fc.record({ kind: fc.constant("refused" as const), promised: natural }),
);
const message: fc.Arbitrary<GroupMessage> = fc.record({ epoch: natural, fromReplica: replica, toReplica: replica, word });

/** Refuses with one of the codes that say so, or takes it. */
function readsOrRefuses(input: Uint8Array): boolean {
  try {
    decodeGroupMessage(input);
    return true;
  } catch (error) {
    assert.ok(error instanceof MusterError && /^(groups\/malformed|wire\/(truncated|malformed))$/.test(error.code), String(error));
    return false;
  }
}

describe("messages of an ordering group", () => {
  test("what is written is read", () => {
    const encode = (one: GroupMessage): Buffer => Buffer.from(encodeGroupMessage(new ByteWriter(), one));
    fc.assert(
      fc.property(message, (one) => {
        const read = decodeGroupMessage(encode(one));
        assert.deepEqual(
          [read.epoch, read.fromReplica, read.toReplica, read.word.kind],
          [one.epoch, one.fromReplica, one.toReplica, one.word.kind],
        );
        assert.deepEqual(encode(read), encode(one));
      }),
    );
  });

  test("any bytes are a message or are refused by name", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (input) => void readsOrRefuses(input)));
  });

  test("a message that is cut short or has a byte changed is refused by name or is another message", () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.integer({ min: 1, max: 255 }), (one, at, change) => {
        const encoded = Buffer.from(encodeGroupMessage(new ByteWriter(), one));
        assert.equal(readsOrRefuses(encoded.subarray(0, at % encoded.length)), false);
        encoded[at % encoded.length] = (encoded[at % encoded.length] ?? 0) ^ change;
        readsOrRefuses(encoded);
      }),
    );
  });

  test("entries whose epochs fall are refused", () => {
    const entries = [makeEntry(3, 8, { kind: "opened" }), makeEntry(2, 9, { kind: "opened" })];
    const falls = { kind: "append" as const, previous: { epoch: 1, index: 7 }, commit: 0, entries };
    const encoded = encodeGroupMessage(new ByteWriter(), { epoch: 4, fromReplica: "0".repeat(16), toReplica: "0".repeat(16), word: falls });
    assert.throws(() => decodeGroupMessage(encoded), { code: "groups/malformed" });
  });
});
