import { describe } from "./describe.ts";
import { longestGap } from "./histories/gaps.ts";
import { judgeHistory } from "./histories/verdicts.ts";
import type { Deed, RunRecord, Sighting } from "./record.ts";
import {
  type Expectation,
  type Fact,
  type Knowledge,
  type Scenario,
  type Span,
  groupsOf,
  membersOf,
  observedHosts,
  plannedSteps,
} from "./scenario.ts";
import type { Struck } from "./strikes.ts";
import { quantile } from "./tally.ts";

/** A run that asked for less than this share of its planned requests has shown nothing about them. */
const carriedShareMin = 0.95;
/** And one in which a group that was struck answered less than this within so long was not used while it mattered. */
const answersAfterStrikeMin = 10;
const afterStrikeMs = 5000;
const tailShare = 0.999;

/** One expectation against what happened. `value` in milliseconds or requests; absent when it was never reached. */
export interface Verdict {
  readonly what: string;
  readonly ok: boolean;
  readonly value?: number;
  readonly details: string;
}

export function judge(scenario: Scenario, record: RunRecord): readonly Verdict[] {
  return [
    took(scenario, record),
    ...knowledge(scenario, record),
    ...scenario.expect
      .filter((expectation) => !("runsIn" in expectation) || expectation.runsIn?.includes(record.runner) !== false)
      .map((expectation) => judgeOne(expectation, scenario, record)),
    ...(record.history === undefined ? [] : judgeHistory(record.history, sizesOfGroups(scenario))),
  ];
}

function sizesOfGroups({ fleet }: Scenario): ReadonlyMap<string, number> {
  return new Map([...groupsOf(membersOf(fleet).map(({ server }) => server))].map(([group, servers]) => [group, servers.length]));
}

/** Whether the experiment took place: without that, all that "never happened" in it proves nothing. */
function took(scenario: Scenario, record: RunRecord): Verdict {
  const steps = plannedSteps(scenario, record.durationMs);
  const strikes = record.deeds.flatMap(({ atMs, struck }) => (struck === undefined ? [] : [{ atMs, ...struck }]));
  // A strike is done, and later undone.
  const planned = steps.length + steps.filter(({ action }) => action.do === "strike").length;
  const sent = sum(record.loads.map((load) => load.sent));
  const plannedRequests = (scenario.load.requestsPerSecond * record.durationMs) / 1000;
  const deaf = observedHosts(scenario.fleet).filter(
    (host) => !record.sightings.some((one) => one.host === host && one.event === "attached"),
  );
  const lacks = [
    ...(record.deeds.length === planned ? [] : [`${record.deeds.length} of ${planned} steps were taken`]),
    ...(sent >= plannedRequests * carriedShareMin ? [] : [`${sent} of ${plannedRequests} requests were sent`]),
    ...(deaf.length === 0 ? [] : [`observers that never heard the directory: ${deaf.join(", ")}`]),
    ...(scenario.load.work === undefined ? [] : idleGroups(record, strikes)),
    ...record.ends.filter(({ asked }) => !asked).map(({ process, how }) => `${process} ended unasked: ${how}`),
  ];
  return {
    what: "the experiment took place",
    ok: lacks.length === 0,
    details: lacks.length === 0 ? `${planned} steps, ${sent} requests${strikesText(strikes)}` : lacks.join("; "),
  };
}

function strikesText(strikes: readonly Struck[]): string {
  if (strikes.length === 0) return "";
  const leaders = strikes.filter(({ leads }) => leads.length > 0).length;
  return `, ${strikes.length} strikes, ${leaders} of them at a server that synchronised a group`;
}

/** Groups that answered too little just after one of their servers was struck. */
function idleGroups({ history }: RunRecord, strikes: readonly (Struck & { readonly atMs: number })[]): readonly string[] {
  if (history === undefined) return ["no history was written down"];
  const answered = Map.groupBy(
    history.operations.filter(({ fate }) => fate === "answered"),
    ({ group }) => group,
  );
  return strikes.flatMap(({ atMs, groups }) =>
    groups.flatMap((group) => {
      const ends = (answered.get(group) ?? []).map(({ respondedMs = 0 }) => respondedMs);
      const count = ends.filter((endMs) => endMs > atMs && endMs <= atMs + afterStrikeMs).length;
      return count >= answersAfterStrikeMin
        ? []
        : [`${group} answered ${count} within ${afterStrikeMs} ms after ${(atMs / 1000).toFixed(1)} s`];
    }),
  );
}

