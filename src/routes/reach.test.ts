import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { falseCutChance, probePresets, probesPerSecond } from "./index.ts";
import { type Reach, type ReachEffect, holdTicksOf, isHeard, newReach, step } from "./reach.ts";

const { lan } = probePresets;

/** Runs ticks, "+" with news and "-" without; small letters p and m are burst ticks. Returns what came of it. */
function run(script: string, from: Reach = newReach, tick = 0): { reach: Reach; effects: (ReachEffect | undefined)[]; tick: number } {
  let reach = from;
  const effects: (ReachEffect | undefined)[] = [];
  for (const letter of script) {
    const burst = letter === "p" || letter === "m";
    if (!burst) tick++;
    const result = step(reach, { kind: burst ? "burst-tick" : "tick", heard: letter === "+" || letter === "p" }, tick, lan);
    reach = result.reach;
    if (result.effect !== undefined) effects.push(result.effect);
  }
  return { reach, effects, tick };
}

describe("reach", () => {
  test("[DSD-17] three silent periods begin a burst, five silent bursts end in a cut, and not one fewer", () => {
    assert.deepEqual(run("+--").effects, []);
    assert.deepEqual(run("+---").effects, ["burst"]);
    assert.deepEqual(run("+---mmmm").effects, ["burst"]);
    assert.deepEqual(run("+---mmmmm").effects, ["burst", "cut"]);
    assert.equal(run("+---mmmmm").reach.phase, "cut");
  });

  test("one answer anywhere in the window begins it anew", () => {
    for (let at = 0; at < 8; at++) {
      const window = "---mmmmm".split("");
      window[at] = at < 3 ? "+" : "p";
      const { reach, effects } = run(`+${window.join("")}`);
      assert.equal(isHeard(reach), true, window.join(""));
      assert.equal(effects.includes("cut"), false);
    }
  });

  test("what was never heard is not cut, however long it is silent", () => {
    const { reach, effects } = run("-".repeat(5000));
    assert.deepEqual([reach.phase, effects], ["unknown", []]);
    assert.ok(reach.misses <= 1000);
  });

  test("a cut route is valid after ten answers, and a miss takes back two", () => {
    const cut = run("+---mmmmm");
    assert.deepEqual(run("+++++++++", cut.reach, cut.tick).effects, []);
    assert.deepEqual(run("++++++++++", cut.reach, cut.tick).effects, ["valid"]);
    assert.deepEqual(run("+++++++++-++", cut.reach, cut.tick).effects, []);
    assert.deepEqual(run("+++++++++-+++", cut.reach, cut.tick).effects, ["valid"]);
    // The clocks of both ends may differ by a fifth: then every fifth period is empty. Half of them lost is no route.
    assert.equal(run("++++-".repeat(5), cut.reach, cut.tick).effects[0], "valid");
    assert.deepEqual(run("+-".repeat(100), cut.reach, cut.tick).effects, []);
  });

  test("a flapping route waits longer each time, up to a bound, and is forgiven with time", () => {
    let state = run("+---mmmmm");
    const waits: number[] = [];
    for (let flap = 0; flap < 9; flap++) {
      const from = state.tick;
      let back = run("+", state.reach, state.tick);
      while (back.reach.phase === "cut") back = run("+", back.reach, back.tick);
      waits.push(back.tick - from);
      state = run("---mmmmm", back.reach, back.tick);
    }
    assert.deepEqual(waits, [10, 34, 59, 109, 209, 409, 609, 609, 609]);
    assert.equal(holdTicksOf(1000, lan), lan.holdTicksMax);
    const back = run("+".repeat(700), state.reach, state.tick);
    const forgiven = run("+".repeat(12 * lan.forgiveTicks), back.reach, back.tick);
    assert.equal(forgiven.reach.cuts, 0);
  });

  test("a late tick forgets what was missed and ends a burst, but revives nothing", () => {
    const missed = run("+--").reach;
    assert.equal(run("--", step(missed, { kind: "late" }, 9, lan).reach).effects.length, 0);
    const burst = run("+---mmmm").reach;
    assert.deepEqual(run("m--", step(burst, { kind: "late" }, 9, lan).reach).effects, []);
    const cut = run("+---mmmmm").reach;
    assert.equal(step(cut, { kind: "late" }, 9, lan).reach.phase, "cut");
  });

  test("[DSD-28] an interface that is down is a cut at once, and once", () => {
    const down = step(run("+++").reach, { kind: "down" }, 4, lan);
    assert.equal(down.effect, "cut");
    assert.equal(step(down.reach, { kind: "down" }, 5, lan).effect, undefined);
  });

  test("whatever happens, a cut follows only a full silent window", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("+", "-", "p", "m", "late"), { maxLength: 400 }), (events) => {
        let reach = newReach;
        let silent = 0;
        for (const [tick, letter] of events.entries()) {
          const burst = letter === "p" || letter === "m";
          const heard = letter === "+" || letter === "p";
          const inBurst = reach.phase === "burst";
          const result = step(reach, letter === "late" ? { kind: "late" } : { kind: burst ? "burst-tick" : "tick", heard }, tick, lan);
          if (letter === "late" || (heard && burst === inBurst)) silent = 0;
          else if (burst === inBurst) silent++;
          if (result.effect === "cut") assert.ok(silent >= lan.missesMax + lan.burstProbes);
          reach = result.reach;
        }
      }),
    );
  });
});

describe("the numbers of the presets", () => {
  test("the window at 10 % loss is wrong less than once in 10⁸, and costs 40 datagrams a second for two routes", () => {
    for (const periods of Object.values(probePresets)) assert.ok(falseCutChance(periods, 0.1) <= 1e-8);
    assert.equal(probesPerSecond(lan, 2), 40);
    assert.equal(probesPerSecond(probePresets.wan, 2), 8);
    assert.equal(lan.missesMax * lan.probeMs + lan.burstProbes * lan.burstMs, 500);
  });
});
