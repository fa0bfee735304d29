import { type Random, randomBelow } from "../../../src/kernel/index.ts";
import type { SimDisk } from "../world/sim-disk.ts";
import type { SimNetwork } from "../world/sim-network.ts";
import type { SimWorld } from "../world/sim-world.ts";
import type { Slot } from "./slot.ts";

export interface Theatre {
  readonly world: SimWorld;
  readonly network: SimNetwork;
  readonly disk: SimDisk;
  readonly directory: Slot;
  readonly relays: readonly Slot[];
  readonly agents: readonly Slot[];
  readonly clients: readonly Slot[];
  readonly trace: ((line: string) => void) | undefined;
}

type Fault = (theatre: Theatre, random: Random) => void;

function pick<T>(random: Random, all: readonly T[]): T {
  const chosen = all[randomBelow(random, all.length)];
  if (chosen === undefined) throw new Error("nothing to pick from");
  return chosen;
}

function between(random: Random, least: number, most: number): number {
  return least + (most - least) * random.fraction();
}

function crash(theatre: Theatre, slot: Slot, awayMs: number): void {
  theatre.trace?.(`${theatre.world.nowMs.toFixed(1)} FAULT crash ${slot.name} for ${awayMs.toFixed(0)}`);
  slot.crash();
  const { lives } = slot;
  theatre.world.after(awayMs, () => {
    if (!slot.alive && slot.lives === lives) slot.restart();
  });
}

function everybody(theatre: Theatre): readonly Slot[] {
  return [theatre.directory, ...theatre.relays, ...theatre.agents, ...theatre.clients];
}

/** One of these happens each time; the weights are the repetitions. */
const faults: readonly Fault[] = [
  (theatre, random) => crash(theatre, theatre.directory, between(random, 20, 900)),
  (theatre, random) => crash(theatre, theatre.directory, between(random, 1, 30)),
  (theatre, random) => crash(theatre, pick(random, theatre.relays), between(random, 20, 900)),
  (theatre, random) => crash(theatre, pick(random, theatre.agents), between(random, 10, 600)),
  (theatre, random) => crash(theatre, pick(random, theatre.agents), between(random, 1300, 2500)),
  (theatre, random) => crash(theatre, pick(random, theatre.clients), between(random, 50, 2000)),
  (theatre, random) => {
    const slot = pick(random, everybody(theatre));
    const { machine } = slot;
    const forMs = between(random, 50, 2500);
    theatre.trace?.(`${theatre.world.nowMs.toFixed(1)} FAULT pause ${slot.name} for ${forMs.toFixed(0)}`);
    machine.pause();
    theatre.world.after(forMs, () => machine.resume());
  },
  (theatre, random) => {
    const slot = pick(random, [theatre.directory, ...theatre.relays, ...theatre.agents]);
    const others = everybody(theatre).filter((other) => other !== slot && random.fraction() < 0.7);
    const both = random.fraction() < 0.7;
    theatre.trace?.(
      `${theatre.world.nowMs.toFixed(1)} FAULT cut ${slot.name} from ${others.map(({ name }) => name).join(" ")} ${both ? "both ways" : "one way"}`,
    );
    for (const other of others) theatre.network.cut(slot.name, other.name, both);
    theatre.world.after(between(random, 100, 2500), () => theatre.network.heal());
  },
  (theatre, random) => {
    const slot = pick(random, everybody(theatre));
    theatre.trace?.(`${theatre.world.nowMs.toFixed(1)} FAULT reset ${slot.name}`);
    theatre.network.reset(slot.name);
  },
  (theatre, random) => {
    const slot = pick(random, [...theatre.relays, ...theatre.agents, ...theatre.clients]);
    theatre.network.reset(slot.name);
  },
  (theatre, random) => {
    // A program opens another table, and its link breaks before the table has come.
    const slot = pick(
      random,
      theatre.clients.filter(({ want }) => want !== undefined),
    );
    theatre.trace?.(`${theatre.world.nowMs.toFixed(1)} FAULT ${slot.name} widens and is reset`);
    slot.node.widen([{ table: random.fraction() < 0.5 ? "metadata" : "gateway", prefix: "" }]);
    theatre.world.after(between(random, 0, 3), () => theatre.network.reset(slot.name));
  },
  (theatre, random) => {
    theatre.trace?.(`${theatre.world.nowMs.toFixed(1)} FAULT disk full`);
    theatre.disk.full = true;
    theatre.world.after(between(random, 50, 400), () => {
      theatre.disk.full = false;
    });
  },
  (theatre, random) => {
    theatre.disk.latencyMs = [1, between(random, 5, 60)];
    theatre.world.after(between(random, 200, 1500), () => {
      theatre.disk.latencyMs = [0.1, 0.6];
    });
  },
  (theatre, random) => {
    const slot = pick(random, everybody(theatre));
    slot.machine.jump((random.fraction() - 0.5) * 7_200_000);
  },
];

/** Plans `count` faults between `fromMs` and `untilMs`. */
export function planFaults(theatre: Theatre, random: Random, count: number, fromMs: number, untilMs: number): void {
  for (let index = 0; index < count; index++) {
    const fault = pick(random, faults);
    theatre.world.at(between(random, fromMs, untilMs), () => fault(theatre, random));
  }
}

/** Everything is whole again: paths, disks, pauses; whoever is dead starts. */
export function mend(theatre: Theatre): void {
  theatre.network.heal();
  theatre.disk.full = false;
  theatre.disk.latencyMs = [0.1, 0.6];
  for (const slot of everybody(theatre)) {
    slot.machine.resume();
    if (!slot.alive) slot.restart();
  }
}
