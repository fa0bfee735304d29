import { FleetHandle, NodeProbes, answerQuery } from "../fleet/index.ts";
import { type JsonValue, MusterError, type Telemetry, assert } from "../kernel/index.ts";
import { type NodeOptions, type ProcessProbe, RollNode } from "../roll/index.ts";
import type { ProbePeriods } from "../routes/index.ts";
import type { Address } from "../transport/index.ts";
import type { SimDisk } from "./sim-disk.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { CrashManner, SimLife, SimNode } from "./sim-node.ts";
import { SimPulse } from "./sim-pulse.ts";

/** What one member of a simulated fleet is given by its fleet. */
export interface MemberSurroundings {
  readonly network: SimNetwork;
  readonly processes: SimProcesses;
  readonly telemetry: Telemetry;
  readonly multicastFrom: number | undefined;
  /** How routes are probed; undefined: not at all. */
  readonly probes: ProbePeriods | undefined;
  /** A directory's. */
  readonly disk: SimDisk | undefined;
  /** Where programs on this host keep what they hold, by directory. */
  readonly disks: (directory: string) => SimDisk;
  /** A program's: its heartbeats come from a thread beside its main loop. */
  readonly pulse: boolean;
  /** Told what a start rejected with. */
  readonly startFailed: (member: SimMember, error: unknown) => void;
}

/** The process tables of all simulated hosts: a process is gone when its life has ended. */
export class SimProcesses implements ProcessProbe {
  readonly #lives = new Map<number, SimLife>();
  #last = 100;

  add(life: SimLife): number {
    this.#last++;
    this.#lives.set(this.#last, life);
    return this.#last;
  }

  isGone(pid: number): boolean {
    return this.#lives.get(pid)?.alive !== true;
  }
}

/** One place in a simulated fleet, and the program that lives there now: the real node behind the real handle. */
export class SimMember {
  readonly name: string;
  readonly sim: SimNode;
  /** Where its children reach it; nobody listens there when it is a client. */
  readonly address: Address;
  readonly #options: NodeOptions;
  readonly #surroundings: MemberSurroundings;
  #handle: FleetHandle;
  #pulse: SimPulse | undefined;
  #started = false;

  constructor(name: string, sim: SimNode, address: Address, options: NodeOptions, surroundings: MemberSurroundings) {
    this.name = name;
    this.sim = sim;
    this.address = address;
    this.#options = options;
    this.#surroundings = surroundings;
    this.#handle = this.#build();
  }

  get options(): NodeOptions {
    return this.#options;
  }

  /** The handle of the present life; that of a crashed program answers from what it held. */
  get handle(): FleetHandle {
    return this.#handle;
  }

  get node(): RollNode {
    return this.#handle.node;
  }

  get life(): SimLife {
    return this.sim.life;
  }

  get alive(): boolean {
    return this.#started && this.sim.alive;
  }

  get paused(): boolean {
    return this.sim.paused;
  }

  get lives(): number {
    return this.sim.lives;
  }

  /** Begins its first life. */
  start(): void {
    assert(!this.#started, `${this.name} has been started before: use restart`);
    this.#started = true;
    this.#run();
  }

  /** The program is gone in this instant, as by SIGKILL ("reset") or with its whole machine ("silent"). */
  crash(manner: CrashManner = "reset"): void {
    this.sim.crash(manner);
  }

  /** A new life, after a crash if it is still alive. A directory finds what its disk kept. */
  restart(): void {
    this.#started = true;
    this.sim.crash();
    this.sim.restart();
    this.#handle = this.#build();
    this.#run();
  }

  /** Leaves in good order and ends. Resolves in virtual time. */
  async close(): Promise<void> {
    await this.#handle.close();
    this.sim.crash();
  }

  /** SIGSTOP: nothing runs until `resume`, clocks go on, the system keeps taking input. */
  pause(): void {
    this.sim.pause();
    this.#pulse?.thread.pause();
  }

  /** An endless loop: its main loop stands still until `resume`, its other threads go on. */
  stall(): void {
    this.sim.pause();
  }

  /** Its machine sleeps: as `pause`, but its monotonic clock stands still. */
  suspend(): void {
    this.sim.suspend();
    this.#pulse?.thread.suspend();
  }

  resume(): void {
    this.#pulse?.thread.resume();
    this.sim.resume();
  }

  #build(): FleetHandle {
    const { network, processes, telemetry, disk, disks, multicastFrom } = this.#surroundings;
    const { life } = this.sim;
    const pid = processes.add(life);
    this.#pulse = this.#surroundings.pulse
      ? new SimPulse(this.sim, network, { name: this.#options.name, pid, started: String(pid) })
      : undefined;
    const answers: { query: (verb: string, args: unknown) => JsonValue } = { query: () => null };
    const node = new RollNode(
      { ...this.#options, process: { pid, started: String(pid) } },
      {
        clock: life.clock,
        random: life.random,
        transport: network.transport(this.sim),
        datagrams: network.datagrams(this.sim),
        ...(multicastFrom === undefined ? {} : { multicastFrom }),
        telemetry,
        processes,
        query: (verb, args) => answers.query(verb, args),
        ...(disk === undefined ? {} : { store: disk.store(life) }),
        ...(this.#pulse === undefined ? {} : { pulse: this.#pulse }),
      },
    );
    const handle = new FleetHandle(node, telemetry, (directory) => disks(directory).store(life));
    answers.query = (verb, args) => answerQuery(handle, verb, args);
    return handle;
  }

  #probe(): void {
    const { network, telemetry, probes } = this.#surroundings;
    const { role, routes = [] } = this.#options;
    if (probes === undefined || role === "client" || this.address.kind !== "tcp") return;
    const { clock, random } = this.life;
    const prober = new NodeProbes(this.node, {
      clock,
      random,
      telemetry,
      datagrams: network.datagrams(this.sim),
      transport: network.transport(this.sim),
      periods: probes,
      addresses: routes.length > 0 ? routes : [this.address.host],
      port: this.address.port,
    });
    this.#handle.probes = prober;
    void prober.start();
  }

  #run(): void {
    const { life, node } = this;
    this.#probe();
    const failed = (thrown: unknown) => {
      if (!life.alive) return;
      // A directory that cannot write its first change ends; whoever runs it starts it again.
      if (!(thrown instanceof MusterError && thrown.code === "roll/not-durable")) {
        this.#surroundings.startFailed(this, thrown);
        return;
      }
      life.end("reset");
      life.world.after(100, () => {
        if (this.life === life) this.restart();
      });
    };
    if (this.#options.role !== "client") node.listen(this.address).catch(failed);
    node.start().catch(failed);
  }
}
