import { describe } from "./describe.ts";
import type { RunRecord, Sighting } from "./record.ts";
import { type Scenario, observedHosts } from "./scenario.ts";
import { describeStruck } from "./strikes.ts";
import type { LoadReport } from "./tally.ts";
import { type Verdict, toldAfter } from "./verdict.ts";

export interface TimelineLine {
  readonly atMs: number;
  readonly text: string;
}

/** Sightings of one thing on several hosts belong together when they are this close. */
const togetherMs = 3000;
const saidMax = 40;
const lineMax = 180;

/** What was done when, and who knew when; in order of time. */
export function timeline(scenario: Scenario, record: RunRecord): readonly TimelineLine[] {
  const hosts = observedHosts(scenario.fleet);
  return [
    ...record.deeds.flatMap((deed) => {
      const lines = [
        {
          atMs: deed.atMs,
          text: `▶ ${describe(deed.action)}${deed.struck === undefined ? "" : ` (${describeStruck(deed.struck)})`}${lateness(deed.doneMs - deed.atMs)}`,
        },
      ];
      if (deed.known !== undefined) {
        const told = [
          ...toldAfter(
            deed,
            deed.known,
            hosts.filter((host) => deed.known?.except?.includes(host) !== true),
            record,
          ),
        ];
        const times = told.flatMap(([, afterMs]) => (afterMs === undefined ? [] : [afterMs]));
        const allMs = Math.max(...times);
        if (times.length === told.length)
          lines.push({ atMs: deed.atMs + allMs, text: `● known on all ${told.length} hosts, ${allMs.toFixed(1)} ms after` });
      }
      return lines;
    }),
    ...sightingLines(record.sightings.filter(({ atMs }) => atMs >= 0)),
    ...record.ends.filter(({ asked }) => !asked).map(({ atMs, process, how }) => ({ atMs, text: `! ${process} ended: ${how}` })),
    ...record.said
      .filter(({ atMs }) => atMs >= 0)
      .slice(0, saidMax)
      .map(({ atMs, process, line }) => ({ atMs, text: `  ${process}: ${line.slice(0, lineMax)}` })),
    ...record.loads.flatMap(loadLines),
  ].toSorted((a, b) => a.atMs - b.atMs);
}

/** The same news on several hosts is one line: the thing, and after how long each was told. */
function sightingLines(sightings: readonly Sighting[]): readonly TimelineLine[] {
  const open = new Map<string, { readonly first: Sighting; readonly told: string[] }>();
  const lines: TimelineLine[] = [];
  const finish = ({ first, told }: { readonly first: Sighting; readonly told: readonly string[] }) =>
    lines.push({ atMs: first.atMs, text: `○ ${newsOf(first)}  ${told.join(" ")}` });
  for (const sighting of sightings.toSorted((a, b) => a.atMs - b.atMs)) {
    const news = newsOf(sighting);
    const known = open.get(news);
    const isSame =
      known !== undefined &&
      sighting.atMs - known.first.atMs < togetherMs &&
      !known.told.some((text) => text.startsWith(`${sighting.host} `));
    if (known !== undefined && isSame) known.told.push(`${sighting.host} +${(sighting.atMs - known.first.atMs).toFixed(1)}`);
    else {
      if (known !== undefined) finish(known);
      open.set(news, { first: sighting, told: [`${sighting.host} +0`] });
    }
  }
  for (const known of open.values()) finish(known);
  return lines;
}

function newsOf({ table, key, event, valid, value }: Sighting): string {
  if (event === "attached" || event === "detached") return event === "attached" ? "hears the directory" : "does not hear the directory";
  if (event === "Subscribe") return "events were discarded";
  if (event === "Delete") return `${table}/${key} deleted`;
  const state = /"state":"(\w+)"/.exec(value)?.[1];
  return `${table}/${key} ${state ?? (valid ? "valid" : "invalid")}${table === "host-route" ? ` ${value}` : ""}`;
}

function loadLines(load: LoadReport): readonly TimelineLine[] {
  const { failures, longestGap, slowest } = load;
  const caller = nameOf(load);
  const [first] = failures;
  const last = failures.at(-1);
  const lines: TimelineLine[] = [];
  if (first !== undefined)
    lines.push({
      atMs: first.failedMs,
      text: `✗ ${caller}: first failed request (${first.code}: ${first.message.slice(0, 100)}), sent ${(first.sentMs / 1000).toFixed(3)} s`,
    });
  if (last !== undefined && last !== first)
    lines.push({
      atMs: last.failedMs,
      text: `✗ ${caller}: ${load.failed > failures.length ? `failed request ${failures.length}` : "last failed request"} (${last.code})`,
    });
  const gapMs = longestGap.toMs - longestGap.fromMs;
  if (gapMs > 0) lines.push({ atMs: longestGap.toMs, text: `… ${caller}: longest gap without an answer ends: ${gapMs.toFixed(1)} ms` });
  if (load.answered > 0)
    lines.push({ atMs: slowest.sentMs + slowest.tookMs, text: `… ${caller}: slowest answer, took ${slowest.tookMs.toFixed(1)} ms` });
  return lines;
}

function nameOf({ caller, work }: LoadReport): string {
  return work === undefined ? caller : `${caller}, ${work}`;
}

function lateness(tookMs: number): string {
  return tookMs < 5 ? "" : ` (took ${tookMs.toFixed(0)} ms)`;
}

export function timelineText(lines: readonly TimelineLine[]): string {
  return lines.map(({ atMs, text }) => `${(atMs / 1000).toFixed(4).padStart(9)} s  ${text}`).join("\n");
}

export function loadText(loads: readonly LoadReport[]): string {
  return loads
    .map(
      (load) =>
        `${nameOf(load)}: ${load.sent} requests, ${load.answered} answered, ${load.failed} failed, ${load.open} open; p50 ${load.p50Ms.toFixed(1)}, p99 ${load.p99Ms.toFixed(1)}, p99.9 ${load.p999Ms.toFixed(1)}, slowest ${load.slowest.tookMs.toFixed(1)} ms; longest gap ${(load.longestGap.toMs - load.longestGap.fromMs).toFixed(1)} ms`,
    )
    .join("\n");
}

export function verdictText(verdicts: readonly Verdict[]): string {
  return verdicts.map(({ what, ok, details }) => `${ok ? "ok    " : "FAILED"}  ${what}: ${details}`).join("\n");
}
