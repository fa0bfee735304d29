import { ownerOf, slotOf } from "../../../src/tables/index.ts";
import { mend, watched } from "../ordering/course.ts";
import type { Trace } from "../ordering/stage.ts";
import { stillWeather } from "../ordering/weather.ts";
import type { Order } from "../ordering/work.ts";
import { violation } from "../roll/violation.ts";
import type { MovesCaller, ReadReply } from "./caller.ts";
import { converge, judge } from "./run-seed.ts";
import { MovesStage, steps } from "./stage.ts";

type Schedule = (seed: number, trace?: Trace) => Promise<void>;

/** A stage on which nothing happens but what is written. */
class Scene {
  readonly stage: MovesStage;

  constructor(seed: number, groups: readonly number[], trace?: Trace) {
    this.stage = new MovesStage(seed, { ...stillWeather, limits: { slotPartBytesMax: 150 }, groups }, trace);
  }

  async start(): Promise<void> {
    const { stage } = this;
    for (const host of stage.hosts) {
      host.start();
      await this.until(() => stage.roll.row(host.group)?.members.some(({ server }) => server === host.server) === true, "nobody is let in");
    }
    await this.pass(30);
  }

  caller(): MovesCaller {
    const name = `L${this.stage.callers.length + 1}`;
    return this.stage.addCaller({ name, keys: ["a"], window: 0, thinkMs: 1, deadlineMs: [1500, 1500] });
  }

  async pass(forMs: number): Promise<void> {
    await this.stage.world.runFor(forMs);
  }

  async until(met: () => boolean, otherwise: string, withinMs = 3000): Promise<void> {
    const { world } = this.stage;
    if (!(await world.runUntil(met, world.nowMs + withinMs))) violation("I29", otherwise);
  }

  async write(caller: MovesCaller, order: Order): Promise<void> {
    const { sums } = this.stage;
    const before = sums.acknowledged;
    caller.write(order, () => {});
    await this.until(() => sums.acknowledged > before, `nobody answers ${order.argument ?? ""}`);
  }

  async append(caller: MovesCaller, argument: string, key = "a"): Promise<void> {
    await this.write(caller, { kind: "append", key, argument });
  }

  owner(key: string): string {
    const { map } = this.stage.roll;
    return (map === undefined ? undefined : ownerOf(map, slotOf(key)))?.instance ?? "";
  }

  /** Resolves when the map shows it there. */
  async move(key: string, to: string): Promise<void> {
    this.stage.move([key], to);
    await this.until(() => this.owner(key) === to, `${key} does not get to ${to}`);
    await this.pass(10);
  }
}

async function on(groups: readonly number[], seed: number, trace: Trace | undefined, play: (scene: Scene) => Promise<void>): Promise<void> {
  const scene = new Scene(seed, groups, trace);
  await watched(scene.stage, async () => {
    await scene.start();
    await play(scene);
    mend(scene.stage);
    await converge(scene.stage);
    judge(scene.stage);
  });
}

/** Of the group that a key begins with, and of the other one. */
function sides(scene: Scene, key: string): readonly [from: string, to: string] {
  const from = scene.owner(key);
  return [from, scene.stage.groups.find((group) => group !== from) ?? ""];
}

/**
 * A member is cut off from its group and from the roll. Meanwhile a key goes to the other group, is written there, and comes back. What the cut off
 * member shows is the key as it was before, and a program that has seen the write asks it.
 */
const cameBack: Schedule = (seed, trace) =>
  on([2, 2], seed, trace, async (scene) => {
    const { stage } = scene;
    const [from, to] = sides(scene, "a");
    const caller = scene.caller();
    await scene.append(caller, "old;");
    await scene.pass(30);
    const cutOff = stage.hostsOf(from).find(({ server }) => server !== stage.roll.row(from)?.synchronising);
    if (cutOff === undefined) throw new Error("everybody synchronises");
    stage.roll.detach(cutOff.server, 5000);
    for (const other of stage.hosts)
      if (other !== cutOff) {
        stage.paths.cut(other.server, cutOff.server);
        stage.paths.cut(cutOff.server, other.server);
      }
    await scene.until(() => stage.roll.row(from)?.members.length === 1, "it is not left out");
    await scene.move("a", to);
    await scene.append(caller, "new;");
    await scene.move("a", from);
    const { map } = stage.roll;
    const revision = (map === undefined ? undefined : ownerOf(map, slotOf("a")))?.revision ?? 0;
    const replies: ReadReply[] = [];
    stage.read(caller, cutOff.server, "a", { slot: slotOf("a"), revision }, 0, (reply) => replies.push(reply));
    await scene.pass(20);
    const [reply] = replies;
    if (reply !== undefined && reply !== "pass" && "value" in reply && reply.value !== "old;new;")
      violation("I20", `a session went back: ${String(reply.value)}`);
  });

