import { SimDisk } from "../world/sim-disk.ts";
import { SimNetwork } from "../world/sim-network.ts";
import { SimWorld } from "../world/sim-world.ts";
import type { Promised } from "./checkers.ts";
import type { Theatre } from "./faults.ts";
import { History } from "./history.ts";
import { Processes, Slot } from "./slot.ts";
import { Program, type Run, type Told, marksTable } from "./workload.ts";

/** A fleet that has formed: 1 directory, 2 relays, 10 agents, 20 programs at work. */
export interface Stage extends Theatre {
  readonly run: Run;
  readonly slots: readonly Slot[];
  readonly history: History;
  readonly told: Told[];
  readonly promised: Promised;
  readonly programs: ReadonlyMap<Slot, Program>;
  /** Virtual time at which the programs were started. */
  readonly begunMs: number;
}

export interface StageOptions {
  readonly latencyMs: readonly [least: number, most: number];
  readonly windowBytes: number;
  readonly trace: ((line: string) => void) | undefined;
}

export async function setStage(seed: number, options: StageOptions): Promise<Stage> {
  const world = new SimWorld(seed);
  const network = new SimNetwork(world, options);
  const history = new History();
  const disk = new SimDisk((batch) => {
    try {
      history.durable(batch);
    } catch (thrown) {
      world.fail(thrown);
    }
  });
  const { trace } = options;
  const processes = new Processes();
  const surroundings = { world, network, disk, trace };
  const slot = (name: string, how: ConstructorParameters<typeof Slot>[1]) => new Slot(name, how, surroundings, processes);
  const directory = slot("D", { role: "directory" });
  const relays = ["R0", "R1"].map((name) => slot(name, { role: "relay", parents: [directory.address] }));
  const agents = Array.from({ length: 10 }, (_, index) => {
    const parents = index < 4 ? relays : index < 7 ? [...relays].reverse() : index < 9 ? [directory, ...relays] : [directory];
    return slot(`H${index}`, {
      role: "agent",
      routes: [`10.0.0.${index}`, `10.1.0.${index}`],
      parents: parents.map(({ address }) => address),
    });
  });
  const clients = Array.from({ length: 20 }, (_, index) => {
    const parents = agents.slice(index % 10, (index % 10) + 1).map(({ address }) => address);
    // Some programs hold a part of the roll only.
    const want = index % 5 === 4 ? { want: [{ table: index % 2 === 0 ? "metadata" : "gateway", prefix: "" }] } : {};
    return slot(`C${index}`, { role: "client", parents, ...want });
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
    client.onStart = (started) => {
      const program = new Program(started, run);
      programs.set(started, program);
      program.start();
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
  for (const other of slots) if (other !== directory) other.start();
  return {
    world,
    network,
    disk,
    directory,
    relays,
    agents,
    clients,
    trace,
    run,
    slots,
    history,
    told,
    promised,
    programs,
    begunMs: world.nowMs,
  };
}
