import { type Random, randomBelow } from "../../../src/kernel/index.ts";
import { tableNumbers } from "../../../src/tables/index.ts";
import type { KnownRow } from "./history.ts";
import { type Slot, periods } from "./slot.ts";
import type { Stage } from "./stage.ts";
import { violation } from "./violation.ts";

/**
 * The bounds of I12, in milliseconds of true time on clocks that are up to 10 % slow, at one-way latencies of at most 1.5 ms
 * over three hops. A process that is gone is known at the next push. One that lives but is cut off gets the grace to come
 * back. One that hangs is known when its heartbeat lapses: its period and two ticks of the watch.
 */
const slowest = 0.9;
const pushMs = 100;
const tickMs = periods.watchTickMs;
/** What programs of the workload promise with `serve`. */
const beatMaxPeriodMs = 600;
export const deathBoundsMs = {
  "process gone": pushMs,
  "link lost": (periods.programGraceMs + 2 * tickMs) / slowest + pushMs,
  "program hangs": (beatMaxPeriodMs + 2 * tickMs) / slowest + pushMs,
  "host gone": (beatMaxPeriodMs + 2 * tickMs) / slowest + pushMs,
} as const;

export type Death = keyof typeof deathBoundsMs;
const kinds: readonly Death[] = ["process gone", "process gone", "link lost", "program hangs", "host gone"];

/** How long the fleet is left alone between two deaths, and how long before a program comes back. */
const betweenMs = 400;
const awayMs = 1200;

/** Programs that die one after another in a fleet in which nothing else happens, and what everybody must see of it. */
export class Deaths {
  readonly #stage: Stage;
  readonly #random: Random;
  /** Sessions whose entries may turn invalid. */
  readonly #dead = new Set<number>();
  /** Programs that are dead or cut off at present. */
  readonly #away = new Set<Slot>();
  /** Deaths after which every attached node was looked at. */
  proven = 0;
  count = 0;

  constructor(stage: Stage, random: Random) {
    this.#stage = stage;
    this.#random = random;
    stage.history.invalidated = (table, key, row) => this.#invalidated(table, key, row);
  }

  /** Told of each route that turns invalid. */
  routeInvalid: (key: string) => void = (key) => violation("I11", `route ${key} was called cut, and nothing was cut`);

  /** I11: nobody is invalidated whose program is up, and no host at all. */
  #invalidated(table: number, key: string, row: KnownRow): void {
    if (table === tableNumbers.hostRoute) this.routeInvalid(key);
    if (table === tableNumbers.hosts) violation("I11", `host ${key} expired, and every agent was up`);
    if (row.incarnation > 0 && !this.#dead.has(sessionOf(row)))
      violation("I11", `${key} of ${row.owner} was invalidated, and its program was up with its agent`);
  }

  /** Plans deaths from now until then; between them a link breaks here and there, which is no death. */
  plan(fromMs: number, untilMs: number): void {
    const { world, clients, network, trace } = this.#stage;
    for (let atMs = fromMs; atMs < untilMs; atMs += betweenMs) {
      const kind = kinds[randomBelow(this.#random, kinds.length)];
      if (kind === undefined) return;
      world.at(atMs, () => this.#die(kind));
      const other = clients[randomBelow(this.#random, clients.length)];
      world.at(atMs + betweenMs / 2, () => {
        if (other === undefined || !isUp(other) || this.#away.has(other)) return;
        trace?.(`${world.nowMs.toFixed(1)} reset ${other.name}, which finds its agent again`);
        network.reset(other.name);
      });
    }
  }

  #servedBy(session: number): readonly string[] {
    const { history } = this.#stage;
    return [...history.keys()].filter((name) => {
      const row = history.at(name, history.last);
      return row?.valid === true && row.incarnation > 0 && sessionOf(row) === session;
    });
  }

  #die(kind: Death): void {
    const { world, network, clients, trace } = this.#stage;
    const living = clients
      .filter((slot) => isUp(slot) && !this.#away.has(slot))
      .map((slot) => {
        const session = Number(slot.node.status()["session"]);
        return { slot, session, served: this.#servedBy(session) };
      });
    const serving = living.filter(({ served }) => served.length > 0);
    const chosen = serving[randomBelow(this.#random, serving.length)];
    if (chosen === undefined) return;
    const { slot, session, served } = chosen;
    this.#away.add(slot);
    trace?.(`${world.nowMs.toFixed(1)} DEATH ${slot.name} (${session}): ${kind}, serves ${served.length}`);
    this.#dead.add(session);
    this.count++;
    const agent = slot.node.parent?.name ?? "";
    const { life } = slot;
    if (kind === "process gone") slot.crash();
    else if (kind === "host gone") slot.crash("silent");
    else if (kind === "program hangs") life.pause();
    else {
      network.partition([slot.name], [agent]);
      network.reset(slot.name);
    }
    world.after(deathBoundsMs[kind], () => this.#look(slot, kind, session, served));
    world.after(awayMs, () => {
      life.resume();
      network.heal(slot.name, agent);
      if (!slot.alive) slot.restart();
      this.#away.delete(slot);
    });
  }

  /** I12: every attached node shows the dead program's entries invalid. */
  #look(dead: Slot, kind: Death, session: number, served: readonly string[]): void {
    this.proven++;
    for (const slot of this.#stage.slots) {
      if (slot === dead || !isUp(slot)) continue;
      for (const name of served) {
        const at = name.indexOf("\u0000");
        const row = slot.node.replica.row(Number(name.slice(0, at)), name.slice(at + 1));
        if (row?.flag === true && sessionOf(row) === session)
          violation("I12", `${slot.name} shows ${name.slice(at + 1)} valid ${deathBoundsMs[kind].toFixed(0)} ms after its ${kind}`);
      }
    }
  }
}

function isUp(slot: Slot): boolean {
  return slot.alive && !slot.paused && slot.node.isReady && !slot.node.detached;
}

function sessionOf(row: { readonly owner: string }): number {
  return Number(row.owner.slice(row.owner.lastIndexOf("/") + 1));
}
