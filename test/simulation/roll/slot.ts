import { FleetHandle } from "../../../src/fleet/index.ts";
import { MusterError, type Telemetry, silentTelemetry } from "../../../src/kernel/index.ts";
import { type NodeOptions, type ProcessProbe, type RollLimits, type RollPeriods, RollNode, presets } from "../../../src/roll/index.ts";
import { type Address, parseAddress } from "../../../src/transport/index.ts";
import { type SimDisk, SimStore } from "../world/sim-disk.ts";
import { SimMachine } from "../world/sim-machine.ts";
import type { SimNetwork } from "../world/sim-network.ts";
import type { SimWorld } from "../world/sim-world.ts";

/** Short periods, so that a run of some seconds holds many of them. */
export const periods: RollPeriods = { ...presets.test, watchTickMs: 25 };

/** Small enough that replays, loads and children set apart happen in every run. */
export const limits: Partial<RollLimits> = {
  ringChangesMax: 30,
  storedLogMax: 20,
  childBytesMax: 8 * 1024,
  openChangesMax: 200,
  loadPartBytes: 512,
};

export interface Surroundings {
  readonly world: SimWorld;
  readonly network: SimNetwork;
  readonly disk: SimDisk;
  readonly trace: ((line: string) => void) | undefined;
}

/** The simulated process table: a process is gone when its machine's life has ended. */
export class Processes implements ProcessProbe {
  readonly #lives = new Map<number, SimMachine>();
  #next = 100;

  add(machine: SimMachine): number {
    this.#lives.set(++this.#next, machine);
    return this.#next;
  }

  isGone(pid: number): boolean {
    return this.#lives.get(pid)?.alive !== true;
  }
}

/** One place in the fleet, and the process that lives in it now. */
export class Slot {
  readonly name: string;
  readonly address: Address;
  readonly #surroundings: Surroundings;
  readonly #options: Omit<NodeOptions, "name">;
  readonly #processes: Processes;
  readonly #drift: number;
  machine: SimMachine;
  handle: FleetHandle;
  lives = 0;
  /** The highest position seen in this life. */
  position = { epoch: 0, sequence: 0 };
  onStart: (slot: Slot) => void = () => {};

  constructor(name: string, options: Omit<NodeOptions, "name">, surroundings: Surroundings, processes: Processes) {
    this.name = name;
    this.address = parseAddress(`${name}:7550`);
    this.#options = options;
    this.#surroundings = surroundings;
    this.#processes = processes;
    this.#drift = (surroundings.world.random.fraction() - 0.5) * 0.2;
    ({ machine: this.machine, handle: this.handle } = this.#build());
  }

  get role(): NodeOptions["role"] {
    return this.#options.role;
  }

  get want(): NodeOptions["want"] {
    return this.#options.want;
  }

  get node(): RollNode {
    return this.handle.node;
  }

  get alive(): boolean {
    return this.machine.alive;
  }

  #build(): { readonly machine: SimMachine; readonly handle: FleetHandle } {
    const { world, network, disk, trace } = this.#surroundings;
    this.lives++;
    this.position = { epoch: 0, sequence: 0 };
    const machine = new SimMachine(world, this.name, { drift: this.#drift });
    const pid = this.#processes.add(machine);
    const telemetry: Telemetry =
      trace === undefined
        ? silentTelemetry
        : {
            ...silentTelemetry,
            log: (level, event, fields) =>
              trace(`${world.nowMs.toFixed(1)} ${this.name} ${level} ${event} ${JSON.stringify(fields ?? {})}`),
          };
    const node = new RollNode(
      { ...this.#options, name: this.name, periods, limits, process: { pid, started: String(pid) } },
      {
        clock: machine,
        random: machine.random,
        transport: network.transport(machine),
        telemetry,
        processes: this.#processes,
        ...(this.#options.role === "directory" ? { store: new SimStore(disk, machine) } : {}),
      },
    );
    return { machine, handle: new FleetHandle(node, telemetry) };
  }

  start(): void {
    const { machine, node } = this;
    const { world } = this.#surroundings;
    const failed = (thrown: unknown) => {
      if (!machine.alive) return;
      // A directory that cannot write its first change ends; whoever runs it starts it again.
      if (thrown instanceof MusterError && thrown.code === "roll/not-durable") {
        machine.crash();
        const { lives } = this;
        world.after(100, () => {
          if (this.lives === lives) this.restart();
        });
      } else world.fail(thrown);
    };
    if (this.role !== "client") node.listen(this.address).catch(failed);
    node.start().catch(failed);
    this.onStart(this);
  }

  crash(): void {
    this.machine.crash();
  }

  restart(): void {
    this.machine.crash();
    ({ machine: this.machine, handle: this.handle } = this.#build());
    this.start();
  }
}
