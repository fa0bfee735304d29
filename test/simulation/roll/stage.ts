import { SeededRandom } from "../../../src/kernel/index.ts";
import type { RollLimits } from "../../../src/roll/index.ts";
import { probePresets } from "../../../src/routes/index.ts";
import { SimFleet, type SimMember, type SimMemberOptions } from "../../../src/testing/index.ts";
import { type Promised, marksTable, thingsTable } from "./checkers.ts";
import type { Theatre } from "./faults.ts";
import { History } from "./history.ts";
import { Slot, limits, periods } from "./slot.ts";
import { Program, type Run, type Told } from "./workload.ts";

/** A fleet that has formed: 1 directory, 2 relays, 10 agents, 20 programs at work. */
export interface Stage extends Theatre {
  readonly run: Run;
  readonly history: History;
  readonly told: Told[];
  readonly promised: Promised;
  readonly programs: ReadonlyMap<Slot, Program>;
  /** Virtual time at which the programs were started. */
  readonly begunMs: number;
}

export type Trace = (line: string) => void;

export interface StageOptions {
  readonly latencyMs: readonly [least: number, most: number];
  /** What the systems take of a connection before its sender has to wait. */
  readonly windowBytes: number;
  readonly trace: Trace | undefined;
  /** Timers fire up to so much late. */
  readonly timerLatenessMs?: number;
  /** Every other node speaks the protocol before the newest. */
  readonly mixedProtocols?: boolean;
  /** Programs run on the host of their agent, as in life, instead of each on one of its own that can be cut off. */
  readonly together?: boolean;
  readonly limits?: Partial<RollLimits>;
  /** The routes between directory, relays and agents are probed. */
  readonly probes?: boolean;
  /** Chance that a datagram is lost. */
  readonly loss?: number;
  /** Of each relay itself is left out. Default: the directory. */
  readonly parentsOfRelays?: readonly string[];
  /** The programs are there and do nothing by themselves. */
  readonly idle?: boolean;
}

/** The usual quiet surroundings of a written schedule. */
export const calm: StageOptions = { latencyMs: [0.1, 1], windowBytes: 65_536, trace: undefined };

export async function setStage(seed: number, options: StageOptions): Promise<Stage> {
  const { trace, latencyMs, windowBytes, timerLatenessMs = 0, mixedProtocols = false, together = false } = options;
  const [least, most] = latencyMs;
  const history = new History();
  const random = new SeededRandom(seed * 31 + 17);
  const fleet: SimFleet = new SimFleet({
    seed,
    ...(options.probes === true ? { probes: probePresets.test } : {}),
    network: {
      loss: options.loss ?? 0,
      latencyMs: least,
      jitterMs: most - least,
      systemBytesMax: windowBytes,
      connectionSpreadMs: (most - least) / 4,
    },
    disk: {
      commitMs: 0.1,
      jitterMs: 0.5,
      durable: (batch) => {
        try {
          history.durable(batch);
        } catch (thrown) {
          fleet.world.fail(thrown);
        }
      },
    },
    periods,
    limits: { ...limits, ...options.limits },
    ...(trace === undefined
      ? {}
      : {
          telemetry: (name) => ({
            log: (level, event, fields) =>
              trace(`${fleet.world.nowMs.toFixed(1)} ${name} ${level} ${event} ${JSON.stringify(fields ?? {})}`),
            count: () => {},
            gauge: () => {},
            observe: () => {},
          }),
        }),
  });
  const { world, network, disk } = fleet;
  let built = 0;
  /** Clocks run up to 10 % wrong. */
  const how = (): SimMemberOptions => ({
    clockRate: 1 + (random.fraction() - 0.5) * 0.2,
    timerLatenessMs,
    ...(mixedProtocols && built++ % 2 === 0 ? { protocolMax: 1 } : {}),
  });
  const slot = (member: SimMember) => new Slot(member);
  const directory = slot(fleet.addDirectory("D", how()));
  const relays = ["R0", "R1"].map((name) =>
    slot(fleet.addRelay(name, { ...how(), parents: options.parentsOfRelays?.filter((parent) => parent !== name) ?? ["D"] })),
  );
  const agents = Array.from({ length: 10 }, (_, index) => {
    const parents = index < 4 ? ["R0", "R1"] : index < 7 ? ["R1", "R0"] : index < 9 ? ["D", "R0", "R1"] : ["D"];
    return slot(fleet.addAgent(`H${index}`, { ...how(), routes: [`10.0.0.${index}`, `10.1.0.${index}`], parents }));
  });
  const clients = Array.from({ length: 20 }, (_, index) => {
    const name = `C${index}`;
    // Some programs hold a part of the roll only.
    const want = index % 5 === 4 ? { want: [{ table: index % 2 === 0 ? "metadata" : thingsTable, prefix: "" }] } : {};
    return slot(fleet.addClient(name, { agent: `H${index % 10}`, ...how(), ...(together ? {} : { host: name }), ...want }));
  });
  const slots = [directory, ...relays, ...agents, ...clients];
  const promised: Promised = { settled: 0 };
  const told: Told[] = [];
  const programs = new Map<Slot, Program>();
  const run: Run = {
    history,
    promised,
    told,
    groupChanges: [],
    slots,
    settledCount: 0,
    writing: options.idle !== true,
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
  for (const table of [marksTable, thingsTable]) await fleet.until(directory.handle.addTable(table));
  for (const other of slots) if (other !== directory) other.start();
  return {
    fleet,
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
