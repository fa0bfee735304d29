import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Probe, encodeProbe, nameDigest, parseProbe, probeBytesMax, probeName } from "./probe.ts";
import { ProbeSeal, macBytes } from "./seal.ts";

const secret = Buffer.from("one secret");
const seal = new ProbeSeal(() => secret);
const stranger = new ProbeSeal(() => Buffer.from("another secret"));

const byte = fc.nat(255);
const word = fc.integer({ min: 0, max: 0xffff_ffff });
const safe = fc.maxSafeNat();
const tag = fc.nat(2 ** 48);
const name = fc
  .string({ minLength: 1, maxLength: 200, unit: "binary" })
  .map((text) => probeName(text.toWellFormed()))
  .filter((text) => text !== "");
const body = fc.oneof(
  fc.record({ kind: fc.constantFrom("probe" as const, "answer" as const, "burst" as const, "beat" as const) }),
  fc.record({
    kind: fc.constant("ask" as const),
    id: word,
    target: word,
    address: fc.oneof(fc.ipV4(), fc.ipV6()),
    port: fc.integer({ min: 1, max: 65_535 }),
  }),
  fc.record({ kind: fc.constant("told" as const), id: word, verdict: fc.constantFrom("answered", "system-lives", "silent") }),
);
const head = fc.record({
  name,
  route: byte,
  tag,
  number: safe,
  echoTag: tag,
  echoNumber: safe,
  epoch: safe,
  sequence: safe,
  hears: byte,
  down: byte,
  beat: safe,
  beats: byte,
});
const probe: fc.Arbitrary<Probe> = fc.tuple(head, body).map(([one, other]) => ({ ...one, ...other }));

function encoded(value: Probe): Uint8Array {
  const bytes = encodeProbe(value, seal);
  assert.ok(bytes);
  return bytes;
}

describe("the codec of probes", () => {
  test("whatever is encoded is read back, in less than 200 bytes", () => {
    fc.assert(
      fc.property(probe, (value) => {
        const bytes = encoded(value);
        assert.ok(bytes.length < probeBytesMax);
        assert.deepEqual(parseProbe(bytes, seal), value);
      }),
      { numRuns: 500 },
    );
  });

  test("one changed bit anywhere, another secret, or no secret: refused", () => {
    fc.assert(
      fc.property(probe, safe, (value, where) => {
        const bytes = encoded(value);
        assert.equal(parseProbe(bytes, stranger), "mac");
        assert.equal(parseProbe(bytes, new ProbeSeal(() => undefined)), "mac");
        const bit = where % (bytes.length * 8);
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        assert.equal(typeof parseProbe(bytes, seal), "string");
      }),
    );
    assert.equal(encodeProbe({ ...base, kind: "probe" }, new ProbeSeal(() => undefined)), undefined);
    assert.equal(new ProbeSeal(() => new Uint8Array(0)).ready, false);
  });

  test("garbage is refused without an exception, also from somebody who knows the secret", () => {
    const begin = Uint8Array.of(0x4d, 1);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 260 }), (bytes) => {
        assert.equal(typeof parseProbe(bytes, seal), "string");
        const keyed = Buffer.concat([begin, bytes]);
        const result = parseProbe(Buffer.concat([keyed, seal.mac(keyed) ?? begin]), seal);
        // What passes is a probe like any other: the same bytes come out of it again.
        if (typeof result !== "string") assert.deepEqual([...encoded(result)].slice(0, -macBytes), [...keyed]);
      }),
      { numRuns: 2000 },
    );
  });

  test("cut short or lengthened: refused", () => {
    const bytes = encoded({ ...base, kind: "ask", id: 1, target: 2, address: "10.0.0.1", port: 3 });
    for (let length = 0; length < bytes.length; length++) {
      assert.equal(typeof parseProbe(bytes.subarray(0, length), seal), "string");
      const part = bytes.subarray(0, Math.max(0, length - macBytes));
      assert.equal(parseProbe(Buffer.concat([part, seal.mac(part) ?? part]), seal), "malformed");
    }
    const longer = Buffer.concat([bytes.subarray(0, -macBytes), Uint8Array.of(0)]);
    assert.equal(parseProbe(Buffer.concat([longer, seal.mac(longer) ?? longer]), seal), "malformed");
  });

  test("long names are cut to a digest that still tells them apart", () => {
    const [one, other] = ["ä".repeat(100), `${"ä".repeat(99)}ö`].map(probeName);
    assert.notEqual(one, other);
    assert.ok(Buffer.byteLength(one ?? "") <= 64);
    assert.equal(probeName("HOST9"), "HOST9");
    assert.notEqual(nameDigest("HOST9"), nameDigest("HOST8"));
  });

  test("a secret that changes counts from the next message on", () => {
    let current: Uint8Array = secret;
    const changing = new ProbeSeal(() => current);
    const bytes = encoded({ ...base, kind: "probe" });
    assert.equal(typeof parseProbe(bytes, changing), "object");
    current = Buffer.from("the next");
    assert.equal(parseProbe(bytes, changing), "mac");
  });
});

const base = {
  name: "HOST1",
  route: 0,
  tag: 1,
  number: 1,
  echoTag: 0,
  echoNumber: 0,
  epoch: 1,
  sequence: 1,
  hears: 0,
  down: 0,
  beat: 0,
  beats: 0,
};
