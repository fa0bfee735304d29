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
  avoided.forget("a 1", 1);
  assert.equal(avoided.isAvoided("a 1", old, 1), false);
  assert.equal(avoided.nextMonoMs(1), Number.POSITIVE_INFINITY);
});

test("what came back and fails again soon is avoided for longer; much later it is a first failure again", () => {
  const avoided = new AvoidedAddresses();
  avoided.avoid("a 1", old, 0, 500);
  avoided.forget("a 1", 100);
  assert.equal(avoided.isAvoided("a 1", old, 100), false);
  assert.equal(avoided.isKnown("a 1", old), false);
  avoided.avoid("a 1", old, 200, 500);
  assert.equal(avoided.nextMonoMs(200), 1200);
  assert.equal(avoided.isAvoided("a 1", old, 1200), false);
  avoided.avoid("a 1", old, 100_000, 500);
  assert.equal(avoided.nextMonoMs(100_000), 100_500);
});

test("whose time is up is known as a failure until it answers or a newer row names it, and is no longer looked for", () => {
  const avoided = new AvoidedAddresses();
  avoided.avoid("a 1", old, 0, 500);
  assert.equal(avoided.isAvoided("a 1", old, 500), false);
  assert.equal(avoided.size, 0);
  assert.equal(avoided.isKnown("a 1", old), true);
  assert.equal(avoided.isKnown("a 1", newer), false);
  avoided.forget("a 1", 600);
  assert.equal(avoided.isKnown("a 1", old), false);
});

test("it remembers a bounded number of addresses", () => {
  const avoided = new AvoidedAddresses();
  for (let port = 0; port < 10_500; port++) avoided.avoid(`a ${port}`, old, 0, 500);
  assert.equal(avoided.size, 10_000);
  assert.equal(avoided.isAvoided("a 0", old, 1), false);
  assert.equal(avoided.isAvoided("a 10499", old, 1), true);
});
