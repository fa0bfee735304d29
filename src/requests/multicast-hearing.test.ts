import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../kernel/index.ts";
import { Hearing } from "./multicast-hearing.ts";

test("nobody hears until that is proven; it is tried again after one second, two, four", () => {
  const hearing = new Hearing();
  assert.deepEqual(
    [0, 1, 999, 1000, 2999, 3000, 6999, 7000].map((nowMs) => hearing.mayAsk(nowMs)),
    [true, false, false, true, false, true, false, true],
  );
  assert.equal(hearing.isOn, false);
  hearing.confirmed();
  assert.equal(hearing.isOn, true);
  assert.equal(hearing.mayAsk(1e9), false, "what is known is not asked");
});

test("three losses in a row at first, four later, and it is left for a while that grows as long as nothing gets better", () => {
  const hearing = new Hearing();
  hearing.confirmed();
  hearing.missed(0);
  hearing.missed(0);
  assert.equal(hearing.isOn, true);
  hearing.missed(0);
  assert.equal(hearing.isOn, false);
  assert.deepEqual([hearing.mayAsk(999), hearing.mayAsk(1000)], [false, true]);
  hearing.confirmed();
  for (let count = 0; count < 3; count++) hearing.missed(1000);
  assert.deepEqual([hearing.isOn, hearing.mayAsk(4999), hearing.mayAsk(5000)], [false, false, true]);
  hearing.confirmed();
  for (let count = 0; count < 40; count++) hearing.arrived();
  for (let count = 0; count < 3; count++) hearing.missed(6000);
  assert.equal(hearing.isOn, true);
  hearing.missed(6000);
  assert.deepEqual(
    [hearing.isOn, hearing.mayAsk(6999), hearing.mayAsk(7000)],
    [false, false, true],
    "a good time in between is remembered",
  );
});

/** How many of 10,000 datagrams pass until it is given up. */
function lasts(lossShare: number, seed: number): number {
  const random = new SeededRandom(seed);
  const hearing = new Hearing();
  hearing.confirmed();
  for (let count = 0; count < 10_000; count++) {
    if (random.fraction() < lossShare) hearing.missed(0);
    else hearing.arrived();
    if (!hearing.isOn) return count;
  }
  return 10_000;
}

test("one loss in a hundred is lived with, every second one is not", () => {
  const seeds = Array.from({ length: 20 }, (_, seed) => seed + 1);
  assert.ok(seeds.filter((seed) => lasts(0.01, seed) === 10_000).length >= 19);
  assert.ok(seeds.every((seed) => lasts(0.5, seed) < 60));
});
