import { marksTable } from "../checkers.ts";
import { converge } from "../end.ts";
import { judge } from "../invariants.ts";
import { periods } from "../slot.ts";
import { type Stage, type Trace, calm, setStage } from "../stage.ts";
import { violation } from "../violation.ts";

async function restartDirectory(stage: Stage, awayMs: number): Promise<void> {
  stage.directory.crash();
  await stage.world.runFor(awayMs);
  stage.directory.restart();
}

/**
 * The directory's folder is gone, and it starts on an empty one while its fleet lives: it deletes nothing, adopts what the
 * fleet holds, and reigns in a higher epoch.
 */
export async function lostStore(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace });
  const { directory, disk, slots, history, run } = stage;
  await stage.world.runFor(1500);
  const { fleet, epochs } = directory.node;
  const epoch = epochs.newest;
  directory.crash();
  disk.lose();
  const lastBefore = history.last;
  await stage.world.runFor(300);
  directory.restart();
  await stage.world.runFor(2500);
  const rows = (slot: (typeof slots)[number]) => slot.node.replica.search(marksTable).length;
  for (const slot of slots) {
    if (slot.want !== undefined) continue;
    if (slot.node.replica.table(marksTable) === undefined || rows(slot) < lastBefore / 4)
      violation("I15", `${slot.name} has lost its rows after the directory lost its store`);
  }
  if (directory.node.fleet !== fleet)
    violation("I15", `the directory that lost its store founded fleet ${directory.node.fleet} beside ${fleet}`);
  if (directory.node.epochs.newest <= epoch)
    violation("I3", `the directory that lost its store reigns in epoch ${directory.node.epochs.newest}, ${epoch} was seen`);
  run.writing = false;
  await converge(stage);
  judge(stage);
}

/**
 * The directory has lost its store, and most of the nodes that offer theirs are stopped just then: their systems keep the connections
 * open, so nothing ends by itself. It gives each a few ticks, and takes the roll of one that lives.
 */
export async function adoptersStopped(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace });
  const { world, network, directory, relays, agents, disk, slots, run } = stage;
  await world.runFor(1500);
  // So that all hold the same, and whoever is taken has everything.
  run.writing = false;
  await world.runFor(500);
  const { fleet } = directory.node;
  const { size } = directory.node.replica;
  directory.crash();
  disk.lose();
  network.partition(["H9"], ["D"]);
  await world.runFor(300);
  directory.restart();
  await world.runFor(0.8 * periods.foundingMs);
  const stopped = [...relays, ...agents.filter(({ name }) => name === "H7" || name === "H8")];
  for (const slot of stopped) slot.member.pause();
  network.heal();
  await world.runFor(stopped.length * 1.25 * ((periods.silentTicks + 3) * periods.tickMs + periods.foundingMs) + 1000);
  if (!directory.node.isReady) violation("I29", "a directory that lost its store waits for nodes that are stopped");
  if (directory.node.fleet !== fleet)
    violation("I15", `the directory that lost its store founded fleet ${directory.node.fleet} beside ${fleet}`);
  if (directory.node.replica.size < size / 2) violation("I15", `${directory.node.replica.size} of ${size} rows are left`);
  for (const slot of slots) if (slot.paused) slot.member.resume();
  await converge(stage);
  judge(stage);
}

/** The directory is started on an old copy of its store: its fleet refuses it, loses nothing, and goes on with the right one. */
export async function oldCopy(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace });
  const { directory, disk, slots, history } = stage;
  await stage.world.runFor(600);
  directory.crash();
  const old = await disk.copy();
  directory.restart();
  await stage.world.runFor(600);
  await restartDirectory(stage, 50);
  await stage.world.runFor(800);
  directory.crash();
  const right = await disk.copy();
  const positions = new Map(slots.map((slot) => [slot.name, slot.node.position.sequence]));
  const truthful = history.last;
  await disk.restore(old);
  history.suspend(() => directory.restart());
  await stage.world.runFor(1500);
  for (const slot of slots) {
    if (slot === directory) continue;
    const { sequence } = slot.node.position;
    if (sequence < (positions.get(slot.name) ?? 0)) violation("I3", `${slot.name} went back to ${sequence} for a directory on an old copy`);
    if (!slot.node.detached) violation("I3", `${slot.name} follows a directory on an old copy`);
  }
  directory.crash();
  await disk.restore(right);
  history.resume(truthful);
  directory.restart();
  stage.run.writing = false;
  await converge(stage);
  judge(stage);
}
