import type { Operation } from "../../../../src/fleet/index.ts";
import { SeededRandom, randomBelow } from "../../../../src/kernel/index.ts";
import { checkSettled, thingsTable } from "../checkers.ts";
import { converge } from "../end.ts";
import { judge, look } from "../invariants.ts";
import { Slot, limits } from "../slot.ts";
import { type Stage, type Trace, calm, setStage } from "../stage.ts";
import { violation } from "../violation.ts";

/** Puts `count` rows of about 100 bytes into the roll, 100 a change. */
async function fill(stage: Stage, prefix: string, count: number): Promise<void> {
  for (let start = 0; start < count; start += 100) {
    const operations = Array.from(
      { length: Math.min(100, count - start) },
      (_, index): Operation => ({ op: "add", table: thingsTable, key: `${prefix}.${start + index}`, value: "x".repeat(80) }),
    );
    await stage.fleet.until(stage.directory.handle.change(operations));
  }
}

/**
 * A big load breaks in the middle, again and again, at a node that holds an older state and at one that holds nothing: neither
 * ever shows a part of it, and when the link holds, it ends.
 */
export async function brokenLoad(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { latencyMs: [3, 6], windowBytes: 2048, trace, idle: true });
  const { fleet, agents, world, network } = stage;
  await fill(stage, "before", 200);
  await converge(stage);
  const known = agents[9];
  if (known === undefined) throw new Error("the stage is not set");
  network.partition([known.name], ["*"]);
  await fill(stage, "after", 1200);
  const fresh = new Slot(fleet.addAgent("H10", { parents: ["D"] }));
  fresh.start();
  network.heal();
  const all = { ...stage, slots: [...stage.slots, fresh] };
  for (let cut = 0; cut < 25; cut++) {
    await world.runFor(60);
    look(all, [known, fresh], true);
    if (fresh.node.isReady) violation("I29", "the load was meant to break before its end");
    network.reset("D", known.name);
    network.reset("D", fresh.name);
  }
  await converge(all, 5000);
  judge(all);
}

/**
 * A thousand changes while one child of the directory stands still: it leaves the common path, what waits for it stays bounded,
 * nobody else is delayed, and when it goes on it has everything.
 */
export async function burst(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace, windowBytes: 4096, idle: true });
  const { fleet, agents, clients, slots, world, network, history } = stage;
  await converge(stage);
  const paused = agents[9];
  if (paused === undefined) throw new Error("the stage is not set");
  const below = clients.filter(({ node }) => node.parent?.name === paused.name);
  const others = slots.filter((slot) => slot !== paused && !below.includes(slot));
  const writers = others.filter(({ role }) => role === "client").slice(0, 5);
  paused.member.pause();
  const waitingMax = { bytes: 0 };
  const watch = () => {
    waitingMax.bytes = Math.max(waitingMax.bytes, network.waitingBytes("D", paused.name));
    world.after(1, watch);
  };
  watch();
  for (let round = 0; round < 10; round++) {
    const changes = writers.flatMap(({ handle, name }) =>
      Array.from({ length: 20 }, (_, index) => handle.add(thingsTable, `${name}.${round}.${index}`, "x".repeat(1500))),
    );
    await fleet.until(Promise.all(changes), 100);
    const { last } = history;
    await world.runFor(20);
    const late = others.filter(({ node, want }) => want === undefined && node.position.sequence < last);
    if (late.length > 0) violation("I29", `${late.map(({ name }) => name).join(" ")} waited for a child that stands still`);
  }
  // On the common path what `childBytesMax` allows and one group of changes; beside it a replay stops at 256 KiB and a frame.
  const waitingBound = (limits.childBytesMax ?? 0) + 2 * 256 * 1024;
  if (waitingMax.bytes < 64 * 1024) violation("I28", `only ${waitingMax.bytes} bytes waited: the child never fell behind`);
  if (waitingMax.bytes > waitingBound) violation("I28", `${waitingMax.bytes} bytes waited for one child, the bound is ${waitingBound}`);
  paused.member.resume();
  await converge(stage, 3000);
  judge(stage);
}

/** Barriers while agents change their parents all the time: each resolves, and then nobody who is attached is behind it. */
export async function settleUnderMoves(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace, idle: true });
  const { agents, relays, clients, slots, world, network, promised, run } = stage;
  await converge(stage);
  const random = new SeededRandom(seed);
  let settled = 0;
  for (let round = 0; round < 60; round++) {
    const writer = clients[randomBelow(random, clients.length)];
    const asker = clients[randomBelow(random, clients.length)];
    const mover = [...agents, ...relays][randomBelow(random, agents.length + relays.length)];
    if (writer === undefined || asker === undefined || mover === undefined) throw new Error("the stage is not set");
    const write = async () => {
      const revision = await writer.handle.add(thingsTable, `round.${round}`, round);
      await asker.handle.settled(revision);
      settled++;
      promised.settled = Math.max(promised.settled, revision.sequence);
      for (const slot of slots) checkSettled(slot, promised);
    };
    // A barrier that was asked through a link which broke is refused: that is said, not broken.
    write().catch((thrown: unknown) => {
      if (thrown instanceof Error && thrown.name === "Violation") run.fail(thrown);
    });
    await world.runFor(5 * random.fraction());
    network.reset(mover.name);
    await world.runFor(40 * random.fraction());
    for (const slot of slots) checkSettled(slot, promised);
  }
  await converge(stage);
  judge(stage);
  if (settled < 20) violation("I8", `only ${settled} of 60 barriers resolved while nodes moved`);
}

/**
 * A relay loses the directory and finds it again at once, time after time, while what it passes on takes long to its children: they count
 * as attached with it only when they have all that it has, whatever is asked to be settled meanwhile.
 */
export async function slowBelowRelay(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace, idle: true });
  const { agents, clients, directory, relays, slots, world, network, promised, run } = stage;
  await converge(stage);
  const [writer] = clients.filter(({ node }) => node.parent?.name === "H9");
  if (writer === undefined) throw new Error("the stage is not set");
  for (const relay of relays) for (const agent of agents) network.links.set(relay.name, agent.name, { latencyMs: 25, jitterMs: 0 });
  let settled = 0;
  for (let round = 0; round < 40; round++) {
    const [relay] = relays.filter(({ name }) => agents.some(({ node }) => node.parent?.name === name));
    if (relay === undefined) throw new Error("no relay has children");
    network.reset("D", relay.name);
    const asked = writer.handle.add(thingsTable, `round.${round}`, round).then(async (revision) => {
      await directory.handle.settled(revision);
      settled++;
      promised.settled = Math.max(promised.settled, revision.sequence);
      for (const slot of slots) checkSettled(slot, promised);
    });
    asked.catch((thrown: unknown) => {
      if (thrown instanceof Error && thrown.name === "Violation") run.fail(thrown);
    });
    for (let step = 0; step < 30; step++) {
      await world.runFor(4);
      for (const slot of slots) checkSettled(slot, promised);
    }
  }
  await converge(stage, 3000);
  judge(stage);
  if (settled < 30) violation("I8", `only ${settled} of 40 barriers resolved`);
}
