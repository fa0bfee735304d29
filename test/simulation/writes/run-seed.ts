import { type GroupLimits, groupLimits } from "../../../src/groups/index.ts";
import { SeededRandom, randomBelow } from "../../../src/kernel/index.ts";
import { violation } from "../roll/violation.ts";
import { planFaults } from "./faults.ts";
import { checkLinearizable, describeLinearized } from "./linearizability.ts";
import { checkSessions } from "./sessions.ts";
import { Stage } from "./stage.ts";

/** What a run achieved: a model that acknowledges nothing violates nothing, so the sums have floors. */
export interface WritesAchieved {
  readonly acknowledged: number;
  readonly reads: number;
  readonly unknown: number;
  readonly abandoned: number;
  readonly refused: number;
  readonly epochs: number;
  readonly takeovers: number;
  readonly crashes: number;
  readonly faults: number;
  readonly undecided: number;
  readonly events: number;
}

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
  executeMsMax: 60,
};
const glanceMs = 40;

/** One whole run: two to four servers, callers that write and read, and everything that can go wrong; equal seeds give equal runs. */
export async function runWritesSeed(seed: number, trace?: (line: string) => void): Promise<WritesAchieved> {
  const { stage, faults } = build(seed, trace);
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
    const { acknowledged, reads, unknown, abandoned, refused } = stage.sums;
    const { crashes, takeovers } = stage;
    const epochs = stage.roll.row?.epoch ?? 0;
    return {
      acknowledged,
      reads,
      unknown,
      abandoned,
      refused,
      epochs,
      takeovers,
      crashes,
      faults: faults(),
      undecided,
      events: world.events,
    };
  });
}

/** What is broken in a promise that nobody waits for must end the run, too. */
export async function watched<T>(stage: Stage, run: () => Promise<T>): Promise<T> {
  const fail = (thrown: unknown) => stage.world.fail(thrown);
  process.on("unhandledRejection", fail);
  try {
    return await run();
  } finally {
    process.off("unhandledRejection", fail);
  }
}