/** How long after the deed each host was told; undefined: never. */
export function toldAfter(
  deed: Deed,
  { facts }: Knowledge,
  hosts: readonly string[],
  record: RunRecord,
): ReadonlyMap<string, number | undefined> {
  return new Map(
    hosts.map((host) => {
      const first = record.sightings.find((one) => one.host === host && one.atMs >= deed.atMs && facts.some((fact) => shows(one, fact)));
      return [host, first === undefined ? undefined : first.atMs - deed.atMs];
    }),
  );
}

export function shows(sighting: Sighting, fact: Fact): boolean {
  if ("hears" in fact) return sighting.event === (fact.hears ? "attached" : "detached");
  if (sighting.table !== fact.table || (fact.key !== "*" && sighting.key !== fact.key)) return false;
  if (fact.deleted === true) return sighting.event === "Delete";
  if (sighting.event !== "Add") return false;
  if (fact.valid !== undefined && sighting.valid !== fact.valid) return false;
  if (fact.state !== undefined && !sighting.value.includes(`"state":"${fact.state}"`)) return false;
  return fact.value === undefined || sighting.value.includes(fact.value);
}

/** One verdict for all steps that say the same in other words ("kill MDS.1.1", "kill MDS.2.1": "kill"). */
function knowledge(scenario: Scenario, record: RunRecord): readonly Verdict[] {
  const hosts = observedHosts(scenario.fleet);
  const kinds = new Map<string, { readonly deed: Deed; readonly known: Knowledge }[]>();
  for (const deed of record.deeds)
    if (deed.known !== undefined) {
      const kind = `${deed.action.do}, within ${deed.known.withinMs} ms`;
      kinds.set(kind, [...(kinds.get(kind) ?? []), { deed, known: deed.known }]);
    }
  return [...kinds].map(([kind, deeds]) => {
    const worst = deeds.map(({ deed, known }) => {
      const told = toldAfter(
        deed,
        known,
        hosts.filter((host) => known.except?.includes(host) !== true),
        record,
      );
      const unknowing = [...told].filter(([, afterMs]) => afterMs === undefined).map(([host]) => host);
      const lastMs = Math.max(...[...told.values()].map((afterMs) => afterMs ?? Number.POSITIVE_INFINITY));
      return { deed, unknowing, lastMs };
    });
    const lastMs = Math.max(...worst.map((one) => one.lastMs));
    const withinMs = Math.max(...deeds.map(({ known }) => known.withinMs));
    const unknowing = worst.filter((one) => one.unknowing.length > 0);
    return {
      what: `known everywhere after ${kind}`,
      ok: lastMs <= withinMs,
      ...(Number.isFinite(lastMs) ? { value: lastMs } : {}),
      details:
        unknowing.length > 0
          ? unknowing.map((one) => `${describe(one.deed.action)}: never told ${one.unknowing.join(", ")}`).join("; ")
          : `${worst.map((one) => one.lastMs.toFixed(1)).join(", ")} ms`,
    };
  });
}

