import { SeededRandom } from "../../../src/kernel/index.ts";
import { SimDisk } from "../world/sim-disk.ts";
import { SimNetwork } from "../world/sim-network.ts";
import { SimWorld } from "../world/sim-world.ts";
import { type Promised, checkBounds, checkPairs, checkPrimaries, checkSettled, checkState } from "./checkers.ts";
import { type Theatre, mend, planFaults } from "./faults.ts";
import { History } from "./history.ts";
import { Processes, Slot } from "./slot.ts";
import { violation } from "./violation.ts";
import { Program, type Run, type Told, checkTold, marksTable } from "./workload.ts";

/** What a run achieved: a model that acknowledges nothing violates nothing, so the sums have floors. */
export interface Achieved {
  readonly offered: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly maybe: number;
  readonly settled: number;
  readonly reigns: number;
  readonly faults: number;
  readonly events: number;
}

export interface SeedOptions {
  readonly trace?: (line: string) => void;
  /** Only programs are killed, so bounds on notice are strict. */
  readonly calm?: boolean;
}

/** Virtual milliseconds: the fleet forms, faults come, then it must converge. */
const formMs = 600;
const faultsUntilMs = 4500;
const convergeMsMax = 12_000;

/** One whole run: 1 directory, 2 relays, 10 agents, 20 programs, at least 200 changes and 5 faults. */
export async function runSeed(seed: number, options: SeedOptions = {}): Promise<Achieved> {
  const world = new SimWorld(seed);
  const random = new SeededRandom(seed * 7 + 3);
  const network = new SimNetwork(world, { latencyMs: [0.05, random.fraction() < 0.3 ? 20 : 1.5], windowBytes: random.fraction() < 0.3 ? 2048 : 65_536 });
  const history = new History();
  const disk = new SimDisk((batch) => {
    try {
      history.durable(batch);
    } catch (thrown) {
      world.fail(thrown);
    }
  });
  const processes = new Processes();
  const { trace } = options;
  const surroundings = { world, network, disk, trace };
  const directory = new Slot("D", { role: "directory" }, surroundings, processes);
  const relays = ["R0", "R1"].map((name) => new Slot(name, { role: "relay", parents: [directory.address] }, surroundings, processes));
  const agents = Array.from({ length: 10 }, (_, index) => {
    const parents = index < 4 ? relays : index < 7 ? [...relays].reverse() : index < 9 ? [directory, ...relays] : [directory];
    return new Slot(`H${index}`, { role: "agent", routes: [`10.0.0.${index}`, `10.1.0.${index}`], parents: parents.map(({ address }) => address) }, surroundings, processes);
  });
  const clients = Array.from({ length: 20 }, (_, index) => {
    const agent = agents[index % 10];
    if (agent === undefined) throw new Error("there are ten agents");
    // Some programs hold a part of the roll only.
    const want = index % 5 === 4 ? { want: [{ table: index % 2 === 0 ? "metadata" : "gateway", prefix: "" }] } : {};
    return new Slot(`C${index}`, { role: "client", parents: [agent.address], ...want }, surroundings, processes);
  });
  const slots = [directory, ...relays, ...agents, ...clients];
  const promised: Promised = { settled: 0 };
  const told: Told[] = [];
  const programs = new Map<Slot, Program>();
  const run: Run = {
    history,
    promised,
    told,
    slots,
    settledCount: 0,
    writing: true,
    marksNumber: () => directory.node.replica.table(marksTable)?.number,
    fail: (thrown) => world.fail(thrown),
  };
  for (const client of clients)
    client.onStart = (slot) => {
      const program = new Program(slot, run);
      programs.set(slot, program);
      program.start();
    };
  const check = (some: readonly Slot[]) => {
    for (const slot of some) {
      if (!slot.alive) continue;
      checkState(slot, history);
      checkPrimaries(slot);
      checkPairs(slot);
      checkSettled(slot, promised);
      checkBounds(slot);
      programs.get(slot)?.checkShadow();
    }
  };
  const look = () => {
    try {
      check(slots.filter(() => true));
    } catch (thrown) {
      world.fail(thrown);
    }
    (random.fraction(), world.after(world.nowMs > Number(process.env.FROM ?? 0) ? 0.5 : 45, look));
  };

  directory.start();
  await world.runUntil(() => directory.node.isReady, 2000);
  let marksReady = false;
  directory.handle.addTable(marksTable).then(
    () => {
      marksReady = true;
    },
    (thrown: unknown) => world.fail(thrown),
  );
  await world.runUntil(() => marksReady, 3000);
  for (const slot of slots) if (slot !== directory) slot.start();
  look();
  const begun = world.nowMs;
  await world.run(begun + formMs);
  const theatre: Theatre = { world, network, disk, directory, relays, agents, clients, trace };
  const faults = options.calm === true ? 0 : 5 + Math.floor(random.fraction() * 6);
  planFaults(theatre, random, faults, begun + formMs, begun + faultsUntilMs);
  await world.run(begun + faultsUntilMs + 200);
  mend(theatre);
  trace?.(`${world.nowMs.toFixed(1)} MENDED`);
  await world.run(world.nowMs + 500);
  run.writing = false;
  await converge(slots, run, world.nowMs + convergeMsMax, (until) => world.runUntil(() => isWhole(slots, history), until));
  check(slots);
  const marks = run.marksNumber();
  if (marks === undefined) violation("I15", "the table of marks is gone");
  checkTold(told, history, marks);
  checkOwners(clients, directory, history);
  return {
    offered: told.length,
    acknowledged: told.filter(({ outcome }) => outcome === "ok").length,
    refused: told.filter(({ outcome }) => outcome === "refused").length,
    maybe: told.filter(({ outcome }) => outcome === "maybe" || outcome === "open").length,
    settled: run.settledCount,
    reigns: history.reigns,
    faults,
    events: world.events,
  };
}

