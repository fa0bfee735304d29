import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MusterError } from "../kernel/index.ts";
import type { RequestBody } from "../requests/index.ts";
import { parseRequestId, requestIdOf } from "./group-request-id.ts";
import {
  decodeBody,
  decodeCopy,
  decodeGroupMessage,
  decodeQuestion,
  decodeRead,
  decodeReadAnswer,
  decodeSettled,
  encodeBody,
  encodeCopy,
  encodeGroupMessage,
  encodeQuestion,
  encodeRead,
  encodeReadAnswer,
  encodeReadElsewhere,
  encodeSettled,
  groupBodyBytesMax,
} from "./group-wire.ts";

const id = { lease: `${"a".repeat(32)}@3.77`, sequence: 12 };
const position = { epoch: 4, index: 70_000 };
const bodies: readonly RequestBody[] = [null, 0, "", "text é", [1, { a: null }], { key: "a" }, Uint8Array.of(), Uint8Array.of(0, 255)];

describe("what goes to the members of a group", () => {
  test("bodies come back as they were, JSON as JSON and bytes as bytes", () => {
    for (const body of bodies) assert.deepEqual(decodeBody(encodeBody(body)), body);
    assert.equal(decodeBody(encodeBody(undefined)), null);
  });

  test("copies, questions, messages and endings come back as they were", () => {
    const copy = { id, low: 3, type: "add", body: encodeBody({ by: 1 }) };
    assert.deepEqual(decodeCopy(encodeCopy(copy)), copy);
    assert.deepEqual(decodeQuestion(encodeQuestion(id, 9)), { id, low: 9 });
    const { from, message } = decodeGroupMessage(encodeGroupMessage("MDS.1.2", Uint8Array.of(1, 2)));
    assert.deepEqual([from, [...message]], ["MDS.1.2", [1, 2]]);
    const bytes = Buffer.from(encodeBody("answer"));
    for (const settled of [
      { kind: "elsewhere" },
      { kind: "committed", outcome: { kind: "answer", bytes }, position },
      { kind: "committed", outcome: { kind: "failed", bytes }, position },
      { kind: "committed", outcome: { kind: "abandoned" }, position },
    ] as const)
      assert.deepEqual(decodeSettled(encodeSettled(settled)), settled);
    const error = new MusterError("groups/queue-full", "full", { next: "wait" });
    const refused = decodeSettled(encodeSettled({ kind: "refused", error }));
    assert.ok(refused.kind === "refused");
    assert.deepEqual(refused.error.toJSON(), error.toJSON());
  });

  test("reads and their answers are told from bodies of programs that know of no group", () => {
    for (const body of bodies) {
      assert.equal(decodeRead(body), undefined);
      assert.equal(decodeReadAnswer(body), undefined);
      for (const consistency of [undefined, "session", "latest"] as const)
        assert.deepEqual(decodeRead(encodeRead(consistency, position, encodeBody(body))), { consistency, position, body });
      assert.deepEqual(decodeReadAnswer(encodeReadAnswer(position, body)), { kind: "answer", position, answer: body });
    }
    assert.deepEqual(decodeReadAnswer(encodeReadElsewhere()), { kind: "elsewhere" });
  });

  test("whatever else arrives is an error with a code, and never something else", () => {
    const decoders = [decodeCopy, decodeQuestion, decodeGroupMessage, decodeSettled, decodeRead, decodeReadAnswer];
    const marked = encodeRead("session", position, encodeBody(null)).subarray(0, 16);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.boolean(), (noise, isMarked) => {
        const bytes = isMarked ? Buffer.concat([marked, noise]) : noise;
        for (const decode of decoders)
          try {
            decode(bytes);
          } catch (error) {
            assert.ok(error instanceof MusterError, String(error));
          }
      }),
    );
    for (const decode of [decodeCopy, decodeQuestion, decodeGroupMessage, decodeSettled])
      assert.throws(() => decode({ a: 1 }), { code: "fleet/malformed" });
  });

  test("what is no JSON, or more than a group takes, is refused before it is sent", () => {
    const round: { self?: unknown } = {};
    round.self = round;
    assert.throws(() => encodeBody(JSON.parse('"x"') && (round as never)), { code: "fleet/bad-value" });
    assert.throws(() => encodeBody(new Uint8Array(groupBodyBytesMax + 1)), { code: "fleet/too-large" });
    assert.equal(encodeBody(new Uint8Array(groupBodyBytesMax)).length, groupBodyBytesMax + 1);
  });
});

describe("the name of a write", () => {
  test("leads back to its group and id, also with colons in the key", () => {
    for (const within of ["metadata/MDS.1", "own/a:b.1"])
      for (const slot of [undefined, 0, 255]) assert.deepEqual(parseRequestId(requestIdOf({ within, slot }, id)), { within, slot, id });
  });

  test("a text that is none is refused", () => {
    for (const text of [
      "",
      "17",
      `${id.lease}:0:metadata/MDS.1`,
      `${id.lease}:1:MDS.1`,
      `${id.lease}:1:#256:metadata/MDS`,
      `x@1.1:1:metadata/MDS.1`,
      `${"a".repeat(32)}:1:m/M`,
    ])
      assert.throws(() => parseRequestId(text), { code: "fleet/bad-request-id" });
  });
});
