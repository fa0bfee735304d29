import { type GroupLimits, groupLimits } from "../../../src/groups/index.ts";
import { randomBelow } from "../../../src/kernel/index.ts";
import { demandLatest, mend as mendStage, runUntil, watched } from "../ordering/course.ts";
import { planFaults } from "../ordering/faults.ts";
import type { Trace } from "../ordering/stage.ts";
import { drawWeather, luckOf } from "../ordering/weather.ts";
import { violation } from "../roll/violation.ts";
import { planConspiracy } from "./conspiracies.ts";
import { faults } from "./faults.ts";
import type { Host } from "./host.ts";
import { judge } from "./judging.ts";
import { acceptLoss, putBack } from "./losses.ts";
import { Stage } from "./stage.ts";

/** What a run achieved: a model that acknowledges nothing violates nothing, so the sums have floors. */
export type WritesAchieved = Readonly<Record<(typeof achievements)[number], number>>;

const achievements = [
  "acknowledged",
  "reads",
  "unknown",
  "abandoned",
  "refused",
  "epochs",
  "takeovers",
  "crashes",
  "faults",
  "undecided",
  "events",
  "plots",
  "moved",
  "joined",
  "snapshots",
  "cutBacks",
  "rowsUnheard",
  "expired",
  "reused",
  "tooFewCopies",
  "outcomesFull",
  "queueFull",
  "windowFull",
  "tooLarge",
  "parted",
  "promoted",
  "putBack",
  "lost",
] as const;

/** Virtual milliseconds. */
const faultsFromMs = 80;
const writingMs = 1000;
/** After the last fault everybody is a member again, has everything, and goes on within this time. */
const convergeMsMax = 6000;

/** Limits that are reached within a run: members that come back need snapshots, and requests are refused. */
const tight: Partial<GroupLimits> = {
  queueMax: 10,
  windowMax: 4,
  leasesMax: 9,
  aheadMax: 3,
  logEntriesMax: 12,
  joinersMax: 1,
  latestMax: 3,
  executeMsMax: 12,
};
/** And of these one or none: a state that is too large to be copied keeps its joiners out. */
const tighter: readonly [Partial<GroupLimits>, ...Partial<GroupLimits>[]] = [
  {},
  {},
  {},
  { logEntriesMax: 5, aheadMax: 2 },
  { outcomeBytesMax: 900 },
  { endedMax: 1 },
  { queueMax: 4, queueBytesMax: 400 },
  { stateBytesMax: 500, logEntriesMax: 5 },
];
const glanceMs = 40;

/** One whole run: two to four servers, callers that write and read, and everything that can go wrong; equal seeds give equal runs. */
export async function runWritesSeed(seed: number, trace?: Trace): Promise<WritesAchieved> {
  const { stage, struck } = build(seed, trace);
  return watched(stage, async () => {
    const { world } = stage;
    const glance = () => {
      look(stage);
      world.after(glanceMs, glance);
    };
    glance();
    await world.run(writingMs);
    mend(stage);
    await converge(stage);
    const undecided = judge(stage);
    const { crashes, takeovers, sums } = stage;
    const count = (name: string) => stage.counts.get(name) ?? 0;
    return {
      ...sums,
      epochs: stage.roll.rows.length,
      takeovers,
      crashes,
      faults: struck(),
      undecided,
      events: world.events,
      plots: count("plots"),
      moved: count("moved"),
      joined: count("muster_group_joined_total"),
      snapshots: count("muster_group_snapshots_total"),
      cutBacks: stage.keeping.cutBacks,
      rowsUnheard: stage.roll.unheard,
      expired: count("groups/expired"),
      reused: count("groups/id-reused"),
      tooFewCopies: count("groups/too-few-copies"),
      outcomesFull: count("groups/outcomes-full"),
      queueFull: count("groups/queue-full"),
      windowFull: count("groups/window-full"),
      tooLarge: count("denied too-large"),
      parted: count("denied parted"),
      promoted: count("promoted"),
      putBack: count("put-back"),
      lost: stage.keeping.log.lost,
    };
  });
}

function build(seed: number, trace?: Trace): { readonly stage: Stage; readonly struck: () => number } {
  const luck = luckOf(seed * 7 + 3);
  const { random, some, pick } = luck;
  const servers = 2 + randomBelow(random, 3);
  const isRough = some(0.7);
  const limits = some(0.45) ? { ...tight, ...pick(tighter) } : undefined;
  const copiesMin = some(0.2) && limits?.stateBytesMax === undefined ? Math.min(servers, seed % 3 === 0 ? 3 : 2) : 1;
  const weather = drawWeather(luck, { isRough, late: 0.02, veryLate: 0.3, crashShares: [0, 0, 0.002, 0.002, 0.008] });
  const state = some(0.3) ? "replay" : "rows";
  const isAlwaysAsync = some(0.2);
  const stage = new Stage(
    seed,
    { ...weather, servers, copiesMin, state, isAlwaysAsync, ...(limits === undefined ? {} : { limits }) },
    trace,
  );
  const { world } = stage;
  for (const [number, host] of stage.hosts.entries())
    world.at(number < 2 || some(0.5) ? random.fraction() * 20 : random.fraction() * writingMs, () => host.start());
  const copies = some(0.7) ? "all" : "one";
  const keys = ["a", "b", "c", "d", "count"].slice(randomBelow(random, 4));
  const callers = 2 + randomBelow(random, 3);
  for (let number = 1; number <= callers; number++)
    stage.addCaller({
      name: `L${number}`,
      keys,
      window: 1 + randomBelow(random, 3),
      thinkMs: 35,
      copies,
      deadlineMs: some(0.3) ? [20, 200] : [200, 900],
    });
  let struck = 0;
  const happened = () => struck++;
  const plots = some(0.5) ? 1 + randomBelow(random, 2) : 0;
  planFaults(stage, faults, 2 + randomBelow(random, 7 - 2 * plots), [faultsFromMs, writingMs], happened);
  for (let left = plots; left > 0; left--) planConspiracy(stage, faultsFromMs, writingMs - 200, happened);
  if (some(0.06)) world.at(200 + 500 * random.fraction(), () => (some(0.6) ? acceptLoss : putBack)(stage) && happened());
  return { stage, struck: () => struck };
}

