import { tableNumbers } from "../../../../src/tables/index.ts";
import { converge } from "../end.ts";
import { judge } from "../invariants.ts";
import { type Slot, periods } from "../slot.ts";
import { type Stage, type Trace, calm, setStage } from "../stage.ts";
import { violation } from "../violation.ts";

/** What the programs of these schedules promise with `serve`. */
const maxPeriodMs = 600;
/** By now a heartbeat that does not come is known, on clocks that run up to 10 % slow. */
const lapsedMs = (maxPeriodMs + 3 * periods.watchTickMs) / 0.9 + 100;

function isValid({ directory }: Stage, key: string): boolean {
  return directory.node.replica.row(tableNumbers.metadata, key)?.flag === true;
}

/**
 * Agents stand still for longer than their programs' max periods, while these go on beating: what they sent waits in the sockets,
 * and the first thing that an agent does when it goes on is to fire its timers. Nobody is given up for it.
 */
export async function pausedAgents(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace, idle: true });
  const { fleet, world, agents, clients, history } = stage;
  await converge(stage);
  const serving = clients.slice(0, agents.length);
  for (const [index, { handle }] of serving.entries())
    await fleet.until(handle.serve("metadata", `MDS.9.${index}`, { port: index + 1, maxPeriodMs }));
  await converge(stage);
  history.invalidated = (_table, key) => void world.fail(new Error(`I11: ${key} was invalidated when an agent had been paused`));
  for (const agent of agents) {
    agent.member.pause();
    await world.runFor(maxPeriodMs * 1.4);
    agent.member.resume();
    await world.runFor(300);
  }
  await converge(stage);
  judge(stage);
}

/**
 * A program stands still until its entry has lapsed, and another one takes the key over. When the first goes on it beats for what it
 * held: that keeps nothing alive that is the other's, which is given up in time when it hangs, and wakes nothing that has ended.
 */
export async function oldBeats(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace, idle: true });
  const { fleet, world, clients } = stage;
  await converge(stage);
  const below = (agent: string): Slot[] => clients.filter(({ node, want }) => want === undefined && node.parent?.name === agent);
  const pairs = ["H0", "H1", "H2", "H8"].map((agent, index) => ({ programs: below(agent), key: `MDS.${index}.0` }));
  for (const { programs, key } of pairs) {
    const [first, second] = programs;
    if (first === undefined || second === undefined) throw new Error("the stage is not set");
    const serve = (slot: Slot) => fleet.until(slot.handle.serve("metadata", key, { port: 1, maxPeriodMs }));
    await serve(first);
    first.member.pause();
    await world.runFor(lapsedMs);
    if (isValid(stage, key)) violation("I12", `${key} is valid, and its program hangs`);
    await serve(second);
    first.member.resume();
    await world.runFor(maxPeriodMs / 2);
    second.member.pause();
    await world.runFor(lapsedMs);
    if (isValid(stage, key)) violation("I12", `${key} is valid: the beats of its former program keep it alive, and its own hangs`);
    second.crash();
    await world.runFor(lapsedMs);
    if (isValid(stage, key)) violation("I9", `${key} was revived by the beats of a program that has lost it`);
    second.restart();
  }
  await converge(stage);
  judge(stage);
}
