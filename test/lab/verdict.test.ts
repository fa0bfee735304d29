import assert from "node:assert/strict";
import { test } from "node:test";
import type { WorkOperation } from "./histories/work.ts";
import type { Deed, RunRecord, Sighting } from "./record.ts";
import { type FleetPlan, type Scenario, at, kill, known, noServerAccused, noneFails, start, strike } from "./scenario.ts";
import { scenarios } from "./scenarios/index.ts";
import { LoadTally } from "./tally.ts";
import { timeline } from "./timeline.ts";
import { judge } from "./verdict.ts";

const scenario: Scenario = {
  name: "small",
  about: "",
  fleet: { networks: 1, hosts: ["A", "B"].map((name) => ({ name, node: "agent" })) },
  load: { service: "S", requestsPerSecond: 1, serviceTimeMs: 1, deadlineMs: 10 },
  roundMs: 1000,
  steps: () => [at(50, kill("S.1.1"), known("S.1.1", 20))],
  expect: [noneFails, noServerAccused],
};

function told(host: string, atMs: number, valid: boolean): Sighting {
  return { atMs, host, table: "metadata", key: "S.1.1", event: "Add", valid, value: "{}" };
}

function attached(host: string): Sighting {
  return { atMs: -10, host, table: "", key: "", event: "attached", valid: true, value: "" };
}

function record(sightings: readonly Sighting[], failures = 0): RunRecord {
  const tally = new LoadTally("caller A");
  tally.sent(0);
  if (failures > 0) tally.failed(0, 1, "requests/no-server", "nobody");
  else tally.answered(0, 1);
  return {
    scenario: "small",
    runner: "simulated",
    durationMs: 1000,
    deeds: scenario.steps(0).map((step) => ({ ...step, doneMs: step.atMs })),
    sightings: [...["A", "B"].map(attached), ...sightings],
    ends: [],
    said: [],
    loads: [tally.report(1000)],
  };
}

const outcome = (run: RunRecord) => judge(scenario, run).map(({ ok }) => ok);

test("known everywhere means: the last host was told in time, after the step", () => {
  assert.deepEqual(outcome(record([told("A", 55, false), told("B", 69, false)])).slice(0, 3), [true, true, true]);
  assert.equal(outcome(record([told("A", 55, false), told("B", 71, false)]))[1], false, "too late");
  assert.equal(outcome(record([told("A", 55, false)]))[1], false, "B was never told");
  assert.equal(outcome(record([told("A", 55, false), told("B", 40, false)]))[1], false, "B was told something before");
  assert.equal(outcome(record([told("A", 55, false), told("B", 60, true)]))[1], false, "B was told something else");
});

test("a failed request, and a load that never ran, do not pass", () => {
  assert.equal(outcome(record([], 1))[2], false);
  assert.equal(outcome({ ...record([]), loads: [] })[2], false);
});

test("an experiment that did not take place proves nothing", () => {
  const sound = record([told("A", 55, false), told("B", 60, false)]);
  const tookPlace = (run: RunRecord) => outcome(run)[0];
  assert.equal(tookPlace(sound), true);
  assert.equal(tookPlace({ ...sound, deeds: [] }), false, "a step was left out");
  assert.equal(tookPlace({ ...sound, loads: [] }), false, "hardly anything was asked");
  assert.equal(tookPlace({ ...sound, sightings: sound.sightings.filter(({ host }) => host !== "B") }), false, "an observer was deaf");
  const ended = { atMs: 5, process: "agent A", how: "SIGSEGV", asked: false };
  assert.equal(tookPlace({ ...sound, ends: [ended] }), false, "a program ended by itself");
  assert.equal(tookPlace({ ...sound, ends: [{ ...ended, asked: true }] }), true);
});

test("strikes that hit nobody, and groups that were not used while they were struck, prove nothing", () => {
  const steps = () => [at(50, strike({ leaderOf: "S.1" }, "kill", 30))];
  const fleet: FleetPlan = { networks: 1, hosts: ["A", "B"].map((name) => ({ name, node: "agent", members: [`S.1.${name}`] })) };
  const shares = { writes: 1, "session reads": 0, "latest reads": 0 };
  const struck: Scenario = { ...scenario, fleet, steps, load: { ...scenario.load, work: { keysPerGroup: 1, shares } }, expect: [] };
  const answers = (count: number): readonly WorkOperation[] =>
    Array.from({ length: count }, (_, number) => {
      const index = number + 1;
      const [id, key, kind] = [`${number}`, "S.1/text1", "put"] as const;
      const times = { invokedMs: 60 + index, respondedMs: 60.5 + index };
      return {
        id,
        client: "caller A",
        group: "S.1",
        key,
        kind,
        argument: id,
        ...times,
        result: null,
        position: { epoch: 0, index },
        fate: "answered",
      };
    });
  const blow = { host: "A", groups: ["S.1"], leads: ["S.1"] };
  const deeds: readonly Deed[] = [
    { atMs: 50, doneMs: 50, action: kill("members A"), struck: blow },
    { atMs: 80, doneMs: 80, action: start("members A") },
  ];
  const took = (done: readonly Deed[], operations: readonly WorkOperation[]) =>
    judge(struck, { ...record([]), deeds: done, history: { operations, kept: [] } })[0];
  assert.equal(took(deeds, answers(10))?.details, "2 steps, 1 requests, 1 strikes, 1 of them at a server that synchronised a group");
  assert.equal(took(deeds, answers(9))?.ok, false, "the group was hardly used");
  assert.equal(took([], answers(10))?.ok, false, "the strike hit nobody");
  assert.equal(judge(struck, { ...record([]), deeds })[0]?.ok, false, "nothing was written down");
});