/** A copy ends with its deadline, but for the ticks in which a member looks. */
const overdueMsMax = 60;

/** I28: what a member keeps stays under its limits. I21: what waits there ends. I18: outcomes are forgotten as the log says. */
function look(stage: Stage): void {
  const limits = { ...groupLimits, ...stage.options.limits };
  for (const host of stage.hosts) {
    const { member, server } = host;
    if (member === undefined) continue;
    const { queued, leases, outcomes, logBase, logEnd, committed, joiners } = member.status();
    const late = host.overdue(stage.world.nowMs, overdueMsMax);
    if (late !== undefined) violation("I21", `${server} lets a copy of ${late} wait beyond its deadline`);
    const kept = stage.keeping.log.counts(committed.index);
    if (stage.keeping.log.has(committed) && (kept.leases !== leases || kept.outcomes !== outcomes))
      violation(
        "I18",
        `${server} keeps ${outcomes} outcomes of ${leases} callers at ${committed.index}, by the log it is ${kept.outcomes} of ${kept.leases}`,
      );
    const bounds: readonly (readonly [string, number, number])[] = [
      ["requests wait", queued, limits.queueMax],
      ["servers catch up", joiners.length, limits.joinersMax],
      ["callers are known", leases, limits.leasesMax],
      ["outcomes are kept", outcomes, leases * limits.windowMax],
      // Four times as many while a copy of the state is under way, which they follow on.
      ["entries are kept", committed.index - logBase, 4 * limits.logEntriesMax + limits.aheadMax],
      // After an accepted loss a takeover may find more than that.
      ["entries are ahead", stage.loss === undefined ? logEnd - committed.index : 0, 2 * limits.aheadMax + 2],
    ];
    for (const [what, is, max] of bounds) if (is > max) violation("I28", `${is} ${what} at ${server}, the limit is ${max}`);
  }
}

export function mend(stage: Stage): void {
  for (const host of stage.hosts) host.full = false;
  mendStage(stage);
}

/** I29: everybody is a member again, all have the same, and a new caller's write and read are answered. */
export async function converge(stage: Stage): Promise<void> {
  const { world } = stage;
  const limitMs = world.nowMs + convergeMsMax;
  const isIn = (server: string) => stage.roll.row?.members.some((one) => one.server === server) === true;
  // Who cannot take the state in stays outside and says so.
  const mayStayOut = ({ member }: Host) => member?.status().trouble?.code === "groups/state-too-large";
  const settled = () => {
    giveUpParted(stage);
    return (
      stage.hosts.every((host) => isIn(host.server) || mayStayOut(host)) && stage.callers.every(({ alive, open }) => !alive || open === 0)
    );
  };
  // An older roll may name a copy that is gone as the only one: the server says so, and only an operator goes on from there.
  const isLost = () => stage.loss !== undefined && stage.hosts.some(({ member }) => member?.status().trouble?.code === "groups/lost");
  if (!(await runUntil(stage, () => settled() || isLost(), limitMs))) violation("I29", `not everybody came back: ${describe(stage)}`);
  if (isLost()) return;
  // The outcomes of callers that are idle stay, and may fill what there is.
  if (stage.options.limits?.outcomeBytesMax !== undefined || stage.options.limits?.leasesMax !== undefined) await endCallers(stage);
  const last = stage.addCaller({ name: "last", keys: ["a"], window: 0, thinkMs: 1, copies: "all", deadlineMs: [900, 900] });
  const before = stage.sums.acknowledged;
  // A change of the row that was asked for long ago may still come in between.
  for (let tries = 0; tries < 3 && stage.sums.acknowledged === before; tries++) {
    let isOver = false;
    last.write({ kind: "append", key: "a", argument: `last${tries}` }, () => {
      isOver = true;
    });
    await runUntil(stage, () => isOver, world.nowMs + 1500);
  }
  if (stage.sums.acknowledged === before) violation("I29", `nobody answers: ${describe(stage)}`);
  await demandLatest(stage, last, ["a", "b", "c", "d", "count"], () => describe(stage));
  const equal = () => stage.hosts.every((host) => (host.member?.position().index ?? -1) >= stage.ledger.highest || mayStayOut(host));
  if (!(await runUntil(stage, equal, world.nowMs + 1000))) violation("I29", `not everybody has everything: ${describe(stage)}`);
}

/** Who holds what the group lacks, since an older roll was put back, stays outside and says so: an operator gives its copy up. */
function giveUpParted(stage: Stage): void {
  for (const host of stage.hosts) {
    if (host.member?.status().trouble?.code !== "groups/parted") continue;
    stage.trace?.(`GIVEN UP: the copy of ${host.server}`);
    host.crash();
    host.loseDisk();
    host.restart();
  }
}

async function endCallers(stage: Stage): Promise<void> {
  for (const { lease } of stage.callers) stage.roll.end(lease);
  await stage.world.runFor(100);
}

function describe(stage: Stage): string {
  const members = stage.hosts.map(({ member, server }) => JSON.stringify(member?.status() ?? `${server} is not open`));
  return `${JSON.stringify(stage.roll.row)}\n  ${members.join("\n  ")}`;
}
