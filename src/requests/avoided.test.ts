import assert from "node:assert/strict";
import { test } from "node:test";
import { AvoidedAddresses } from "./avoided.ts";

const old = { epoch: 1, sequence: 10 };
const newer = { epoch: 1, sequence: 11 };

test("an address is avoided for a while, longer each time it fails again, and at most ten times as long", () => {
  const avoided = new AvoidedAddresses();
  let nowMonoMs = 1000;
  for (const [strike, ms] of [500, 1000, 2000, 4000, 5000, 5000].entries()) {
    avoided.avoid("a 1", old, nowMonoMs, 500);
    assert.equal(avoided.nextMonoMs(nowMonoMs), nowMonoMs + ms, `strike ${strike + 1}`);
    assert.equal(avoided.isAvoided("a 1", old, nowMonoMs + ms - 1), true);
    nowMonoMs += ms;
    assert.equal(avoided.isAvoided("a 1", old, nowMonoMs), false);
  }
});

test("requests that fail together are one failure", () => {
  const avoided = new AvoidedAddresses();
  for (let count = 0; count < 10; count++) avoided.avoid("a 1", old, 1000, 500);
  assert.equal(avoided.nextMonoMs(1000), 1500);
});

test("a newer row means another program, which is not avoided; an answer ends it, too", () => {
  const avoided = new AvoidedAddresses();
  avoided.avoid("a 1", old, 0, 500);
  assert.equal(avoided.isAvoided("a 1", newer, 1), false);
  assert.equal(avoided.isAvoided("a 1", old, 1), true);
  assert.equal(avoided.isAvoided("b 1", old, 1), false);
  avoided.forget("a 1");
  assert.equal(avoided.isAvoided("a 1", old, 1), false);
  assert.equal(avoided.nextMonoMs(1), Number.POSITIVE_INFINITY);
});

test("it remembers a bounded number of addresses", () => {
  const avoided = new AvoidedAddresses();
  for (let port = 0; port < 10_500; port++) avoided.avoid(`a ${port}`, old, 0, 500);
  assert.equal(avoided.size, 10_000);
  assert.equal(avoided.isAvoided("a 0", old, 1), false);
  assert.equal(avoided.isAvoided("a 10499", old, 1), true);
});
