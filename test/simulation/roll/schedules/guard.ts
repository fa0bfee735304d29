import { tableNumbers } from "../../../../src/tables/index.ts";
import { converge } from "../end.ts";
import { judge } from "../invariants.ts";
import { type Slot, periods } from "../slot.ts";
import { type Stage, type Trace, calm, setStage } from "../stage.ts";
import { violation } from "../violation.ts";

/** By now a parent has given up the link of a host that says nothing, on clocks that are a little wrong. */
const silenceMs = (periods.silentTicks + 3) * periods.tickMs * 1.25;

function agentNamed({ agents }: Stage, name: string): Slot {
  const slot = agents.find((agent) => agent.name === name);
  if (slot === undefined) throw new Error("the stage is not set");
  return slot;
}

function stateAt(slot: Slot, host: string): string {
  return JSON.stringify(slot.handle.get("states", `hosts/${host}`)?.value ?? null);
}

/** Hosts that were given up since, in order. */
function watchExpiry(stage: Stage): string[] {
  const expired: string[] = [];
  stage.history.invalidated = (table, key) => void (table === tableNumbers.hosts && expired.push(key));
  return expired;
}

/**
 * A switch is cut: four of ten hosts fall silent in one instant. They are suspect at every node and not given up; meanwhile an
 * agent that is killed is given up after its grace, and a killed program at once. Hosts that come back in time were never
 * gone; what is still silent when the hold ends is.
 */
export async function switchCut(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace, idle: true, together: true });
  const { fleet, world, network, clients, agents } = stage;
  await converge(stage);
  const cut = ["H0", "H1", "H2", "H3"];
  const others = agents.filter(({ name }) => !cut.includes(name));
  const program = clients.find((client) => client.node.parent?.name === "H8");
  if (program === undefined) throw new Error("the stage is not set");
  await fleet.until(program.handle.serve("metadata", "MDS.9.0", { port: 1, maxPeriodMs: 600 }));
  const expired = watchExpiry(stage);
  network.partition(cut, ["*"]);
  await world.runFor(silenceMs);
  for (const slot of others)
    for (const host of cut)
      if (!stateAt(slot, host).includes('"suspect"'))
        violation("I12", `${slot.name} is told ${stateAt(slot, host)} of ${host}, which is silent with many`);
  program.crash();
  agentNamed(stage, "H7").crash();
  await world.runFor(100);
  if (stage.directory.handle.get("metadata", "MDS.9.0")?.valid !== false) violation("I12", "a program died, and the guard held that back");
  await world.runFor(periods.hostGraceMs * 1.25 + 2 * periods.tickMs);
  if (expired.join() !== "H7") violation("I12", `given up were ${expired.join()} while four of ten were silent and H7 was killed`);
  network.heal("H0", "*");
  await world.runFor(periods.guardHoldMs * 1.25);
  if ([...expired].sort().join() !== "H1,H2,H3,H7") violation("I12", `given up were ${expired.join()} when the hold was over`);
  network.heal();
  agentNamed(stage, "H7").restart();
  program.restart();
  await converge(stage);
  for (const { name } of agents) {
    const entry = stage.directory.handle.get("hosts", name);
    if (entry?.valid !== true || stateAt(stage.directory, name) !== "null")
      violation("I29", `${name} is back, and is shown ${entry?.valid} with ${stateAt(stage.directory, name)}`);
  }
  judge(stage);
}

/** A host attaches anew, and falls silent for a moment; somebody still accuses the attachment before. Nobody believes it. */
export async function lateAccusation(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace, idle: true });
  const { world, network, relays, directory } = stage;
  await converge(stage);
  const expired = watchExpiry(stage);
  for (const slot of [...relays, directory])
    for (const { host, session, counter } of slot.node.neighbours.attachedAgents) {
      network.reset(host);
      await world.runFor(300);
      network.partition([host], ["*"]);
      await world.runFor(1.3 * periods.tickMs);
      for (const parent of [...relays, directory]) parent.node.hostSilent(host, { session, counter }, "an old accusation");
      await world.runFor(50);
      network.heal();
      await world.runFor(600);
    }
  if (expired.length > 0) violation("I11", `given up by accusations of older attachments: ${expired.join()}`);
  await converge(stage);
  judge(stage);
}
