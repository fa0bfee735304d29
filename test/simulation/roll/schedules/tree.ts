import { SeededRandom } from "../../../../src/kernel/index.ts";
import { converge } from "../end.ts";
import { mend, planFaults } from "../faults.ts";
import { judge } from "../invariants.ts";
import { type Trace, calm, setStage } from "../stage.ts";
import { violation } from "../violation.ts";

/**
 * Two relays name each other as parents, and the directory is cut off from both. They may follow one another for a moment, but
 * nobody takes that for the directory; when it is back, no circle is left.
 */
export async function relaysInACircle(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace, parentsOfRelays: ["D", "R0", "R1"] });
  const { relays, agents, world, network, run } = stage;
  const names = relays.map(({ name }) => name);
  await world.runFor(1000);
  for (let round = 0; round < 3; round++) {
    network.partition(["D"], names);
    await world.runFor(1000);
    const onlyRelays = agents.slice(0, 7);
    for (let step = 0; step < 40; step++) {
      await world.runFor(50);
      const attached = [...relays, ...onlyRelays].find(({ node }) => !node.detached);
      if (attached !== undefined) violation("I8", `${attached.name} calls itself attached, and no path leads to the directory`);
    }
    network.heal();
    await world.runFor(1500);
    const circle = relays.every(({ node }) => names.includes(node.parent?.name ?? ""));
    if (circle) violation("I29", "two relays still follow one another after the directory is back");
  }
  run.writing = false;
  await converge(stage);
  judge(stage);
}

/** Half of the nodes speak the protocol before the newest: under the usual faults all converge. */
export async function mixedProtocols(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace, latencyMs: [0.05, 3], mixedProtocols: true });
  const { world, run, slots } = stage;
  const old = slots.filter(({ node }) => node.options.protocolMax === 1).length;
  if (old < slots.length / 3) violation("I29", `only ${old} nodes speak the older protocol`);
  await world.runFor(600);
  planFaults(stage, new SeededRandom(seed * 13 + 5), 8, world.nowMs, world.nowMs + 3000);
  await world.runFor(3200);
  mend(stage);
  await world.runFor(300);
  run.writing = false;
  await converge(stage);
  judge(stage);
}
