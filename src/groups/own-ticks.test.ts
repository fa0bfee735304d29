import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Clock, SeededRandom } from "../kernel/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { ticks } from "./options.ts";
import { OwnTicks } from "./own-ticks.ts";

function scene() {
  const manual = new ManualClock();
  let awayMs = 0;
  const clock: Clock = {
    monoMs: () => manual.monoMs() + awayMs,
    unixMs: () => manual.unixMs() + awayMs,
    schedule: (delayMs, callback) => manual.schedule(delayMs, callback),
    turn: (callback) => manual.turn(callback),
  };
  const counts = { beats: 0, judged: 0, inTime: 0, late: 0, away: 0 };
  const ports = {
    clock,
    random: new SeededRandom(1),
    beat: () => counts.beats++,
    judge: () => counts.judged++,
    inTime: () => counts.inTime++,
    late: (isAway: boolean) => {
      counts.late++;
      if (isAway) counts.away++;
    },
  };
  const own = new OwnTicks(ports, 50);
  own.start();
  /** One tick, so much too late, and all that follows from it at once. */
  const tick = (lateMs = 0) => {
    awayMs += lateMs;
    const { beats } = counts;
    while (counts.beats === beats) manual.advance(1);
  };
  return { own, counts, tick };
}

describe("the own tick", () => {
  test("each one in time is judged", () => {
    const { own, counts, tick } = scene();
    for (let number = 0; number < 10; number++) tick();
    own.close();
    assert.deepEqual(counts, { beats: 10, judged: 10, inTime: 10, late: 0, away: 0 });
  });

  test("a late one says what is to be said and accuses nobody, nor do the few after it", () => {
    const { own, counts, tick } = scene();
    tick();
    tick(60);
    for (let number = 0; number < ticks.lateGrace; number++) tick();
    assert.deepEqual(counts, { beats: 2 + ticks.lateGrace, judged: 1, inTime: 4, late: 1, away: 0 });
    tick();
    own.close();
    assert.equal(counts.judged, 2);
  });

  test("one that is later than any silence that is noticed says that the member was away; a stumble does not", () => {
    const { own, counts, tick } = scene();
    tick(ticks.away * 50 - 60);
    assert.deepEqual([counts.late, counts.away], [1, 0]);
    tick(ticks.away * 50 + 60);
    own.close();
    assert.deepEqual([counts.late, counts.away], [2, 1]);
  });
});
