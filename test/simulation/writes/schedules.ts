import { watched } from "../ordering/course.ts";
import type { Trace } from "../ordering/stage.ts";
import { violation } from "../roll/violation.ts";
import { raise } from "./losses.ts";
import { converge, mend } from "./run-seed.ts";
import { Scene } from "./scene.ts";
import { type GroupStageOptions, steps } from "./stage.ts";

type Schedule = (seed: number, trace?: Trace) => Promise<void>;

async function on(
  servers: number,
  seed: number,
  trace: Trace | undefined,
  play: (scene: Scene) => Promise<void>,
  options: Partial<GroupStageOptions> = {},
): Promise<void> {
  const scene = new Scene(seed, servers, trace, options);
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

/**
 * The paths from the other member are slow: its confirmations for one read arrive, several at once, when it has long taken over and answered
 * a write. A second read came after that answer: no confirmation that was sent before may serve it.
 */
const oldConfirmations: Schedule = (seed, trace) =>
  on(2, seed, trace, async (scene) => {
    const { stage } = scene;
    const [first, second] = [scene.name(1), scene.name(2)];
    await scene.start(2);
    const [reader, late] = [scene.caller("one"), scene.caller("one")];
    await scene.append(reader, "old;");
    for (const node of [first, reader.node.name, late.node.name]) stage.roll.detach(node, 1000);
    stage.paths.slow(second, first, scene.nowMs + 120);
    reader.read("a", "latest", () => {});
    await scene.pass(20);
    stage.roll.invalidate([first]);
    await scene.until(() => stage.host(second).member?.status().role === "serving", "the second did not take over");
    await scene.append(scene.caller(), "new;");
    late.read("a", "latest", () => {});
    await scene.pass(150);
    stage.paths.quicken(second, first);
  });

/**
 * An older roll is put back: it names the first server, which was given up with a long tail that nobody else has, beside those that
 * have gone on without it. The longest log is the one of the latest epoch, and with it everything that was answered stays.
 */
const olderRoll: Schedule = (seed, trace) =>
  on(3, seed, trace, async (scene) => {
    const { stage } = scene;
    const [first, second] = [scene.name(1), scene.name(2)];
    await scene.start(3);
    const { row } = stage.roll;
    if (row === undefined) return;
    const doomed = scene.caller("one");
    await scene.append(doomed, "before;");
    scene.isolate(first);
    for (const text of ["1;", "2;", "3;", "4;", "5;", "6;"]) scene.begin(doomed, { kind: "append", key: "a", argument: text });
    await scene.pass(5);
    doomed.die();
    stage.roll.invalidate([first]);
    await scene.until(() => stage.host(second).member?.status().role === "serving", "the second did not take over");
    await scene.append(scene.caller(), "answered;");
    await scene.pass(5);
    scene.rejoin(first);
    stage.newHistory(() => raise(stage, row, Math.max));
    await scene.until(() => !stage.keeping.isLossOpen, "nobody goes on");
  });

/**
 * The second server confirms ten entries that the third never gets, and its confirmation takes long. The third goes on alone; the first two
 * come back to it, and when the first orders again, with the second far behind, the old confirmation arrives.
 */
const oldAcknowledgement: Schedule = (seed, trace) =>
  on(3, seed, trace, async (scene) => {
    const { stage } = scene;
    const [first, second, third] = [scene.name(1), scene.name(2), scene.name(3)];
    const serves = (server: string) =>
      scene.until(() => stage.host(server).member?.status().role === "serving", `${server} does not order`);
    const returns = async (server: string) => {
      stage.roll.validate(server);
      await scene.until(() => stage.roll.row?.members.some((one) => one.server === server) === true, `${server} did not come back`);
    };
    await scene.start(3);
    const doomed = scene.caller("one");
    await scene.append(doomed, "before;");
    stage.paths.cut(first, third);
    const arrivesMs = scene.nowMs + 200;
    stage.paths.slow(second, first, arrivesMs);
    for (let number = 1; number <= 10; number++) scene.begin(doomed, { kind: "append", key: "a", argument: `${number};` });
    await scene.pass(4);
    doomed.die();
    stage.roll.invalidate([first, second]);
    await serves(third);
    await scene.pass(40);
    stage.paths.quicken(second, first);
    stage.paths.heal(first, third);
    await returns(first);
    await returns(second);
    stage.roll.invalidate([third, second]);
    await serves(first);
    await returns(second);
    await scene.pass(5);
    // The second hears nothing more, and the first orders as much as it ever confirmed.
    stage.paths.cut(first, second);
    const caller = scene.caller("one");
    for (let number = 1; number <= 12; number++) scene.begin(caller, { kind: "append", key: "a", argument: `again ${number};` });
    await scene.pass(4);
    if (scene.nowMs > arrivesMs) violation("I29", "the confirmation came too early");
    await scene.pass(arrivesMs + 5 - scene.nowMs);
    stage.paths.heal(first, second);
    await returns(third);
  });

/**
 * A handler takes too long while what was ordered before it is not committed yet, because the other member does not hear. It is given up,
 * and nothing else with it: what is ordered next sees everything that was ordered before.
 */
const givenUpAhead: Schedule = (seed, trace) =>
  on(
    2,
    seed,
    trace,
    async (scene) => {
      const { stage } = scene;
      const [first, second] = [scene.name(1), scene.name(2)];
      await scene.start(2);
      const caller = scene.caller("one");
      await scene.append(caller, "before;");
      stage.paths.cut(first, second);
      scene.begin(caller, { kind: "append", key: "a", argument: "ahead;" });
      await scene.pass(2);
      scene.begin(caller, { kind: "append", key: "a", argument: "stuck;", slowMs: 40, fails: true });
      await scene.pass(2);
      scene.begin(caller, { kind: "append", key: "a", argument: "behind;" });
      await scene.pass(60);
      stage.paths.heal(first, second);
      await scene.pass(100);
    },
    { limits: { executeMsMax: 12 } },
  );

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
  "confirmations that were under way": oldConfirmations,
  "given up on top of what is not committed": givenUpAhead,
  "an older roll is put back": olderRoll,
  "an acknowledgement of an older epoch": oldAcknowledgement,
  "killed at every step": killedAtEveryStep,
};
