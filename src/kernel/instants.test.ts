import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatInstant, parseHttpDate } from "./instants.ts";

test("an instant is written as ISO 8601 has it, over all years of four digits", () => {
  const first = Date.UTC(1, 0, 1) - 1901 * 365.2425 * 86_400_000;
  for (const unixMs of [0, -1, Date.UTC(2000, 1, 29), Date.UTC(2024, 11, 31, 23, 59, 59, 999), Date.UTC(1900, 2, 1), first])
    assert.equal(formatInstant(unixMs), new Date(Math.floor(unixMs)).toISOString());
  fc.assert(
    fc.property(fc.integer({ min: -62_167_219_200_000, max: 253_402_300_799_999 }), (unixMs) => {
      assert.equal(formatInstant(unixMs), new Date(unixMs).toISOString());
    }),
  );
});

test("what no year of four digits can hold is shown as the nearest that can", () => {
  assert.equal(formatInstant(1e300), "9999-12-31T23:59:59.999Z");
  assert.equal(formatInstant(-1e300), "0000-01-01T00:00:00.000Z");
});

test("a date of HTTP is read back to the second, and nothing else is taken for one", () => {
  assert.equal(parseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT"), 784_111_777_000);
  for (let unixMs = 0; unixMs < 4e12; unixMs += 86_400_000 * 37 + 12_345_000)
    assert.equal(parseHttpDate(new Date(unixMs).toUTCString()), Math.floor(unixMs / 1000) * 1000);
  for (const text of ["", "tomorrow", "Sun, 6 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT"])
    assert.equal(parseHttpDate(text), undefined, text);
});
