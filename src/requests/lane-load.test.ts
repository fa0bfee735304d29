import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LaneLoad } from "./lane-load.ts";

const one = { answersMs: 1, peakMs: 1 };

describe("the cost of a server", () => {
  test("grows with the requests that are there: this program's, and for a while those of others that the server told of", () => {
    const load = new LaneLoad();
    assert.ok(load.cost(1, 0) > load.cost(0, 0));
    load.answered(0.5, 12, 2, 0);
    assert.equal(load.cost(0, 0), 11);
    assert.ok(load.cost(0, 100) < 7 && load.cost(0, 10_000) < 1.2);
    load.answered(0.5, 1, 2, 10_000);
    assert.equal(load.cost(0, 10_000), 1);
  });

  test("jumps up with a slow answer and comes down over seconds, whether there are answers or not", () => {
    const load = new LaneLoad();
    load.answered(2, 0, 0, 0);
    load.answered(50, 0, 0, 1);
    assert.equal(load.cost(0, 1), 50);
    for (let ms = 2; ms < 1000; ms++) load.answered(2, 0, 0, ms);
    const afterOneSecond = load.cost(0, 1000);
    assert.ok(afterOneSecond > 35 && afterOneSecond < 50, `${afterOneSecond}`);
    for (let ms = 1000; ms < 40_000; ms++) load.answered(2, 0, 0, ms);
    assert.ok(load.cost(0, 40_000) < 5);
    const silent = new LaneLoad();
    silent.isSlow(50, 0);
    silent.isSlow(5, 1);
    assert.ok(silent.cost(0, 1) > 49 && silent.cost(0, 60_000) < 10);
  });

  test("five failures in a row are too many, and an answer makes them forgotten", () => {
    const load = new LaneLoad();
    const fourTimes = () => [1, 2, 3, 4].map(() => load.failed(1, one, 0, 0));
    assert.deepEqual(fourTimes(), [false, false, false, false]);
    load.answered(1, 0, 0, 0);
    assert.deepEqual(fourTimes(), [false, false, false, false]);
    assert.deepEqual([load.failed(1, one, 0, 0), load.failed(1, one, 0, 0)], [true, true], "each is one too many from then on");
    load.answered(1, 0, 0, 0);
    assert.deepEqual(fourTimes(), [false, false, false, false]);
  });

  test("a failure counts as slower than the answers of others, an error of the handler's own as no quicker", () => {
    const [failing, erring] = [new LaneLoad(), new LaneLoad()];
    assert.equal(failing.expectedMs(0, 0), 0);
    failing.failed(0.1, { answersMs: 0, peakMs: 0 }, 0, 0);
    assert.equal(failing.expectedMs(0, 0), 50);
    failing.failed(0.1, { answersMs: 50, peakMs: 60 }, 0, 1);
    assert.ok(failing.expectedMs(0, 1) > 50 && failing.cost(0, 1) === 240);
    assert.equal(failing.answersMs, 0, "nothing was answered");
    erring.erred(0.1, { answersMs: 50, peakMs: 60 }, 0, 0);
    assert.deepEqual([erring.expectedMs(0, 0), erring.cost(0, 0)], [50, 60]);
    erring.answered(10, 0, 0, 0);
    assert.equal(erring.answersMs, 10);
  });

  test("attempts that lose together are one loss", () => {
    const load = new LaneLoad();
    for (let count = 0; count < 50; count++) assert.equal(load.lost(count / 10), false);
    assert.deepEqual(
      [20, 30, 40, 50].map((ms) => load.lost(ms)),
      [false, false, false, true],
    );
  });
});
