import { tableNumbers } from "../../../../src/tables/index.ts";
import { converge } from "../end.ts";
import { judge } from "../invariants.ts";
import { cutBoundMs } from "../route-cuts.ts";
import { type Slot, periods } from "../slot.ts";
import { type Stage, type Trace, calm, setStage } from "../stage.ts";
import { violation } from "../violation.ts";

/** A fleet at rest whose routes are probed, and have all been found to work. */
async function probed(seed: number, trace?: Trace): Promise<Stage> {
  const stage = await setStage(seed, { ...calm, trace, idle: true, probes: true });
  await converge(stage);
  await stage.world.runFor(1500);
  return stage;
}

function routeIsValid({ directory }: Stage, key: string): boolean {
  return directory.node.replica.row(tableNumbers.hostRoute, key)?.flag === true;
}

function parentOf({ relays, directory }: Stage, agent: Slot): Slot {
  const parent = [...relays, directory].find(({ name }) => name === agent.node.parent?.name);
  if (parent === undefined) throw new Error("the stage is not set");
  return parent;
}

/**
 * One host after another is out of its parent's reach, first on one route, then on all, and all others reach it: the route stays
 * valid for them, and the host is not given up within its grace. When nobody reaches the route any more, it is cut.
 */
export async function oneObserver(seed: number, trace?: Trace): Promise<void> {
  const stage = await probed(seed, trace);
  const { world, network, agents, history } = stage;
  const invalid: string[] = [];
  history.invalidated = (table, key) => {
    if (table === tableNumbers.hosts || table === tableNumbers.hostRoute) invalid.push(key);
  };
  for (const agent of agents.filter(({ name }) => name === "H0" || name === "H9")) {
    const parent = parentOf(stage, agent);
    const [address = ""] = agent.member.options.routes ?? [];
    network.partition([parent.name], [address]);
    await world.runFor(cutBoundMs);
    if (invalid.length > 0) violation("I11", `${invalid.join()} was called cut on the word of ${parent.name} alone`);
    network.heal();
    await world.runFor(2000);
    network.partition([parent.name], [agent.name]);
    await world.runFor(0.7 * periods.hostGraceMs);
    if (invalid.length > 0) violation("I11", `${invalid.join()} was given up on the word of ${parent.name} alone`);
    network.heal();
    await world.runFor(2000);
    network.partition(["*"], [address]);
    await world.runFor(cutBoundMs);
    if (routeIsValid(stage, `${agent.name}.0`)) violation("I12", `nobody reaches ${agent.name}.0, and it is valid`);
    network.heal();
    await world.runFor(4000);
    invalid.length = 0;
  }
  await converge(stage);
  judge(stage);
}

/**
 * Whatever a host sends on one route comes seconds late from now on, each message once and in order, as somebody who records and replays it
 * would have it. It answers no question of the last moments, so the route is cut and stays so, however much comes.
 */
export async function lateDatagrams(seed: number, trace?: Trace): Promise<void> {
  const stage = await probed(seed, trace);
  const { world, network, agents, slots } = stage;
  for (const agent of agents.filter(({ name }) => name === "H0" || name === "H9")) {
    const key = `${agent.name}.0`;
    const [address = ""] = agent.member.options.routes ?? [];
    if (!routeIsValid(stage, key)) violation("I29", `route ${key} is not valid to begin with`);
    const toAll = slots.flatMap(({ name, member }) => [name, ...(member.options.routes ?? [])]);
    for (const to of toAll) network.links.set(address, to, { latencyMs: 2000, jitterMs: 0 });
    await world.runFor(cutBoundMs);
    if (routeIsValid(stage, key)) violation("I12", `route ${key} is valid, and nothing has come on it`);
    for (let step = 0; step < 80; step++) {
      await world.runFor(50);
      if (routeIsValid(stage, key)) violation("I12", `route ${key} is valid by messages that were sent two seconds before`);
    }
    for (const to of toAll) network.links.set(address, to, { latencyMs: 0.1, jitterMs: 0.9 });
  }
  await converge(stage);
  judge(stage);
}
