import type { FleetEvent } from "../../../../src/fleet/index.ts";
import { tableNumbers } from "../../../../src/tables/index.ts";
import { converge } from "../end.ts";
import { judge, look } from "../invariants.ts";
import { Slot, periods } from "../slot.ts";
import { type Stage, type Trace, calm, setStage } from "../stage.ts";
import { violation } from "../violation.ts";

interface Served extends Stage {
  readonly first: Slot;
  readonly second: Slot;
  readonly observer: Slot;
  readonly host: Slot;
  /** What the observer, on another host, was told of services and hosts since. */
  readonly events: FleetEvent[];
}

/** A service of two servers on two hosts, the first of them primary, and somebody who watches from a third. */
async function served(seed: number, trace?: Trace): Promise<Served> {
  const stage = await setStage(seed, { ...calm, trace, idle: true });
  const { fleet, clients, agents } = stage;
  await converge(stage);
  const [first, second, observer] = clients;
  const [host] = agents;
  if (first === undefined || second === undefined || observer === undefined || host === undefined) throw new Error("the stage is not set");
  await fleet.until(first.handle.serve("metadata", "MDS.9.0", { port: 1, maxPeriodMs: 600 }));
  await fleet.until(second.handle.serve("metadata", "MDS.9.1", { port: 2, maxPeriodMs: 600 }));
  await converge(stage);
  const events: FleetEvent[] = [];
  observer.handle.subscribe({ tables: ["metadata", "hosts"] }, (event) => void events.push(event));
  return { ...stage, first, second, observer, host, events };
}

function primary({ observer }: Served): string | undefined {
  return observer.handle.find("metadata", "MDS.9")?.instance;
}

/** An agent is started anew within its grace, three times: its server goes on, and nobody else hears anything of it. */
export async function agentRestarts(seed: number, trace?: Trace): Promise<void> {
  const stage = await served(seed, trace);
  const { world, host, events } = stage;
  for (let round = 0; round < 3; round++) {
    host.crash();
    await world.runFor(periods.hostGraceMs / 3);
    host.restart();
    await world.runFor(2 * periods.hostGraceMs);
    if (events.length > 0) violation("I11", `an agent's restart was seen elsewhere: ${JSON.stringify(events[0]?.entry)}`);
  }
  await converge(stage);
  judge(stage);
}

/**
 * A host is away for longer than its grace: one change says so, and by that very change the primary is another one, at every node.
 * When the host returns, the primary stays where it is.
 */
export async function agentAway(seed: number, trace?: Trace): Promise<void> {
  const stage = await served(seed, trace);
  const { world, host, first, history, observer, events } = stage;
  if (primary(stage) !== "MDS.9.0") violation("I10", `the first server is not primary but ${primary(stage)}`);
  const invalidated: string[] = [];
  history.invalidated = (table, key) => void invalidated.push(`${table}/${key} at ${history.last}`);
  const seen: (string | undefined)[] = [];
  observer.handle.subscribe({ tables: ["hosts"] }, ({ entry }) => {
    if (entry?.key === host.name && !entry.valid) seen.push(primary(stage));
  });
  host.crash("silent");
  first.crash("silent");
  await world.runFor(periods.hostGraceMs * 3);
  if (invalidated.length !== 1 || invalidated[0]?.startsWith(`${tableNumbers.hosts}/${host.name} `) !== true)
    violation("I10", `the loss of a host was told by these changes: ${invalidated.join(", ")}`);
  if (seen.length !== 1 || seen[0] !== "MDS.9.1") violation("I10", `with the host's loss the primary is ${seen.join(", ")}`);
  host.restart();
  first.restart();
  await world.runFor(300);
  const { fleet } = stage;
  await fleet.until(first.handle.serve("metadata", "MDS.9.0", { port: 1, maxPeriodMs: 600 }));
  await world.runFor(1000);
  const moved = events.filter(({ entry }) => entry?.key === "MDS.9.1" && !entry.valid);
  if (primary(stage) !== "MDS.9.1" || moved.length > 0) violation("I10", `the primary moved back to ${primary(stage)} by itself`);
  if (observer.handle.get("metadata", "MDS.9.0")?.valid !== true) violation("I29", "the server that returned is not valid again");
  await converge(stage);
  judge(stage);
}

/** A second agent with a name that is taken is refused while the first one lives, and takes its place when that is gone. */
export async function oneHostName(seed: number, trace?: Trace): Promise<void> {
  const stage = await served(seed, trace);
  const { fleet, world, host, events, observer } = stage;
  const twin = new Slot(fleet.addAgent("twin", { nodeName: host.name, parents: ["D"] }));
  twin.start();
  for (let step = 0; step < 30; step++) {
    await world.runFor(50);
    if (!twin.node.detached) violation("I9", "two agents were admitted for one host");
    look(stage, [twin, host, observer], false);
  }
  if (twin.node.lastError?.code !== "roll/host-name-taken") violation("I9", `the second agent is told ${twin.node.lastError?.code}`);
  if (events.length > 0) violation("I11", `the second agent disturbed the first: ${JSON.stringify(events[0]?.entry)}`);
  host.crash();
  await world.runFor(1000);
  if (twin.node.detached) violation("I29", `the second agent is not admitted after the first has gone: ${twin.node.lastError?.message}`);
  host.restart();
  await world.runFor(1000);
  if (host.node.lastError?.code !== "roll/host-name-taken")
    violation("I9", `the first agent came back and is told ${host.node.lastError?.code}`);
  twin.crash();
  await converge(stage);
  judge(stage);
}

/**
 * The link of a program carries nothing for a while, so it comes back by a new one; the end of the old one, which is noticed later,
 * says nothing about it. In some rounds the program gives the link up before its agent does: then the end is the program's word.
 */
export async function oldLinkEndsLate(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace, idle: true });
  const { fleet, clients, world, network, history } = stage;
  const serving = clients.slice(0, 16);
  await converge(stage);
  for (const [index, { handle }] of serving.entries())
    await fleet.until(handle.serve("metadata", `MDS.9.${index}`, { port: index + 1, maxPeriodMs: 5000 }));
  history.invalidated = (_table, key) => world.fail(new Error(`I11: ${key} was invalidated, and its program was connected`));
  for (const stalledMs of [1500, 1500, ...Array.from({ length: 12 }, (_, round) => 420 + 15 * round)]) {
    for (const { name } of serving) network.stall(name);
    await world.runFor(stalledMs);
    network.unstall();
    await world.runFor(1000);
  }
  await converge(stage);
  judge(stage);
}
