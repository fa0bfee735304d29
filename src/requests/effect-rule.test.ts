import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MusterError } from "../kernel/index.ts";
import { effectOfBody, effectOfEncoded, parseEffectRule, strictestOf, valueAt } from "./effect-rule.ts";
import type { RequestBody } from "./options.ts";

const puts = parseEffectRule("file", { when: { path: "op", in: ["put", "delete"] }, effect: "write", else: "read" });

function refused(rule: unknown): boolean {
  try {
    parseEffectRule("file", rule);
    return false;
  } catch (thrown) {
    assert.ok(thrown instanceof MusterError, String(thrown));
    assert.equal(thrown.code, "requests/bad-declaration");
    return true;
  }
}

describe("a rule over the body", () => {
  test("[MRT-3] decides for each request", () => {
    const cases: readonly (readonly [RequestBody, string])[] = [
      [{ op: "put" }, "write"],
      [{ op: "get" }, "read"],
      [{ op: ["put"] }, "read"],
      [{}, "read"],
      [[], "read"],
      ["put", "write"],
      [null, "write"],
      [7, "write"],
      [new Uint8Array([1]), "write"],
    ];
    for (const [body, effect] of cases) assert.equal(effectOfBody(puts, body), effect, JSON.stringify(body));
    assert.equal(effectOfBody("repeatable", new Uint8Array()), "repeatable");
    assert.deepEqual([strictestOf(puts), strictestOf("read")], ["write", "read"]);
  });

  test("of a body on its way says the same; what is no JSON is a write", () => {
    assert.equal(effectOfEncoded(puts, '{"op":"get"}'), "read");
    assert.equal(effectOfEncoded(puts, '{"op":"put"}'), "write");
    for (const body of ["{", "", new Uint8Array([123, 125])]) assert.equal(effectOfEncoded(puts, body), "write");
    assert.equal(effectOfEncoded("read", "{"), "read");
  });

  test("joins conditions, and goes on behind else", () => {
    const rule = parseEffectRule("file", {
      when: { all: [{ path: "op", in: ["get"] }, { not: { path: "lock", exists: true } }] },
      effect: "read",
      else: {
        when: {
          any: [
            { path: "files.0.kind", in: ["note", null] },
            { path: "dry", in: [true] },
          ],
        },
        effect: "repeatable",
        else: "write",
      },
    });
    assert.equal(effectOfBody(rule, { op: "get" }), "read");
    assert.equal(effectOfBody(rule, { op: "get", lock: null }), "write");
    assert.equal(effectOfBody(rule, { op: "put", files: [{ kind: "note" }] }), "repeatable");
    assert.equal(effectOfBody(rule, { op: "put", files: [{ kind: null }] }), "repeatable");
    assert.equal(effectOfBody(rule, { op: "put", files: [], dry: true }), "repeatable");
    assert.equal(effectOfBody(rule, { op: "put", files: [{ kind: "disk" }] }), "write");
  });

  test("looks at what the body itself holds only", () => {
    assert.equal(valueAt({ op: 1 }, "constructor.name"), undefined);
    assert.equal(valueAt({ op: 1 }, "__proto__"), undefined);
    assert.equal(valueAt([1, 2], "length"), undefined);
    assert.equal(valueAt([1, { a: "x" }], "1.a"), "x");
    assert.equal(valueAt({ a: { b: null } }, "a.b"), null);
    assert.equal(valueAt({ a: null }, "a.b"), undefined);
  });

  test("that cannot be read, is too deep or too long is refused", () => {
    let deep: unknown = "read";
    for (let depth = 0; depth < 9; depth++) deep = { when: { path: "a", in: [1] }, effect: "write", else: deep };
    const many = { when: { all: Array.from({ length: 70 }, () => ({ path: "a", in: [1] })) }, effect: "write", else: "read" };
    const condition = { path: "op", in: ["put"] };
    const bad: readonly unknown[] = [
      "read",
      null,
      {},
      { when: condition, effect: "write" },
      { when: condition, effect: "often", else: "read" },
      { when: condition, effect: "write", else: "read", more: 1 },
      { when: { path: "op", in: [] }, effect: "write", else: "read" },
      { when: { path: "op", in: [{}] }, effect: "write", else: "read" },
      { when: { path: "", in: ["put"] }, effect: "write", else: "read" },
      { when: { path: "a..b", in: ["put"] }, effect: "write", else: "read" },
      { when: { path: "a.b.c.d.e.f.g.h.i", in: ["put"] }, effect: "write", else: "read" },
      { when: { path: "op", exists: "yes" }, effect: "write", else: "read" },
      { when: { all: [] }, effect: "write", else: "read" },
      { when: { not: condition, path: "op" }, effect: "write", else: "read" },
      deep,
      many,
    ];
    for (const rule of bad) assert.ok(refused(rule), JSON.stringify(rule));
  });

  test("whatever is written as a rule is either refused or never fails on any body", () => {
    const leaf = fc.record({ path: fc.string({ maxLength: 6 }), in: fc.array(fc.oneof(fc.string(), fc.integer(), fc.constant(null))) });
    const rule = fc.record({
      when: fc.oneof(leaf, fc.record({ all: fc.array(leaf, { maxLength: 3 }) }), fc.record({ not: leaf }), fc.jsonValue()),
      effect: fc.constantFrom("read", "repeatable", "write", "else"),
      else: fc.oneof(fc.constantFrom("read", "write"), fc.jsonValue()),
    });
    fc.assert(
      fc.property(rule, fc.json(), (written, body) => {
        let parsed: ReturnType<typeof parseEffectRule>;
        try {
          parsed = parseEffectRule("file", written);
        } catch (thrown) {
          assert.ok(thrown instanceof MusterError);
          return;
        }
        assert.ok(["read", "repeatable", "write"].includes(effectOfEncoded(parsed, body)));
      }),
      { numRuns: 500 },
    );
  });
});