function build(seed: number, trace?: (line: string) => void): { readonly stage: Stage; readonly faults: () => number } {
  const random = new SeededRandom(seed * 7 + 3);
  const some = (share: number) => random.fraction() < share;
  const pick = <T>(list: readonly [T, ...T[]]): T => list[randomBelow(random, list.length)] ?? list[0];
  const servers = 2 + randomBelow(random, 3);
  const isRough = some(0.7);
  const stage = new Stage(
    seed,
    {
      servers,
      copiesMin: some(0.2) ? 2 : 1,
      paths: {
        latencyMs: 0.1,
        jitterMs: some(0.3) ? 8 : 1,
        loss: isRough ? 0.02 : 0,
        twice: isRough ? 0.03 : 0,
        late: isRough ? 0.02 : 0,
        lateMs: some(0.3) ? 800 : 60,
      },
      roll: { pushMs: 0.2, jitterMs: some(0.3) ? 40 : 3, lateShare: some(0.25) ? 0.4 : 0.03 },
      commitMs: some(0.2) ? 3 : 0.15,
      crashShare: pick([0, 0, 0.002, 0.002, 0.008]),
      timerLatenessMs: some(0.3) ? 3 : 0,
      tickMs: 5,
      ...(some(0.4) ? { limits: tight } : {}),
    },
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
  let faults = 0;
  planFaults(stage, 2 + randomBelow(random, 7), faultsFromMs, writingMs, () => faults++);
  return { stage, faults: () => faults };
}

/** I28: what a member keeps stays under its limits. */
function look(stage: Stage): void {
  const limits = { ...groupLimits, ...stage.options.limits };
  for (const { member, server } of stage.hosts) {
    if (member === undefined) continue;
    const { queued, leases, outcomes, logBase, logEnd, committed } = member.status();
    const bounds: readonly (readonly [string, number, number])[] = [
      ["requests wait", queued, limits.queueMax],
      ["callers are known", leases, limits.leasesMax],
      ["outcomes are kept", outcomes, leases * limits.windowMax],
      // Four times as many while a copy of the state is under way, which they follow on.
      ["entries are kept", committed.index - logBase, 4 * limits.logEntriesMax + limits.aheadMax],
      ["entries are ahead", logEnd - committed.index, 2 * limits.aheadMax + 2],
    ];
    for (const [what, is, max] of bounds) if (is > max) violation("I28", `${is} ${what} at ${server}, the limit is ${max}`);
  }
}

export function mend(stage: Stage): void {
  stage.trace?.("MENDED");
  stage.calm();
  stage.paths.mend();
  stage.roll.mend();
  for (const host of stage.hosts) {
    host.full = false;
    host.disk.slow(stage.options.commitMs, stage.options.commitMs);
    host.node.resume();
    if (!host.node.alive) host.restart();
    stage.roll.validate(host.server);
  }
  for (const caller of stage.callers) caller.stop();
}

/** I29: everybody is a member again, all have the same, and a new caller's write and read are answered. */
export async function converge(stage: Stage): Promise<void> {
  const { world } = stage;
  const limitMs = world.nowMs + convergeMsMax;
  const settled = () =>
    stage.roll.row?.members.length === stage.hosts.length && stage.callers.every(({ alive, open }) => !alive || open === 0);
  if (!(await runUntil(stage, settled, limitMs))) violation("I29", `not everybody came back: ${describe(stage)}`);
  const last = stage.addCaller({ name: "last", keys: ["a"], window: 0, thinkMs: 1, copies: "all", deadlineMs: [900, 900] });
  const before = stage.sums.acknowledged;
  let ended = 0;
  last.write({ kind: "append", key: "a", argument: "last" }, () => ended++);
  await runUntil(stage, () => ended === 1, world.nowMs + 1500);
  if (stage.sums.acknowledged === before) violation("I29", `nobody answers: ${describe(stage)}`);
  const keys = ["a", "b", "c", "d", "count"];
  // What was acknowledged is judged by these, too: they are part of the history.
  for (const key of keys)
    last.read(key, "latest", (found) => {
      if (found) ended++;
    });
  if (!(await runUntil(stage, () => ended === 1 + keys.length, world.nowMs + 1500))) violation("I29", `no latest read: ${describe(stage)}`);
  const equal = () => stage.hosts.every(({ member }) => (member?.position().index ?? -1) >= stage.ledger.highest);
  if (!(await runUntil(stage, equal, world.nowMs + 1000))) violation("I29", `not everybody has everything: ${describe(stage)}`);
}

/** Looks every few milliseconds: cheaper than after each event. */
async function runUntil(stage: Stage, met: () => boolean, limitMs: number): Promise<boolean> {
  const { world } = stage;
  while (!met()) {
    if (world.nowMs >= limitMs) return false;
    await world.run(world.nowMs + 10);
  }
  return true;
}

function describe(stage: Stage): string {
  const members = stage.hosts.map(({ member, server }) => JSON.stringify(member?.status() ?? `${server} is not open`));
  return `${JSON.stringify(stage.roll.row)}\n  ${members.join("\n  ")}`;
}

/** Returns how many searches were given up. */
function judge(stage: Stage): number {
  for (const caller of stage.callers) caller.noteUnknown((id) => stage.ledger.hasEffect(id));
  for (const { server, state, member } of stage.hosts)
    if (state !== undefined && member !== undefined) stage.ledger.compare(server, member.position().index, state.snapshot());
  const sessions = checkSessions(stage.history, stage.ledger.committedWrites());
  if (sessions !== undefined) violation("I20", sessions);
  const linearized = checkLinearizable(stage.history, 200_000);
  if (linearized.verdict === "no") violation("I20", describeLinearized(linearized));
  return linearized.verdict === "undecided" ? 1 : 0;
}
