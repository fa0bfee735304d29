import assert from "node:assert/strict";
import { UnknownOutcome } from "../../../src/fleet/index.ts";
import { MusterError, type Random, SeededRandom, randomBelow } from "../../../src/kernel/index.ts";
import { type Ending, GroupStage } from "./stage.ts";

/** What one run has shown; a run that shows nothing proves nothing. */
export interface GroupsAchieved {
  readonly answered: number;
  readonly asked: number;
  readonly abandoned: number;
  readonly latest: number;
  readonly session: number;
  readonly epochs: number;
  readonly faults: number;
}

/** What became of a write; without an answer it never ran. */
interface Known {
  readonly answer: number | undefined;
  readonly asked: boolean;
}

/** Asks, until somebody knows, what became of a write that was unknown at its deadline. */
async function known(stage: GroupStage, { answer, error }: Ending): Promise<Known> {
  if (error === undefined) return { answer: Number(answer), asked: false };
  if (!(error instanceof UnknownOutcome)) {
    assert.equal(error.effect, "none", `${error.code}: ${error.message}`);
    return { answer: undefined, asked: false };
  }
  for (;;)
    try {
      const outcome = await stage.fleet.client("caller").outcome(error.requestId, { deadlineMs: 500 });
      assert.ok(outcome.kind === "answer" || outcome.kind === "abandoned", outcome.kind);
      return { answer: outcome.kind === "answer" ? Number(outcome.answer) : undefined, asked: true };
    } catch (thrown) {
      if (!(thrown instanceof MusterError && thrown.code === "requests/deadline-exceeded")) throw thrown;
    }
}

const programs = ["s1", "s2", "s3"] as const;
const hosts = ["HOST1", "HOST2", "HOST3"] as const;

/**
 * Three servers with the real roll under faults: programs are killed, paused and closed, machines fall silent, disks are lost, paths are cut.
 * Meanwhile a caller counts up, in every second run in a state that its program keeps by hooks of its own. In the end each number was answered once, what was unknown has an outcome, and the counter is their sum.
 */
export async function runGroupsSeed(seed: number): Promise<GroupsAchieved> {
  const stage = new GroupStage({ seed });
  const { fleet } = stage;
  const random = new SeededRandom(seed);
  stage.isHooked = seed % 2 === 0;
  await stage.open({ copiesMin: 1 });
  const endings: Known[] = [];
  let goesOn = true;
  const write = async (): Promise<void> => {
    while (goesOn) {
      endings.push(await known(stage, await stage.add("a", 1, { deadlineMs: 300 + randomBelow(random, 1500) })));
      await new Promise<void>((resolve) => void fleet.world.after(2 + 20 * random.fraction(), resolve));
    }
  };
  const writers = Array.from({ length: 4 }, write);
  const reads = { latest: 0, session: 0 };
  const readers = (["latest", "session"] as const).map(async (consistency) => {
    while (goesOn) {
      // The answer of a write is the sum after it: whoever reads later sees at least that; in a session, what the program has seen.
      const floor = Math.max(0, ...endings.map(({ answer }) => answer ?? 0));
      const program = consistency === "latest" ? "reader" : "caller";
      const { answer, error } = await stage.ask("MDS.1", "get", "a", { consistency, deadlineMs: 2000 }, program);
      if (error === undefined) {
        assert.ok(Number(answer) >= floor, `${consistency}: read ${String(answer)} after ${floor} was answered`);
        reads[consistency]++;
      }
      await new Promise<void>((resolve) => void fleet.world.after(10 * random.fraction(), resolve));
    }
  });
  let faults = 0;
  const epoch = stage.row?.epoch ?? 0;
  for (let round = 0; round < 5; round++) {
    stage.workMs = random.fraction() < 0.5 ? 0 : 5 * random.fraction();
    await fleet.runFor(100 + 300 * random.fraction());
    await strike(stage, random);
    faults++;
    await stage.untilMembers(programs, 30_000);
  }
  goesOn = false;
  await fleet.until(Promise.all([...writers, ...readers]), 20_000);
  return { ...(await settle(stage, endings)), ...reads, epochs: (stage.row?.epoch ?? 0) - epoch, faults };
}

/** One fault and its end. Two servers stay whole, so nothing is ever given up. */
async function strike(stage: GroupStage, random: Random): Promise<void> {
  const { fleet } = stage;
  const at = random.fraction() < 0.6 ? programs.findIndex((name) => name === stage.leader) : randomBelow(random, 3);
  const [name, host] = [programs[at] ?? "s1", hosts[at] ?? "HOST1"];
  const waitMs = 2000 * random.fraction() ** 2;
  const others = ["directory", "HOST4", ...hosts.filter((other) => other !== host)];
  switch (randomBelow(random, 6)) {
    case 0:
      fleet.member(name).crash();
      await fleet.runFor(waitMs);
      await stage.restart(name);
      return;
    case 1:
      fleet.member(name).crash();
      await stage.until(() => stage.row?.members.length === 2);
      fleet.diskOf(host, "state").lose();
      await stage.restart(name);
      return;
    case 2:
      fleet.member(name).pause();
      await fleet.runFor(waitMs);
      fleet.member(name).resume();
      return;
    case 3:
      for (const other of others) fleet.network.cut(host, other);
      await fleet.runFor(waitMs);
      for (const other of others) fleet.network.heal(host, other);
      return;
    case 4:
      // Only members cannot hear one another: the roll takes all of them for valid.
      for (const other of others) if (other.startsWith("HOST") && other !== "HOST4") fleet.network.cut(host, other);
      await fleet.runFor(waitMs);
      for (const other of others) fleet.network.heal(host, other);
      return;
    default:
      await fleet.until(stage.members.get(name)?.close() ?? Promise.resolve(), 20_000);
      await fleet.runFor(waitMs / 4);
      await stage.serve(name);
  }
}

/** How many writes were answered or not begun, in the end. */
async function settle(
  stage: GroupStage,
  endings: readonly Known[],
): Promise<{ readonly answered: number; readonly asked: number; readonly abandoned: number }> {
  const { fleet } = stage;
  const answers = endings.flatMap(({ answer }) => answer ?? []);
  assert.deepEqual(
    answers.toSorted((a, b) => a - b),
    Array.from(answers, (_, at) => at + 1),
  );
  const { answer } = await fleet.until(stage.ask("MDS.1", "get", "a", { consistency: "latest" }, "s2"));
  assert.equal(answer, answers.length);
  await fleet.runFor(1000);
  for (const name of programs) assert.equal(await stage.at(name, "a"), answers.length, name);
  const asked = endings.filter((ending) => ending.asked).length;
  return { answered: answers.length, asked, abandoned: endings.filter((ending) => ending.asked && ending.answer === undefined).length };
}
