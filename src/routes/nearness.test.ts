import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { commonBits, nearest } from "./nearness.ts";

const same = (address: string) => address;

test("addresses of the same network are nearest", () => {
  assert.deepEqual(nearest("10.71.0.4", ["10.70.0.1", "10.71.0.1"], same), ["10.71.0.1"]);
  assert.deepEqual(nearest("10.1.5.3", ["10.2.0.1", "10.1.0.1", "fd00::1"], same), ["10.1.0.1"]);
  assert.deepEqual(nearest("fd00:1::5", ["fd00:2::1", "fd00:1::1", "10.0.0.1"], same), ["fd00:1::1"]);
});

test("where addresses tell nothing, all are as good", () => {
  assert.deepEqual(nearest("HOST1", ["TOP", "10.0.0.1"], same), ["TOP", "10.0.0.1"]);
  assert.deepEqual(nearest("172.16.0.1", ["10.0.0.1"], same), ["10.0.0.1"]);
  assert.deepEqual(nearest("172.16.0.1", [], same), []);
});

test("common bits are counted from the left, alike in both directions", () => {
  assert.equal(commonBits("10.0.0.1", "10.0.0.1"), 32);
  assert.equal(commonBits("10.0.0.1", "10.0.0.0"), 31);
  assert.equal(commonBits("128.0.0.0", "0.0.0.0"), 0);
  assert.equal(commonBits("fe80::1%eth0", "fe80::1"), 128);
  assert.equal(commonBits("::", "::1"), 127);
  assert.equal(commonBits("::ffff:10.0.0.1", "10.0.0.1"), 0);
  const address = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string());
  fc.assert(
    fc.property(address, address, (one, other) => {
      const bits = commonBits(one, other);
      assert.ok(bits >= 0 && bits <= 128);
      assert.equal(bits, commonBits(other, one));
    }),
  );
});
