import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nameBytesMax, parseFileName, parseFileRecord, parseObjectId, parseVersionedRecord } from "./file-record.ts";

const record = {
  name: "iso/some.iso",
  object: "0123456789abcdef0123456789abcdef",
  size: 3,
  sha256: "a".repeat(64),
  type: "text/plain",
  copies: ["BSS.1", "BSS.2"],
  createdUnixMs: 1,
  modifiedUnixMs: 2,
};

test("every name survives its way through a path", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 200 }), (name) => {
      assert.equal(parseFileName(encodeURIComponent(name)), name);
    }),
  );
  assert.equal(parseFileName("a/../b//c%20d/%C3%A4"), "a/../b//c d/ä");
});

test("a name is 1 to 1,024 bytes of UTF-8", () => {
  assert.equal(parseFileName("x".repeat(nameBytesMax)).length, nameBytesMax);
  for (const bad of ["", "x".repeat(nameBytesMax + 1), "%C3%A4".repeat(nameBytesMax / 2 + 1), "%ff", "%"])
    assert.throws(() => parseFileName(bad), { code: "filestore/bad-name", status: 400 });
});

test("an object id is 32 hexadecimal characters and nothing that leads elsewhere", () => {
  assert.equal(parseObjectId(record.object), record.object);
  for (const bad of ["", "../../etc/passwd", record.object.toUpperCase(), `${record.object}0`, `${record.object}/`])
    assert.throws(() => parseObjectId(bad), { code: "filestore/bad-object-id" });
});

test("a record is taken only when every field is right", () => {
  assert.deepEqual(parseFileRecord({ ...record, extra: 1 }), record);
  const wrong: Record<string, unknown> = {
    name: "",
    object: "x",
    size: -1,
    sha256: "z",
    type: 1,
    copies: [],
    createdUnixMs: 0.5,
    modifiedUnixMs: "2",
  };
  for (const [field, value] of Object.entries(wrong))
    assert.throws(() => parseFileRecord({ ...record, [field]: value }), { status: 400 }, field);
  assert.throws(() => parseFileRecord(null));
  assert.throws(() => parseVersionedRecord(record), { code: "filestore/bad-record" });
});
