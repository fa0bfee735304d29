import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Absence, type AbsenceKind, type GuardGround, type Hold, judge } from "./guard.ts";

const rules = { hostsMin: 4, shareMax: 0.3, windowMs: 1000, holdMs: 30_000 };

function absence(host: string, sinceMs = 0, kind: AbsenceKind = "silent", expired = false): Absence {
  return { host, kind, sinceMs, countsFromMs: sinceMs, judgedFromMs: sinceMs, dueMs: sinceMs, expired };
}

function ground(hosts: number, services: Readonly<Record<string, readonly string[]>> = {}): GuardGround {
  return { hosts, services: new Map(Object.entries(services).map(([name, members]) => [name, new Set(members)])) };
}

interface Case {
  readonly what: string;
  readonly absences: readonly Absence[];
  readonly ground: GuardGround;
  readonly nowMs?: number;
  readonly holds?: readonly (readonly [string, Hold])[];
  readonly held: readonly string[];
  readonly due: readonly string[];
}

const longHold: Hold = { untilMs: 30_000, among: "the fleet", silent: 3, of: 6 };

const cases: readonly Case[] = [
  { what: "one of six is given up", absences: [absence("A")], ground: ground(6), held: [], due: ["A"] },
  {
    what: "a switch is cut: three of six are held",
    absences: [absence("A"), absence("B", 100), absence("C", 200)],
    ground: ground(6),
    nowMs: 200,
    held: ["A", "B", "C"],
    due: [],
  },
  { what: "two of four are more than 30 %", absences: [absence("A"), absence("B")], ground: ground(4), held: ["A", "B"], due: [] },
  { what: "a fleet of three is never guarded", absences: [absence("A")], ground: ground(3), held: [], due: ["A"] },
  {
    what: "nor when all three are silent",
    absences: [absence("A"), absence("B"), absence("C")],
    ground: ground(3),
    held: [],
    due: ["A", "B", "C"],
  },
  {
    what: "30 % exactly is not more than 30 %",
    absences: [absence("A"), absence("B"), absence("C")],
    ground: ground(10),
    held: [],
    due: ["A", "B", "C"],
  },
  {
    what: "what is more than two windows apart did not begin together",
    absences: [absence("A"), absence("B", 2001)],
    ground: ground(5),
    nowMs: 2001,
    held: [],
    due: ["A", "B"],
  },
  {
    what: "two windows apart is together",
    absences: [absence("A"), absence("B", 2000)],
    ground: ground(5),
    nowMs: 2000,
    held: ["A", "B"],
    due: [],
  },
  {
    what: "one that was given up a moment ago counts, and stays given up",
    absences: [absence("A", 0, "silent", true), absence("B", 300)],
    ground: ground(5),
    nowMs: 300,
    held: ["B"],
    due: [],
  },
  {
    what: "a closed link during a mass silence is no silence: it is given up",
    absences: [absence("A"), absence("B"), absence("C"), absence("D", 0, "closed")],
    ground: ground(8),
    held: ["A", "B", "C"],
    due: ["D"],
  },
  {
    what: "many closed links are judged among themselves",
    absences: [absence("A", 0, "closed"), absence("B", 0, "closed"), absence("C", 0, "closed")],
    ground: ground(6),
    held: ["A", "B", "C"],
    due: [],
  },
  {
    what: "a service on four hosts is guarded in a fleet of a hundred",
    absences: [absence("A"), absence("B"), absence("Z")],
    ground: ground(100, { "metadata/MDS": ["A", "B", "C", "D"] }),
    held: ["A", "B"],
    due: ["Z"],
  },
  {
    what: "a service on three hosts is not",
    absences: [absence("A"), absence("B")],
    ground: ground(100, { "metadata/MDS": ["A", "B", "C"] }),
    held: [],
    due: ["A", "B"],
  },
  {
    what: "a hold lasts although others have come back",
    absences: [absence("A")],
    ground: ground(6),
    nowMs: 29_999,
    holds: [["A", longHold]],
    held: [],
    due: [],
  },
  {
    what: "a hold ends 30 s after the silence began",
    absences: [absence("A"), absence("B"), absence("C")],
    ground: ground(6),
    nowMs: 30_000,
    holds: [
      ["A", longHold],
      ["B", longHold],
      ["C", longHold],
    ],
    held: [],
    due: ["A", "B", "C"],
  },
  {
    what: "who falls silent during a hold, alone, is given up",
    absences: [absence("A"), absence("B"), absence("C"), absence("D", 15_000)],
    ground: ground(6),
    nowMs: 15_000,
    holds: [
      ["A", longHold],
      ["B", longHold],
      ["C", longHold],
    ],
    held: [],
    due: ["D"],
  },
  {
    what: "nobody is judged before its time",
    absences: [{ ...absence("A"), judgedFromMs: 5000, dueMs: 5000 }],
    ground: ground(6),
    nowMs: 4999,
    held: [],
    due: [],
  },
  {
    what: "who is merely out of sight does not make a mass of the first who is silent",
    absences: [
      absence("A"),
      { ...absence("B"), countsFromMs: 5000, judgedFromMs: 5000 },
      { ...absence("C"), countsFromMs: 5000, judgedFromMs: 5000 },
    ],
    ground: ground(6),
    held: [],
    due: ["A"],
  },
];

describe("the mass-failure guard", () => {
  for (const { what, absences, ground: about, nowMs = 0, holds = [], held, due } of cases)
    test(what, () => {
      const verdict = judge(absences, new Map(holds), about, nowMs, rules);
      assert.deepEqual([...verdict.held.keys()].sort(), held);
      assert.deepEqual([...verdict.due].sort(), due);
    });

  test("it says how many of how many fell silent, among whom, and until when", () => {
    const { held } = judge(
      [absence("A", 10), absence("B", 20)],
      new Map(),
      ground(50, { "metadata/MDS": ["A", "B", "C", "D"] }),
      20,
      rules,
    );
    assert.deepEqual(held.get("A"), { untilMs: 30_010, among: "metadata/MDS", silent: 2, of: 4 });
  });

  test("whatever is absent is given up at most 30 s after it fell silent, and nobody is both held and given up", () => {
    const anyAbsence = fc.record({ since: fc.integer({ min: 0, max: 60_000 }), closed: fc.boolean() });
    fc.assert(
      fc.property(fc.array(anyAbsence, { maxLength: 30 }), fc.integer({ min: 1, max: 60 }), (every, others) => {
        const gone = new Set<string>();
        let holds = new Map<string, Hold>();
        const about = ground(every.length + others);
        for (let nowMs = 0; nowMs <= 100_000; nowMs += 500) {
          const absences = every
            .map(({ since, closed }, index) => absence(`H${index}`, since, closed ? "closed" : "silent", gone.has(`H${index}`)))
            .filter(({ sinceMs }) => sinceMs <= nowMs);
          const { held, due } = judge(absences, holds, about, nowMs, rules);
          for (const host of due) {
            assert.ok(!held.has(host) && !gone.has(host));
            gone.add(host);
          }
          holds = new Map([...holds, ...held].filter(([host]) => !gone.has(host)));
          for (const { host, sinceMs } of absences)
            if (nowMs >= sinceMs + rules.holdMs + 500) assert.ok(gone.has(host), `${host} at ${nowMs}`);
        }
      }),
      { numRuns: 60 },
    );
  });
});
