import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Verdict } from "./probe.ts";
import { type HostCase, type RouteCase, hearingOf, judgeHost, judgeRoute } from "./verdict.ts";

const heard = (asked: number, ...verdicts: Verdict[]) => hearingOf(asked, verdicts, true);
const closed = (asked: number, ...verdicts: Verdict[]) => hearingOf(asked, verdicts, false);

describe("the verdict on a route", () => {
  const usual: RouteCase = { ownerDown: false, everHeard: true, ownSuspected: false, hearing: undefined };
  const cases: [string, Partial<RouteCase>, ReturnType<typeof judgeRoute>][] = [
    ["nobody asked yet", {}, "ask"],
    ["one has not answered yet", { hearing: heard(2, "silent") }, "wait"],
    ["all say silent", { hearing: heard(2, "silent", "silent") }, "cut"],
    ["one reaches it: a fact of this pair", { hearing: heard(2, "silent", "answered") }, "pair-only"],
    ["its system answers over it", { hearing: heard(2, "silent", "system-lives") }, "pair-only"],
    ["the other did not answer in time", { hearing: closed(2, "silent") }, "cut"],
    ["nobody there to be asked", { hearing: closed(0) }, "cut"],
    ["nobody to ask, and it never worked", { hearing: closed(0), everHeard: false }, "unsure"],
    ["nobody to ask, and our own interface is suspected", { hearing: closed(0), ownSuspected: true }, "unsure"],
    ["suspected ourselves, but others say so too", { hearing: closed(2, "silent"), ownSuspected: true }, "cut"],
    ["it never worked, and others say so too", { hearing: closed(1, "silent"), everHeard: false }, "cut"],
    ["its owner says that the interface is down", { ownerDown: true }, "cut"],
  ];
  for (const [title, given, expected] of cases)
    test(`${title}: ${expected}`, () => assert.equal(judgeRoute({ ...usual, ...given }), expected));
});

describe("the verdict on a host", () => {
  const usual: HostCase = { hearings: [], confirmed: 0, systemAnswersUs: false };
  const silent3 = heard(3, "silent", "silent");
  const cases: [string, Partial<HostCase>, ReturnType<typeof judgeHost>][] = [
    ["an address nobody was asked about", { hearings: [silent3, undefined], confirmed: 2 }, "ask"],
    ["two of three", { hearings: [silent3, silent3], confirmed: 2 }, "silent"],
    ["one of three so far", { hearings: [heard(3, "silent")], confirmed: 1 }, "wait"],
    ["one of three, and no more", { hearings: [closed(3, "silent")], confirmed: 1 }, "unsure"],
    ["one of one", { hearings: [heard(1, "silent")], confirmed: 1 }, "silent"],
    ["one of two, and no more", { hearings: [closed(2, "silent")], confirmed: 1 }, "unsure"],
    ["nobody there to be asked", { hearings: [closed(0)], confirmed: 0 }, "unsure"],
    ["somebody reaches one address", { hearings: [silent3, heard(3, "silent", "silent", "answered")], confirmed: 2 }, "pair-only"],
    ["its system answers somebody", { hearings: [silent3, heard(3, "silent", "silent", "system-lives")], confirmed: 2 }, "agent-silent"],
    ["its system answers us", { hearings: [silent3, silent3], confirmed: 2, systemAnswersUs: true }, "agent-silent"],
    ["we still wait for its system", { hearings: [silent3, silent3], confirmed: 2, systemAnswersUs: undefined }, "wait"],
  ];
  for (const [title, given, expected] of cases)
    test(`${title}: ${expected}`, () => assert.equal(judgeHost({ ...usual, ...given }), expected));
});
