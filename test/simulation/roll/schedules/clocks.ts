import { checkSettled, thingsTable } from "../checkers.ts";
import { converge } from "../end.ts";
import { judge } from "../invariants.ts";
import { type Stage, type Trace, calm, setStage } from "../stage.ts";
import { violation } from "../violation.ts";

/** From now on nothing may turn invalid. */
function accuseNobody({ history, world }: Stage, during: string): void {
  history.invalidated = (_table, key) => {
    world.fail(new Error(`I11: ${key} was invalidated although nobody had gone: ${during}`));
  };
}

/** The directory stands still for three seconds: when it goes on it accuses nobody, and nobody has been accused meanwhile. */
export async function pausedDirectory(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace });
  const { directory, world, run, slots, history } = stage;
  await world.runFor(1500);
  accuseNobody(stage, "the directory was paused");
  const { lives } = directory;
  directory.member.pause();
  await world.runFor(3000);
  const attached = slots.filter((slot) => slot !== directory && !slot.node.detached);
  if (attached.length > 0) violation("I8", `${attached[0]?.name} calls itself attached while the directory stands still`);
  directory.member.resume();
  await world.runFor(500);
  run.writing = false;
  await converge(stage);
  judge(stage);
  if (directory.lives !== lives || history.reigns > 1) violation("I3", "a pause is no new reign");
}

/**
 * The machines of an agent and of a program sleep for some seconds, in which their clocks stand still. They cannot count what
 * they missed: yet they must not answer as attached nodes from before a barrier that did not wait for them.
 */
export async function suspendedAgent(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace, idle: true });
  const { fleet, agents, clients, slots, world, promised } = stage;
  await converge(stage);
  const [writer] = clients;
  const sleeper = agents[5];
  const sleepingProgram = clients[7];
  if (writer === undefined || sleeper === undefined || sleepingProgram === undefined) throw new Error("the stage is not set");
  sleeper.member.suspend();
  sleepingProgram.member.suspend();
  await world.runFor(100);
  const revision = await fleet.until(writer.handle.add(thingsTable, "while-asleep", 1));
  const { detached } = await fleet.until(writer.handle.settled(revision));
  if (detached === 0) violation("I8", "a barrier counted on a machine that sleeps");
  promised.settled = revision.sequence;
  await world.runFor(1500);
  sleeper.member.resume();
  sleepingProgram.member.resume();
  for (let step = 0; step < 200; step++) {
    for (const slot of slots) checkSettled(slot, promised);
    await world.runFor(1);
  }
  await converge(stage, 3000);
  judge(stage);
}

/** Wall clocks jump by an hour in either direction, everywhere, again and again: nothing depends on them. */
export async function clockJumps(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace });
  const { world, slots, run, clients } = stage;
  await world.runFor(800);
  accuseNobody(stage, "wall clocks jumped");
  const sessions = clients.map(({ node }) => node.status()["session"]);
  for (let round = 0; round < 30; round++) {
    slots.forEach((slot, index) => slot.life.clock.jumpWall((index + round) % 2 === 0 ? 3_600_000 : -3_600_000));
    await world.runFor(50);
  }
  run.writing = false;
  await converge(stage, 2000);
  judge(stage);
  if (clients.some(({ node }, index) => node.status()["session"] !== sessions[index]))
    violation("I26", "a jump of the wall clock ended a session");
}
