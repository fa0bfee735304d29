import { marksTable, thingsTable } from "./checkers.ts";
import { converge } from "./end.ts";
import { judge } from "./invariants.ts";
import { type Stage, calm, setStage } from "./stage.ts";
import { violation } from "./violation.ts";

/** Rare faults need written schedules besides random ones. Each throws a `Violation` when a promise breaks. */
export const schedules: Readonly<Record<string, (seed: number) => Promise<void>>> = {
  "lost store": lostStore,
  "old copy": oldCopy,
  "refused twice": refusedTwice,
};

async function workedFor(stage: Stage, forMs: number): Promise<void> {
  await stage.world.run(stage.world.nowMs + forMs);
}

async function restartDirectory(stage: Stage, awayMs: number): Promise<void> {
  stage.directory.crash();
  await workedFor(stage, awayMs);
  stage.directory.restart();
}

/**
 * The directory's folder is gone, and it starts on an empty one while its fleet lives: it deletes nothing, adopts what the
 * fleet holds, and reigns in a higher epoch.
 */
async function lostStore(seed: number): Promise<void> {
  const stage = await setStage(seed, calm);
  const { directory, disk, slots, history, run } = stage;
  await workedFor(stage, 1500);
  const { fleet, epochs } = directory.node;
  const epoch = epochs.newest;
  directory.crash();
  disk.lose();
  const lastBefore = history.last;
  await workedFor(stage, 300);
  directory.restart();
  await workedFor(stage, 2500);
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
async function oldCopy(seed: number): Promise<void> {
  const stage = await setStage(seed, calm);
  const { directory, disk, slots, history } = stage;
  await workedFor(stage, 600);
  directory.crash();
  const old = await disk.copy();
  directory.restart();
  await workedFor(stage, 600);
  await restartDirectory(stage, 50);
  await workedFor(stage, 800);
  directory.crash();
  const right = await disk.copy();
  const positions = new Map(slots.map((slot) => [slot.name, slot.node.position.sequence]));
  const truthful = history.last;
  await disk.restore(old);
  history.suspend(() => directory.restart());
  await workedFor(stage, 1500);
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

/**
 * A change is refused, its refusal is held up on the way down, and its writer sends it again by a new link when the reason
 * for the refusal has gone: the second copy gets the outcome of the first and takes no effect.
 */
async function refusedTwice(seed: number): Promise<void> {
  const stage = await setStage(seed, calm);
  const { clients, agents, network, history, run } = stage;
  run.writing = false;
  await workedFor(stage, 600);
  const [writer, other] = clients;
  const [agent] = agents;
  const parent = agent?.node.parent?.name;
  if (writer === undefined || other === undefined || parent === undefined) throw new Error("the stage is not set");
  const attempt = async (change: Promise<unknown>): Promise<string> =>
    change.then(
      () => "ok",
      () => "refused",
    );
  await during(stage, attempt(other.handle.add(thingsTable, "held", 1)));
  // From the parent to the agent nothing comes through; the other way is open.
  network.cut(parent, "H0");
  const told = attempt(
    writer.handle.change([{ op: "add", table: marksTable, key: "second-chance", value: 1 }], {
      ifRevision: [{ table: thingsTable, key: "held", revision: "absent" }],
    }),
  );
  await workedFor(stage, 20);
  await during(stage, attempt(other.handle.delete(thingsTable, "held")));
  network.reset("C0");
  await workedFor(stage, 60);
  network.heal();
  const outcome = await during(stage, told);
  await converge(stage);
  const writes = history.writes(`${run.marksNumber()}\u0000second-chance`);
  if (outcome === "refused" && writes > 0) violation("I6", "a change that was refused took effect when it came a second time");
  if (outcome === "ok" && writes !== 1) violation("I6", `a change that was acknowledged was written ${writes} times`);
  judge(stage);
}

/** Lets virtual time pass until the promise has settled, at most 5 s. */
async function during<T>(stage: Stage, promise: Promise<T>): Promise<T> {
  let settled = false;
  const done = promise.finally(() => {
    settled = true;
  });
  await stage.world.runUntil(() => settled, stage.world.nowMs + 5000);
  if (!settled) violation("I29", "a change has no outcome after 5 s");
  return done;
}
