import { type Random, randomBelow } from "../../../src/kernel/index.ts";
import { probePresets } from "../../../src/routes/index.ts";
import { tableNumbers } from "../../../src/tables/index.ts";
import type { Deaths } from "./deaths.ts";
import type { Slot } from "./slot.ts";
import type { Stage } from "./stage.ts";
import { violation } from "./violation.ts";

/**
 * Within so much true time every attached node knows that a route is cut: three silent periods, a burst, the question to two other hosts,
 * on clocks that are up to 10 % slow, and one direction takes a second judgement; then the push.
 */
const { probeMs, missesMax, burstProbes, burstMs, inquiryTicks } = probePresets.test;
const slowest = 0.9;
const pushMs = 100;
const judgeMs = (missesMax + 1) * probeMs + burstProbes * burstMs;
export const cutBoundMs = (2 * judgeMs + (inquiryTicks + 1) * probeMs) / slowest + pushMs;
const betweenMs = 900;

/** Single routes of hosts that live are cut, one way or both: a fact of that route, known everywhere in time, and of nothing else. */
export class RouteCuts {
  readonly #stage: Stage;
  readonly #random: Random;
  readonly #cut = new Set<string>();
  /** Cuts after which every attached node was looked at. */
  proven = 0;

  constructor(stage: Stage, random: Random, deaths: Deaths) {
    this.#stage = stage;
    this.#random = random;
    deaths.routeInvalid = (key) => {
      if (!this.#cut.has(key)) violation("I11", `route ${key} was called cut, and it was not`);
    };
  }

  plan(fromMs: number, untilMs: number): void {
    for (let atMs = fromMs; atMs < untilMs; atMs += betweenMs) this.#stage.world.at(atMs, () => this.#one());
  }

  #one(): void {
    const { world, network, agents, trace } = this.#stage;
    const agent = agents[randomBelow(this.#random, agents.length)];
    if (agent === undefined || !isAttached(agent)) return;
    const number = randomBelow(this.#random, 2);
    const key = `${agent.name}.${number}`;
    const address = agent.member.options.routes?.[number];
    const other = `${agent.name}.${1 - number}`;
    // One path to the tree is left, as long as nobody else's fault takes it.
    if (address === undefined || this.#cut.has(key) || this.#cut.has(other) || !this.#showsValid(agent, key)) return;
    const ways = randomBelow(this.#random, 3);
    trace?.(`${world.nowMs.toFixed(1)} CUT ${key} ${["both ways", "inwards", "outwards"][ways] ?? ""}`);
    this.#cut.add(key);
    if (ways !== 2) network.cut("*", address);
    if (ways !== 1) network.cut(address, "*");
    world.after(cutBoundMs, () => this.#look(key));
    world.after(cutBoundMs + 50, () => {
      network.heal("*", address);
      trace?.(`${world.nowMs.toFixed(1)} MENDED ${key}`);
      // What was judged just before may still be on its way.
      world.after(cutBoundMs, () => this.#cut.delete(key));
    });
  }

  #showsValid(slot: Slot, key: string): boolean {
    return slot.node.replica.row(tableNumbers.hostRoute, key)?.flag === true;
  }

  /** I12 for routes. */
  #look(key: string): void {
    this.proven++;
    for (const slot of this.#stage.slots)
      if (isAttached(slot) && slot.want === undefined && this.#showsValid(slot, key))
        violation("I12", `${slot.name} shows route ${key} valid ${cutBoundMs.toFixed(0)} ms after it was cut`);
  }
}

function isAttached(slot: Slot): boolean {
  return slot.alive && !slot.paused && slot.node.isReady && !slot.node.detached;
}