function isWhole(slots: readonly Slot[], history: History): boolean {
  return slots.every(({ node }) => node.isReady && !node.detached && node.position.sequence === history.last && node.status()["openChanges"] === 0 && node.status()["unwatched"] === 0);
}

/** I29: after the last fault everybody is attached and equal within a stated time, and nothing is left open. */
async function converge(slots: readonly Slot[], run: Run, untilMs: number, wait: (untilMs: number) => Promise<void>): Promise<void> {
  await wait(untilMs);
  if (isWhole(slots, run.history)) return;
  const behind = slots
    .filter(({ node }) => !node.isReady || node.detached || node.position.sequence !== run.history.last || node.status()["openChanges"] !== 0 || node.status()["unwatched"] !== 0)
    .map(({ name, node }) => `${name} ready=${node.isReady} detached=${node.detached} at ${node.position.sequence} open=${String(node.status()["openChanges"])} unwatched=${String(node.status()["unwatched"])} ${node.lastError?.code ?? ""}`);
  violation("I29", `after the last fault, committed ${run.history.last}: ${behind.slice(0, 4).join("; ")} (${behind.length} in all)`);
}

/** I12 at the end: a valid bound entry belongs to a program that lives. */
function checkOwners(clients: readonly Slot[], directory: Slot, history: History): void {
  const living = new Map(clients.filter(({ alive }) => alive).map((slot) => [Number(slot.node.status()["session"]), slot.name]));
  for (const name of history.keys()) {
    const row = history.at(name, history.last);
    if (row === undefined || !row.valid || row.incarnation === 0) continue;
    const session = Number(row.owner.slice(row.owner.lastIndexOf("/") + 1));
    if (!living.has(session)) violation("I12", `${name.slice(name.indexOf("\u0000") + 1)} is valid at the end, owned by ${row.owner}, whose program is gone (directory ${directory.name})`);
  }
}
