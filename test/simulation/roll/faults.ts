import { type Random, randomBelow } from "../../../src/kernel/index.ts";
import type { CrashManner, SimDisk, SimFleet, SimNetwork, SimWorld } from "../../../src/testing/index.ts";
import { thingsTable } from "./checkers.ts";
import type { Slot } from "./slot.ts";

export interface Theatre {
  readonly fleet: SimFleet;
  readonly world: SimWorld;
  readonly network: SimNetwork;
  readonly disk: SimDisk;
  readonly slots: readonly Slot[];
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

function say(theatre: Theatre, what: string): void {
  theatre.trace?.(`${theatre.world.nowMs.toFixed(1)} FAULT ${what}`);
}

function crash(theatre: Theatre, slot: Slot, awayMs: number, manner: CrashManner = "reset"): void {
  say(theatre, `crash ${slot.name} for ${awayMs.toFixed(0)} (${manner})`);
  slot.crash(manner);
  const { lives } = slot;
  theatre.world.after(awayMs, () => {
    if (!slot.alive && slot.lives === lives) slot.restart();
  });
}

/** Its machine stands still: a pause lets the clocks go on, a suspension stops the monotonic one. */
function halt(theatre: Theatre, slot: Slot, how: "pause" | "suspend", forMs: number): void {
  say(theatre, `${how} ${slot.name} for ${forMs.toFixed(0)}`);
  const { life } = slot;
  life[how]();
  theatre.world.after(forMs, () => life.resume());
}

/** One of these happens each time; the weights are the repetitions. */
const faults: readonly Fault[] = [
  (theatre, random) => crash(theatre, theatre.directory, between(random, 20, 900)),
  (theatre, random) => crash(theatre, theatre.directory, between(random, 1, 30)),
  (theatre, random) => crash(theatre, pick(random, theatre.relays), between(random, 20, 900)),
  (theatre, random) => crash(theatre, pick(random, theatre.agents), between(random, 10, 600)),
  (theatre, random) => crash(theatre, pick(random, theatre.agents), between(random, 1300, 2500)),
  (theatre, random) => crash(theatre, pick(random, theatre.clients), between(random, 50, 2000)),
  (theatre, random) => crash(theatre, pick(random, theatre.slots), between(random, 20, 2000), "silent"),
  (theatre, random) => halt(theatre, pick(random, theatre.slots), "pause", between(random, 50, 2500)),
  (theatre, random) => halt(theatre, pick(random, theatre.slots), random.fraction() < 0.5 ? "pause" : "suspend", between(random, 50, 2500)),
  (theatre, random) => {
    const slot = pick(random, [theatre.directory, ...theatre.relays, ...theatre.agents]);
    const others = theatre.slots.filter((other) => other !== slot && random.fraction() < 0.7);
    const both = random.fraction() < 0.7;
    say(theatre, `cut ${slot.name} from ${others.map(({ name }) => name).join(" ")} ${both ? "both ways" : "one way"}`);
    for (const other of others)
      if (both) theatre.network.partition([slot.name], [other.name]);
      else theatre.network.cut(slot.name, other.name);
    theatre.world.after(between(random, 100, 2500), () => theatre.network.heal());
  },
  (theatre, random) => {
    const slot = pick(random, theatre.slots);
    say(theatre, `reset ${slot.name}`);
    theatre.network.reset(slot.member.sim.host);
  },
  (theatre, random) => {
    const slot = pick(random, [...theatre.relays, ...theatre.agents, ...theatre.clients]);
    say(theatre, `reset ${slot.name}`);
    theatre.network.reset(slot.member.sim.host);
  },
  (theatre, random) => {
    // The connections that are open now carry nothing for a while; what was sent comes late, behind that of newer ones.
    const slot = pick(random, theatre.slots);
    say(theatre, `stall ${slot.name}`);
    theatre.network.stall(slot.member.sim.host);
    theatre.world.after(between(random, 50, 2000), () => theatre.network.unstall(slot.member.sim.host));
  },
  (theatre, random) => {
    // A program opens another table, and its link breaks before the table has come.
    const slot = pick(
      random,
      theatre.clients.filter(({ want }) => want !== undefined),
    );
    say(theatre, `${slot.name} widens and is reset`);
    slot.node.widen([{ table: random.fraction() < 0.5 ? "metadata" : thingsTable, prefix: "" }]);
    theatre.world.after(between(random, 0, 3), () => theatre.network.reset(slot.member.sim.host));
  },
  (theatre, random) => {
    say(theatre, "disk full");
    theatre.disk.full = true;
    theatre.world.after(between(random, 50, 400), () => {
      theatre.disk.full = false;
    });
  },
  (theatre, random) => {
    say(theatre, "disk slow");
    theatre.disk.slow(1, between(random, 5, 60));
    theatre.world.after(between(random, 200, 1500), () => theatre.disk.slow(0.1, 0.5));
  },
  (theatre, random) => {
    const slot = pick(random, theatre.slots);
    const byMs = (random.fraction() - 0.5) * 7_200_000;
    say(theatre, `the wall clock of ${slot.name} jumps by ${byMs.toFixed(0)}`);
    slot.life.clock.jumpWall(byMs);
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
  theatre.network.unstall();
  theatre.network.heal();
  theatre.disk.full = false;
  theatre.disk.slow(0.1, 0.5);
  for (const slot of theatre.slots) {
    slot.life.resume();
    if (!slot.alive) slot.restart();
  }
}