function judgeOne(expectation: Expectation, scenario: Scenario, record: RunRecord): Verdict {
  switch (expectation.expect) {
    case "failed": {
      const { max, hosts } = expectation;
      const loads = record.loads.filter(({ caller }) => hosts?.includes(caller.replace("caller ", "")) !== false);
      const failed = sum(loads.map((load) => load.failed + load.open));
      const sent = sum(loads.map((load) => load.sent));
      const reasons = [...new Set(loads.flatMap((load) => load.failures.map(({ code }) => code)))];
      return {
        what: `failed requests${hosts === undefined ? "" : ` of ${hosts.join(", ")}`} at most ${max}`,
        ok: failed <= max && sent > 0,
        value: failed,
        details: `${failed} of ${sent}${reasons.length === 0 ? "" : `: ${reasons.join(", ")}`}`,
      };
    }
    case "slowest": {
      const slowest = Math.max(0, ...record.loads.map((load) => load.slowest.tookMs));
      return {
        what: `slowest answer at most ${expectation.maxMs} ms`,
        ok: slowest <= expectation.maxMs,
        value: slowest,
        details: ms(slowest),
      };
    }
    case "gap": {
      const { work, maxMs } = expectation;
      const gap = record.history === undefined ? undefined : longestGap(record.history, work);
      const lengthMs = gap === undefined ? undefined : gap.toMs - gap.fromMs;
      return {
        what: `longest gap of ${work} from one group at most ${maxMs} ms`,
        ok: lengthMs !== undefined && lengthMs <= maxMs,
        ...(lengthMs === undefined ? {} : { value: lengthMs }),
        details:
          gap === undefined
            ? "nothing was asked"
            : `${ms(gap.toMs - gap.fromMs)}, ${gap.client}, ${gap.group}, to ${(gap.toMs / 1000).toFixed(3)} s`,
      };
    }
    case "tail": {
      const { of, than, timesMax } = expectation;
      const p999Ms = ({ fromMs, toMs }: Span) => {
        const answers = record.loads.flatMap((load) => load.answers ?? []);
        const within = answers.filter(({ sentMs }) => sentMs % scenario.roundMs >= fromMs && sentMs % scenario.roundMs < toMs);
        return quantile(Float64Array.from(within, ({ tookMs }) => tookMs).toSorted(), tailShare);
      };
      const [stuckMs, calmMs] = [p999Ms(of), p999Ms(than)];
      return {
        what: `p99.9 from ${of.fromMs} to ${of.toMs} ms at most ${timesMax} times that from ${than.fromMs} to ${than.toMs} ms`,
        ok: calmMs > 0 && stuckMs > 0 && stuckMs <= timesMax * calmMs,
        ...(calmMs > 0 ? { value: stuckMs / calmMs } : {}),
        details: `${ms(stuckMs)} against ${ms(calmMs)}: ${(stuckMs / calmMs).toFixed(2)} times`,
      };
    }
    case "rarely": {
      const { fact, why, timesMax = 0, except = [] } = expectation;
      const seen = record.sightings.filter((one) => one.atMs >= 0 && !except.includes(one.host) && shows(one, fact));
      const times = new Map<string, number>();
      for (const { host, atMs } of seen) {
        const roundOfHost = `${host} ${Math.floor(atMs / scenario.roundMs)}`;
        times.set(roundOfHost, (times.get(roundOfHost) ?? 0) + 1);
      }
      const most = Math.max(0, ...times.values());
      const [first] = seen;
      return {
        what: `${timesMax === 0 ? "never" : `at most ${timesMax} times a round`} told that ${factText(fact)}`,
        ok: most <= timesMax,
        value: most,
        details:
          first === undefined
            ? why
            : `${most} times in a round, first ${first.key} at ${(first.atMs / 1000).toFixed(3)} s to ${first.host}`,
      };
    }
    case "hears": {
      const { maxMs, except = [] } = expectation;
      const hosts = observedHosts(scenario.fleet).filter((host) => !except.includes(host));
      const longest = hosts.map((host) => ({ host, forMs: longestDeafMs(host, record) })).toSorted((a, b) => b.forMs - a.forMs)[0];
      const forMs = longest?.forMs ?? 0;
      return {
        what: `nobody is without the directory for longer than ${maxMs} ms at a time`,
        ok: forMs <= maxMs,
        value: forMs,
        details: forMs === 0 ? "nobody ever was" : `${longest?.host} for ${ms(forMs)}`,
      };
    }
    case "says": {
      const { process, words } = expectation;
      const line = record.said.find((said) => said.process === process && said.line.includes(words));
      return {
        what: `${process} says "${words}"`,
        ok: line !== undefined,
        details:
          line === undefined ? `not in ${record.said.filter((said) => said.process === process).length} lines` : line.line.slice(0, 160),
      };
    }
  }
}

/** Of the time that counts; one that is deaf at its end has been so until then. */
function longestDeafMs(host: string, { sightings, durationMs }: RunRecord): number {
  let longestMs = 0;
  let sinceMs: number | undefined;
  for (const { atMs, event } of sightings.filter((one) => one.host === host)) {
    if (event === "detached") sinceMs ??= Math.max(0, atMs);
    if (event !== "attached" || sinceMs === undefined) continue;
    longestMs = Math.max(longestMs, atMs - sinceMs);
    sinceMs = undefined;
  }
  return sinceMs === undefined ? longestMs : Math.max(longestMs, durationMs - sinceMs);
}

export function factText(fact: Fact): string {
  if ("hears" in fact) return fact.hears ? "the directory is heard again" : "the directory is not heard";
  const { table, key, valid, state, deleted, value } = fact;
  const words = [`${table}/${key}`];
  if (valid !== undefined) words.push(valid ? "is valid" : "is invalid");
  if (state !== undefined) words.push(`is ${state}`);
  if (deleted === true) words.push("is deleted");
  if (value !== undefined) words.push(`has ${value}`);
  return words.length === 1 ? `${table}/${key} is there` : words.join(" ");
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