test("what must never be told is found wherever it was told", () => {
  assert.equal(outcome(record([]))[3], true);
  assert.equal(outcome(record([told("B", 10, false)]))[3], false);
});

test("what may be told now and then is counted for each host and each round", () => {
  const flapping: Scenario = {
    ...scenario,
    expect: [{ expect: "rarely", fact: { table: "metadata", key: "*", valid: false }, why: "", timesMax: 1 }],
  };
  const rarely = (...sightings: readonly Sighting[]) => judge(flapping, { ...record(sightings), durationMs: 2000 }).at(-1)?.ok;
  assert.equal(rarely(told("A", 10, false), told("B", 20, false), told("A", 1010, false)), true);
  assert.equal(rarely(told("A", 10, false), told("A", 20, false)), false);
});

test("who is without the directory for too long is found, also when it is so to the end", () => {
  const hearing = (host: string, atMs: number, event: "attached" | "detached"): Sighting => ({ ...attached(host), atMs, event });
  const listening: Scenario = { ...scenario, expect: [{ expect: "hears", maxMs: 300 }] };
  const hears = (...sightings: readonly Sighting[]) => judge(listening, record(sightings)).at(-1);
  assert.equal(hears()?.ok, true);
  assert.equal(hears(hearing("A", 100, "detached"), hearing("A", 400, "attached"))?.ok, true);
  assert.equal(hears(hearing("A", 100, "detached"), hearing("A", 401, "attached"))?.value, 301);
  assert.equal(hears(hearing("B", 600, "detached"))?.ok, false, "until the end");
  assert.equal(hears(hearing("B", -900, "detached"), hearing("B", 200, "attached"))?.value, 200, "what was before does not count");
});

test("the slowest thousandth of one part of a round is held against that of another", () => {
  const [of, than] = [
    { fromMs: 500, toMs: 1000 },
    { fromMs: 0, toMs: 500 },
  ];
  const tail = (tookMs: number, keepsAnswers = true) => {
    const tally = new LoadTally("caller A", { keepsAnswers });
    for (let sentMs = 0; sentMs < 1000; sentMs++) {
      tally.sent(sentMs);
      tally.answered(sentMs, sentMs + (sentMs === 700 ? tookMs : 10));
    }
    const expected: Scenario = { ...scenario, expect: [{ expect: "tail", of, than, timesMax: 3 }] };
    return judge(expected, { ...record([]), loads: [tally.report(2000)] }).at(-1);
  };
  assert.equal(tail(30)?.ok, true);
  assert.equal(tail(31)?.value, 3.1);
  assert.equal(tail(31)?.ok, false);
  assert.equal(tail(10, false)?.ok, false, "nothing was kept");
});

test("a step can ask whether hosts hear the directory again", () => {
  const steps = () => [at(50, kill("relay A"), { facts: [{ hears: true }], withinMs: 20, except: ["B"] })];
  const known = (atMs: number) => {
    const run = record([{ ...attached("A"), atMs }]);
    return judge({ ...scenario, steps }, { ...run, deeds: steps().map((step) => ({ ...step, doneMs: step.atMs })) })[1];
  };
  assert.equal(known(69)?.ok, true);
  assert.equal(known(71)?.ok, false);
  assert.equal(known(40)?.ok, false, "it heard it before");
});

test("a timeline puts the same news of several hosts into one line, in order of time", () => {
  const texts = timeline(scenario, record([told("A", 55, false), told("B", 60, false)])).map(({ text }) => text);
  assert.deepEqual(texts.slice(-3), ["▶ kill S.1.1", "○ metadata/S.1.1 invalid  A +0 B +5.0", "● known on all 2 hosts, 10.0 ms after"]);
});

test("every scenario can be told from the others, and its steps stay within its rounds", () => {
  assert.equal(new Set(scenarios.map(({ name }) => name)).size, scenarios.length);
  for (const { name, roundMs, steps } of scenarios)
    for (const round of [0, 1, 2]) {
      const times = steps(round).map(({ atMs }) => atMs);
      assert.deepEqual(
        times,
        times.toSorted((a, b) => a - b),
        `${name}: steps in order of time`,
      );
      assert.ok(
        times.every((atMs) => atMs >= 0 && atMs < roundMs),
        `${name}: steps within the round`,
      );
    }
});