/** A write is answered and its answer lost; its key moves on; its caller sends it again, and finds the answer there. */
const repeatedElsewhere: Schedule = (seed, trace) =>
  on([2, 2], seed, trace, async (scene) => {
    const { stage } = scene;
    const [from, to] = sides(scene, "a");
    const caller = scene.caller();
    for (const host of stage.hostsOf(from)) stage.paths.cut(host.server, caller.node.name);
    let ended = 0;
    caller.write({ kind: "append", key: "a", argument: "once;" }, () => ended++);
    await scene.pass(15);
    await scene.move("a", to);
    await scene.until(() => ended === 1, "the other group does not answer");
    if (stage.ledger.versions("a").length !== 1) violation("I16", "it took effect twice");
  });

/** A key has moved, and a map from before that is put back. Nobody orders it who does not have it, and the map is mended by who does. */
const olderMap: Schedule = (seed, trace) =>
  on([2, 2], seed, trace, async (scene) => {
    const { stage } = scene;
    const [from, to] = sides(scene, "a");
    const caller = scene.caller();
    await scene.append(caller, "before;");
    const { map } = stage.roll;
    if (map === undefined) throw new Error("there is no map");
    await scene.move("a", to);
    await scene.append(caller, "moved;");
    stage.roll.restoreMap(map);
    await scene.append(caller, "after;");
    await scene.until(() => scene.owner("a") === to, "nobody mends the map");
    // The same again with the move under way in the older map.
    await scene.move("a", from);
    const moving = stage.roll.maps.find(({ row }) => row.moves.length > 0)?.row;
    if (moving === undefined) throw new Error("nothing ever moved");
    stage.roll.restoreMap(moving);
    await scene.append(caller, "at last;");
    await scene.until(() => scene.owner("a") === from, "nobody mends the map again");
  });

/** So often each of them happens in the run below, at most. */
const boundariesMax = 80;

/** The synchronising server of the old group, and that of the new one, is gone at every single boundary of its work while a key moves, once in a run each. */
const killedAtEveryStep: Schedule = async (seed, trace) => {
  let kills = 0;
  for (const side of [0, 1] as const)
    for (const step of steps)
      for (let left = 0; left < boundariesMax; left++) {
        trace?.(`=== ${side} ${step} ${left}`);
        let isReached = false;
        await on([2, 2], seed, trace, async (scene) => {
          const { stage } = scene;
          const group = sides(scene, "a")[side];
          const [, to] = sides(scene, "a");
          const [one, two] = [scene.caller(), scene.caller()];
          await scene.append(one, "before;");
          const kill = { group, step, left };
          stage.kill = kill;
          stage.move(["a"], to);
          for (let number = 1; number <= 3; number++) {
            for (const caller of [one, two]) caller.write({ kind: "append", key: "a", argument: `${caller.lease}.${number};` }, () => {});
            await scene.pass(1);
          }
          await scene.pass(50);
          isReached = stage.kill !== kill;
          if (isReached) kills++;
        });
        if (!isReached) break;
      }
  if (kills < 60) violation("I29", `only ${kills} boundaries were reached`);
  trace?.(`${kills} boundaries`);
};

/** Rare faults, written down. */
export const schedules: Readonly<Record<string, Schedule>> = {
  "a key that came back": cameBack,
  "repeated at the other group": repeatedElsewhere,
  "an older map": olderMap,
  "killed at every step of a move": killedAtEveryStep,
};
