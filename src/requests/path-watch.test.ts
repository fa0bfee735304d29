import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManualClock } from "../testing/manual-clock.ts";
import { PathWatch, type WatchedPath } from "./path-watch.ts";

const tickMs = 50;

/** A path of which the test says what is heard and waited for. */
class TestPath implements WatchedPath {
  isOpen = true;
  isSilent = false;
  isWatchable = true;
  quietTicks = 0;
  grantedTicks = 0;
  bufferedBytes = 0;
  pings = 0;
  heard = false;

  hasHeard(): boolean {
    const { heard } = this;
    this.heard = false;
    return heard;
  }

  countQuiet(): void {
    this.quietTicks++;
  }

  clearQuiet(): void {
    this.quietTicks = 0;
  }

  ping(): void {
    this.pings++;
  }
}

function watched(paths: readonly TestPath[]) {
  const clock = new ManualClock();
  const said: string[] = [];
  /** `sleptMs`: how much later than due everything runs from now on. */
  const state = { isWaiting: true, sleptMs: 0 };
  const watch = new PathWatch<TestPath>({
    clock: {
      monoMs: () => clock.monoMs() + state.sleptMs,
      unixMs: () => clock.unixMs() + state.sleptMs,
      schedule: (delayMs, callback) => clock.schedule(delayMs, callback),
      turn: (callback) => clock.turn(callback),
    },
    tickMs,
    channels: () => paths,
    isWaiting: () => state.isWaiting,
    silent: (path) => {
      said.push("silent");
      path.isSilent = true;
    },
    heard: (path) => {
      said.push("heard");
      path.isSilent = false;
    },
    useless: (path) => {
      said.push("useless");
      path.isOpen = false;
    },
  });
  const ticks = (count: number) => {
    for (let tick = 0; tick < count; tick++) clock.advance(tickMs);
  };
  watch.wake();
  return { clock, said, state, watch, ticks };
}

describe("a caller's watch over its paths", () => {
  test("a path on which nothing is heard is pinged after three ticks and silent after six more, once", () => {
    const path = new TestPath();
    const { said, ticks } = watched([path]);
    ticks(2);
    assert.equal(path.pings, 0);
    ticks(1);
    assert.equal(path.pings, 1);
    ticks(5);
    assert.deepEqual(said, []);
    ticks(1);
    assert.deepEqual(said, ["silent"]);
    ticks(100);
    assert.deepEqual(said, ["silent"]);
    assert.equal(path.pings, 1);
  });

  test("whatever is heard begins the count anew; a silent path that is heard returns, one that nobody waits for is let go", () => {
    const path = new TestPath();
    const { said, ticks } = watched([path]);
    ticks(8);
    path.heard = true;
    ticks(9);
    assert.deepEqual(said, []);
    ticks(1);
    assert.deepEqual(said, ["silent"]);
    path.heard = true;
    ticks(1);
    assert.deepEqual(said, ["silent", "heard"]);
    ticks(9);
    path.isWatchable = false;
    ticks(1);
    assert.deepEqual(said, ["silent", "heard", "silent", "useless"]);
  });

  test("a path that nobody waits for is never pinged, and when nothing is pending the ticks end", () => {
    const path = new TestPath();
    path.isWatchable = false;
    const { clock, state, watch, ticks } = watched([path]);
    ticks(50);
    state.isWaiting = false;
    ticks(30);
    assert.equal(path.pings, 0);
    assert.equal(clock.timers, 0);
    state.isWaiting = true;
    path.isWatchable = true;
    watch.wake();
    ticks(3);
    assert.equal(path.pings, 1);
  });

  test("a late tick forgets what was missed before it: a caller that was away asks again before it accuses", () => {
    const path = new TestPath();
    const { said, state, ticks } = watched([path]);
    ticks(8);
    state.sleptMs = 10 * tickMs;
    ticks(1 + 8);
    assert.deepEqual(said, []);
    assert.equal(path.pings, 2);
    ticks(1);
    assert.deepEqual(said, ["silent"]);
  });

  test("input that waits is read before anybody is accused", () => {
    const path = new TestPath();
    const { clock, said, ticks } = watched([path]);
    ticks(8);
    clock.schedule(tickMs, () => clock.turn(() => (path.heard = true)));
    ticks(1 + 8);
    assert.deepEqual(said, []);
    ticks(1);
    assert.deepEqual(said, ["silent"]);
  });

  test("a ping behind a long body is granted the time that the body takes", () => {
    const path = new TestPath();
    path.bufferedBytes = 4 * 1024 * 1024;
    const { said, ticks } = watched([path]);
    ticks(9 + 63);
    assert.deepEqual(said, []);
    ticks(1);
    assert.deepEqual(said, ["silent"]);
  });

  test("hundreds of quiet paths are pinged in turn, a bounded number a tick, and none is forgotten", () => {
    const paths = Array.from({ length: 250 }, () => new TestPath());
    const { said, ticks } = watched(paths);
    const pings = () => paths.reduce((sum, path) => sum + path.pings, 0);
    ticks(3);
    assert.equal(pings(), 100);
    ticks(1);
    assert.equal(pings(), 200);
    ticks(1);
    assert.equal(pings(), 250);
    assert.ok(paths.every((path) => path.pings === 1));
    ticks(7);
    assert.equal(said.length, 250);
  });
});
