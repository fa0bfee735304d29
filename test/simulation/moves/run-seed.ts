import type { GroupLimits } from "../../../src/groups/index.ts";
import { randomBelow } from "../../../src/kernel/index.ts";
import { ownerOf, slotOf } from "../../../src/tables/index.ts";
import { demandLatest, mend, runUntil, watched } from "../ordering/course.ts";
import { planFaults } from "../ordering/faults.ts";
import type { Trace } from "../ordering/stage.ts";
import { drawWeather, luckOf } from "../ordering/weather.ts";
import { violation } from "../roll/violation.ts";
import { checkLinearizable, describeLinearized } from "../writes/linearizability.ts";
import { faults } from "./faults.ts";
import { checkSessionReads } from "./session-reads.ts";
import { MovesStage } from "./stage.ts";

/** What a run achieved: the sums have floors, for a model that moves nothing violates nothing. */
export interface MovesAchieved {
  readonly acknowledged: number;
  readonly reads: number;
  readonly unknown: number;
  readonly abandoned: number;
  /** Copies that were sent on because their slot had gone. */
  readonly moved: number;
  readonly moves: number;
  /** Writes to a key at another group than the write before them. */
  readonly followed: number;
  readonly crashes: number;
  readonly faults: number;
  readonly undecided: number;
  readonly events: number;
}

const writingMs = 900;
const convergeMsMax = 8000;
/** Some of them share a slot. */
export const keys = ["a", "b", "c", "d", "e", "f"] as const;

const tight: Partial<GroupLimits> = {
  queueMax: 10,
  windowMax: 6,
  leasesMax: 12,
  aheadMax: 3,
  logEntriesMax: 14,
  joinersMax: 1,
  latestMax: 3,
  executeMsMax: 60,
};

/** One whole run: two or three groups that share the keys of a service, and slots that move among them while everything goes wrong. */
export async function runMovesSeed(seed: number, trace?: Trace): Promise<MovesAchieved> {
  const { stage, struck } = build(seed, trace);
  return watched(stage, async () => {
    await stage.world.run(writingMs);
    mend(stage);
    await converge(stage);
    const undecided = judge(stage);
    const { acknowledged, reads, unknown, abandoned, moved } = stage.sums;
    const { moves, crashes } = stage;
    const followed = stage.ledger.effectsAfterMove;
    return {
      acknowledged,
      reads,
      unknown,
      abandoned,
      moved,
      moves,
      followed,
      crashes,
      faults: struck(),
      undecided,
      events: stage.world.events,
    };
  });
}

function build(seed: number, trace?: Trace): { readonly stage: MovesStage; readonly struck: () => number } {
  const luck = luckOf(seed * 11 + 3);
  const { random, some } = luck;
  const isRough = some(0.7);
  const groups = Array.from({ length: 2 + randomBelow(random, 2) }, () => 1 + randomBelow(random, 3));
  const weather = drawWeather(luck, { isRough, late: 0.03, veryLate: 0.4, crashShares: [0, 0, 0.001, 0.002, 0.005] });
  const limits = { ...(some(0.4) ? tight : {}), ...(some(0.6) ? { slotPartBytesMax: 150 } : {}) };
  const stage = new MovesStage(seed, { ...weather, groups, limits }, trace);
  const { world } = stage;
  for (const host of stage.hosts) world.at(random.fraction() * 20, () => host.start());
  const callers = 2 + randomBelow(random, 3);
  const some4 = keys.slice(randomBelow(random, 4));
  for (let number = 1; number <= callers; number++)
    stage.addCaller({
      name: `L${number}`,
      keys: some4,
      window: 1 + randomBelow(random, 3),
      thinkMs: 30,
      deadlineMs: some(0.3) ? [20, 200] : [200, 900],
    });
  const moves = 3 + randomBelow(random, 8);
  for (let at = 0; at < moves; at++)
    world.at(40 + random.fraction() * (writingMs - 140), () =>
      stage.move(some(0.2) ? keys : [stage.pick(some4)], stage.pick(stage.groups)),
    );
  let struck = 0;
  planFaults(stage, faults, randomBelow(random, 8), [60, writingMs], () => struck++);
  return { stage, struck: () => struck };
}

/** What was asked of the roll before everything was mended has happened by then, or never will. */
const lateMsMax = 900;

/** I29: everybody is a member, no slot is on its way, and a new caller's writes and reads of all keys are answered. */
export async function converge(stage: MovesStage): Promise<void> {
  const { world } = stage;
  await world.runFor(lateMsMax);
  const limitMs = world.nowMs + convergeMsMax;
  const isWhole = () => stage.groups.every((group) => stage.roll.row(group)?.members.length === stage.hostsOf(group).length);
  const isDone = () => isWhole() && stage.roll.map?.moves.length === 0 && stage.callers.every(({ alive, open }) => !alive || open === 0);
  if (!(await runUntil(stage, isDone, limitMs))) violation("I29", `not everything is where it should be: ${describe(stage)}`);
  const last = stage.addCaller({ name: "last", keys: ["a"], window: 0, thinkMs: 1, deadlineMs: [1900, 1900] });
  let ended = 0;
  const before = stage.sums.acknowledged;
  for (const key of keys) last.write({ kind: "append", key, argument: `last ${key};` }, () => ended++);
  await runUntil(stage, () => ended === keys.length, world.nowMs + 2500);
  if (stage.sums.acknowledged < before + keys.length) violation("I29", `nobody answers: ${describe(stage)}`);
  await demandLatest(stage, last, keys, () => describe(stage));
  const equal = () =>
    stage.hosts.every(({ member, group }) => (member?.position().index ?? -1) >= (stage.ledger.highest.get(group) ?? 0)) &&
    stage.hosts.every(({ member }) => keys.every((key) => isSettled(member?.slots.of(slotOf(key))?.kind)));
  if (!(await runUntil(stage, equal, world.nowMs + 1000))) violation("I29", `not everybody has everything: ${describe(stage)}`);
}

function isSettled(kind: string | undefined): boolean {
  return kind === undefined || kind === "owned" || kind === "released";
}

function describe(stage: MovesStage): string {
  const members = stage.hosts.map(({ member, server }) => {
    const slots = keys.map((key) => `${slotOf(key)} ${JSON.stringify(member?.slots.of(slotOf(key)) ?? null)}`);
    return `${server} ${JSON.stringify(member?.status() ?? "is not open")}\n    ${slots.join("\n    ")}`;
  });
  const rows = stage.groups.map((group) => JSON.stringify(stage.roll.row(group)));
  return `${JSON.stringify(stage.roll.map)}\n  ${rows.join("\n  ")}\n  ${members.join("\n  ")}\n  open: ${stage.callers.map(({ lease, open }) => `${lease} ${open}`).join(", ")}`;
}

/** Returns how many searches were given up. */
export function judge(stage: MovesStage): number {
  const { ledger, history, sessions } = stage;
  for (const caller of stage.callers) caller.noteUnknown((id) => ledger.hasEffect(id));
  const { map } = stage.roll;
  const owns = (group: string) => (key: string) => map !== undefined && ownerOf(map, slotOf(key))?.instance === group;
  for (const { server, group, state } of stage.hosts)
    if (state !== undefined) ledger.judgeState(group, server, state.snapshot(), owns(group));
  const wrong = checkSessionReads(history, sessions, (key) => ledger.versions(key));
  if (wrong !== undefined) violation("I20", wrong);
  const linearized = checkLinearizable(history, 200_000);
  if (linearized.verdict === "no") violation("I20", describeLinearized(linearized));
  return linearized.verdict === "undecided" ? 1 : 0;
}
