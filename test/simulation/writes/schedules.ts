import { violation } from "../roll/violation.ts";
import { converge, mend, watched } from "./run-seed.ts";
import { Scene } from "./scene.ts";
import type { Step } from "./stage.ts";

type Schedule = (seed: number, trace?: (line: string) => void) => Promise<void>;

async function on(
  servers: number,
  seed: number,
  trace: ((line: string) => void) | undefined,
  play: (scene: Scene) => Promise<void>,
): Promise<void> {
  const scene = new Scene(seed, servers, trace);
  await watched(scene.stage, async () => {
    await play(scene);
    mend(scene.stage);
    await converge(scene.stage);
    scene.judge();
  });
}

/**
 * The first server orders writes that reach nobody, and is given up. The second takes over and answers a write; it dies before the third
 * hears that it is committed. By then the first is back, with a log that is longer than the one of the only member.
 */
const longerLogOutside: Schedule = (seed, trace) =>
  on(3, seed, trace, async (scene) => {
    const { stage } = scene;
    await scene.start(3);
    const [first, second] = [scene.name(1), scene.name(2)];
    const doomed = scene.caller("one");
    await scene.append(doomed, "before;");
    scene.isolate(first);
    for (const text of ["1;", "2;", "3;", "4;", "5;", "6;"]) scene.begin(doomed, { kind: "append", key: "a", argument: text });
    await scene.pass(5);
    doomed.die();
    stage.roll.invalidate([first]);
    await scene.until(() => stage.host(second).member?.status().role === "serving", "the second did not take over");
    // What the doomed caller had sent is over.
    await scene.pass(150);
    const caller = scene.caller();
    stage.kill = { step: "answered", left: 0, pauseMs: undefined };
    await scene.append(caller, "answered;");
    if (stage.host(second).node.alive) violation("I29", "the second is not dead");
    scene.rejoin(first);
    stage.roll.validate(first);
    stage.roll.invalidate([second]);
    await scene.pass(300);
  });

/**
 * A server that is alone asks for the row that names another one, and hears no more of the roll. The row comes, the other one takes over
 * and answers a write. A read at the first must not show the state without it.
 */
const latestWhileNaming: Schedule = (seed, trace) =>
  on(2, seed, trace, async (scene) => {
    const { stage } = scene;
    const [first, second] = [scene.name(1), scene.name(2)];
    await scene.start(1);
    const reader = scene.caller("one");
    await scene.append(reader, "old;");
    stage.roll.detach(first, 1000);
    stage.roll.detach(reader.node.name, 1000);
    stage.host(second).start();
    await scene.until(() => stage.roll.row?.members.length === 2, "the second was not named");
    stage.roll.invalidate([first]);
    await scene.until(() => stage.host(second).member?.status().role === "serving", "the second did not take over");
    const writer = scene.caller();
    await scene.append(writer, "new;");
    await scene.pass(1);
    if (!(await scene.readLatest(reader))) stage.trace?.("nobody answers the read, as it should be");
  });

/** A server that was given up, and has not heard of it, is asked for the latest: the write that its successor has answered is not there. */
const latestAtDeposed: Schedule = (seed, trace) =>
  on(2, seed, trace, async (scene) => {
    const { stage } = scene;
    const [first, second] = [scene.name(1), scene.name(2)];
    await scene.start(2);
    const reader = scene.caller("one");
    await scene.append(reader, "old;");
    for (const node of [first, reader.node.name]) stage.roll.detach(node, 1000);
    scene.isolate(first);
    stage.roll.invalidate([first]);
    await scene.until(() => stage.host(second).member?.status().role === "serving", "the second did not take over");
    await scene.append(scene.caller(), "new;");
    await scene.pass(1);
    if (!(await scene.readLatest(reader))) stage.trace?.("nobody answers the read, as it should be");
  });

