import { marksTable } from "../checkers.ts";
import { converge } from "../end.ts";
import { judge } from "../invariants.ts";
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
