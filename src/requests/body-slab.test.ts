import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BodySlab } from "./body-slab.ts";

test("a copy says what was lent, and goes on saying it, whatever its lender and other receivers do with theirs", () => {
  const bodies = fc.array(fc.tuple(fc.uint8Array({ maxLength: 3000, size: "max" }), fc.nat(20), fc.boolean()), {
    maxLength: 60,
    size: "max",
  });
  fc.assert(
    fc.property(bodies, (all) => {
      const slab = new BodySlab();
      const copies: (readonly [copy: Uint8Array, said: string])[] = [];
      for (const [body, head, isSpoilt] of all) {
        const from = Math.min(head, body.length);
        const lent = Buffer.from(body);
        const copy = slab.copy(lent, from);
        lent.fill(0xdd);
        if (isSpoilt) copy.fill(0xee);
        copies.push([copy, isSpoilt ? "ee".repeat(copy.length) : Buffer.from(body).toString("hex", from)]);
      }
      for (const [copy, said] of copies) assert.equal(Buffer.from(copy).toString("hex"), said);
    }),
  );
});

test("small bodies share memory, that cannot be handed over to another thread; large ones have their own", () => {
  const slab = new BodySlab();
  const [first, second] = [slab.copy(new Uint8Array(100), 0), slab.copy(new Uint8Array(100), 12)];
  assert.equal(first.buffer, second.buffer);
  assert.ok(second.byteOffset >= first.byteOffset + 100 && second.byteOffset % 8 === 0);
  assert.throws(() => structuredClone(first, { transfer: [first.buffer as ArrayBuffer] }), { name: "DataCloneError" });
  const large = slab.copy(new Uint8Array(5000), 0);
  assert.deepEqual([large.buffer.byteLength, large.byteOffset], [5000, 0]);
});