/** What a server executed and could not commit is void: when it orders again, in the same life, nobody sees any of it. */
const voidState: Schedule = (seed, trace) =>
  on(2, seed, trace, async (scene) => {
    const { stage } = scene;
    const [first, second] = [scene.name(1), scene.name(2)];
    await scene.start(2);
    const doomed = scene.caller("one");
    await scene.append(doomed, "before;");
    scene.isolate(first);
    scene.begin(doomed, { kind: "append", key: "a", argument: "void;" });
    await scene.pass(5);
    doomed.die();
    stage.roll.invalidate([first]);
    await scene.until(() => stage.host(second).member?.status().role === "serving", "the second did not take over");
    const caller = scene.caller();
    if (!(await scene.write(caller, { kind: "put", key: "b", argument: "other" }))) violation("I29", "the second does not answer");
    scene.rejoin(first);
    stage.roll.validate(first);
    await scene.until(() => stage.roll.row?.members.length === 2, "the first did not come back");
    stage.roll.invalidate([second]);
    await scene.until(() => stage.host(first).member?.status().role === "serving", "the first did not take over");
    await scene.append(caller, "after;");
  });

/**
 * The synchronising server goes on into the next epoch while its disk is slow, and what it says there takes long. It is gone before its
 * promise of that epoch is durable, and begins again at once. Then the words of its former life arrive.
 */
const formerLife: Schedule = async (seed, trace) => {
  // Whether the batch under way survives the crash is left to chance; both must happen.
  for (let turn = 0; turn < 6; turn++)
    await on(3, seed + turn, trace, async (scene) => {
      const { stage } = scene;
      const [first, second] = [scene.name(1), scene.name(2)];
      await scene.start(2);
      const [caller, doomed] = [scene.caller("one"), scene.caller("one")];
      await scene.append(caller, "before;");
      stage.host(scene.name(3)).start();
      await scene.until(() => stage.roll.row?.members.length === 3, "the third was not named");
      const host = stage.host(first);
      host.disk.slow(40);
      scene.begin(doomed, { kind: "append", key: "a", argument: "0;" });
      await scene.pass(2);
      for (const text of ["1;", "2;"]) scene.begin(doomed, { kind: "append", key: "a", argument: text });
      await scene.pass(2);
      for (const { server } of stage.hosts) stage.paths.slow(first, server, scene.nowMs + 60);
      await scene.pass(42);
      stage.trace?.(`the first is gone: ${JSON.stringify(host.member?.status())}`);
      doomed.die();
      host.crash();
      for (const { server } of stage.hosts) stage.paths.quicken(first, server);
      host.disk.slow(0.1);
      host.restart();
      await scene.pass(40);
      stage.trace?.(`by now the second has ${JSON.stringify(stage.host(second).member?.status())}`);
      for (let number = 1; number <= 3; number++) await scene.append(caller, `after ${number};`);
    });
};

const steps: readonly Step[] = ["receives", "executes", "commit-begins", "commit-ended", "sent", "answers", "answered", "asks-the-roll"];
/** So often each of them happens in the short run below, at most. */
const boundariesMax = 60;

/** The synchronising server is gone at every single boundary of its work, once in a run each: before it orders, after, in between. */
const killedAtEveryStep: Schedule = async (seed, trace) => {
  let kills = 0;
  for (const step of steps)
    for (let left = 0; left < boundariesMax; left++) {
      trace?.(`=== ${step} ${left}`);
      let isReached = false;
      await on(3, seed, trace, async (scene) => {
        const { stage } = scene;
        await scene.start(2);
        const callers = [scene.caller("all"), scene.caller("one")];
        const kill = { step, left, pauseMs: undefined };
        stage.kill = kill;
        stage.host(scene.name(3)).start();
        for (const caller of callers)
          for (let number = 1; number <= 3; number++) {
            scene.begin(caller, { kind: "append", key: "a", argument: `${caller.lease}.${number};` });
            scene.begin(caller, { kind: "add", key: "count", argument: "1" });
          }
        await scene.pass(60);
        isReached = stage.kill !== kill;
        if (isReached) kills++;
      });
      if (!isReached) break;
    }
  if (kills < 60) violation("I29", `only ${kills} boundaries were reached`);
};

/** Rare faults, written down. */
export const schedules: Readonly<Record<string, Schedule>> = {
  "a longer log outside of the group": longerLogOutside,
  "latest while a joiner is being named": latestWhileNaming,
  "latest at a deposed server": latestAtDeposed,
  "executed and void": voidState,
  "words of a former life": formerLife,
  "killed at every step": killedAtEveryStep,
};
