import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  checkEntryKey,
  decodeEntryKey,
  decodeMetaKey,
  decodeNumberKey,
  encodeEntryKey,
  encodeMetaKey,
  encodeNumberKey,
  headerKey,
  isStoredKey,
  keyKinds,
} from "./key-encoding.ts";

const anyTable = fc.oneof(fc.nat({ max: 300 }), fc.integer({ min: 0, max: 0xffff_ffff }));
const anyKey = fc.string({ unit: "grapheme", maxLength: 12 }).filter((key) => key.isWellFormed());
const anyNumber = fc.oneof(fc.nat(), fc.maxSafeNat());

describe("the encoding of keys", () => {
  test("gives back what it was given", () => {
    fc.assert(
      fc.property(anyTable, anyKey, anyNumber, (table, key, number) => {
        assert.deepEqual(decodeEntryKey(encodeEntryKey(table, key)), { table, key });
        assert.equal(decodeNumberKey(keyKinds.log, encodeNumberKey(keyKinds.log, number)), number);
        assert.equal(decodeNumberKey(keyKinds.session, encodeNumberKey(keyKinds.log, number)), undefined);
      }),
    );
    assert.equal(decodeMetaKey(encodeMetaKey("fleet.id")), "fleet.id");
  });

  test("keeps the order of (table number, key bytes), and of numbers", () => {
    fc.assert(
      fc.property(anyTable, anyKey, anyTable, anyKey, (tableA, keyA, tableB, keyB) => {
        const expected = Math.sign(tableA - tableB) || Buffer.compare(Buffer.from(keyA), Buffer.from(keyB));
        assert.equal(Buffer.compare(encodeEntryKey(tableA, keyA), encodeEntryKey(tableB, keyB)), expected);
      }),
    );
    fc.assert(
      fc.property(anyNumber, anyNumber, (a, b) => {
        assert.equal(Buffer.compare(encodeNumberKey(keyKinds.log, a), encodeNumberKey(keyKinds.log, b)), Math.sign(a - b));
      }),
    );
  });

  test("no kind of key lies between those of another, and the header comes first", () => {
    const inOrder = [
      headerKey,
      encodeMetaKey("zz"),
      encodeEntryKey(0, ""),
      encodeEntryKey(0xffff_ffff, "\u{10ffff}"),
      encodeNumberKey(3, 0),
      encodeNumberKey(4, 2 ** 53 - 1),
    ];
    assert.deepEqual([...inOrder].reverse().sort(Buffer.compare), inOrder);
    for (const key of inOrder) assert.ok(isStoredKey(key));
  });

  test("foreign bytes are no keys, and never an exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 14 }), (bytes) => {
        const entry = decodeEntryKey(bytes);
        if (entry !== undefined) assert.deepEqual(Buffer.from(encodeEntryKey(entry.table, entry.key)), Buffer.from(bytes));
        isStoredKey(bytes);
      }),
    );
    assert.throws(() => checkEntryKey(1, "\udc00"), { code: "storage/bad-batch" });
  });
});
