import type { Random } from "../../../src/kernel/index.ts";
import type { EventOwner, SimEvent, SimNode, SimWorld } from "../../../src/testing/index.ts";

export interface PathOptions {
  readonly latencyMs: number;
  readonly jitterMs: number;
  /** Shares of all messages. */
  readonly loss: number;
  readonly twice: number;
  /** Messages that take up to `lateMs`, so that others overtake them. */
  readonly late: number;
  readonly lateMs: number;
}

/** One-way messages between the nodes of a run: lost, doubled, late, overtaken, and cut off in one direction or both. */
export class Paths {
  readonly #world: SimWorld;
  readonly #random: Random;
  readonly #options: PathOptions;
  readonly #owners = new Map<SimNode, EventOwner>();
  readonly #cut = new Set<string>();
  readonly #slow = new Map<string, number>();
  #calm = false;
  #generation = 0;

  constructor(world: SimWorld, random: Random, options: PathOptions) {
    this.#world = world;
    this.#random = random;
    this.#options = options;
  }

  cut(from: string, to: string): void {
    this.#cut.add(`${from} ${to}`);
  }

  heal(from: string, to: string): void {
    this.#cut.delete(`${from} ${to}`);
  }

  /** What is sent from now on arrives at that instant at the earliest, until `quicken`. */
  slow(from: string, to: string, untilMs: number): void {
    this.#slow.set(`${from} ${to}`, untilMs);
  }

  quicken(from: string, to: string): void {
    this.#slow.delete(`${from} ${to}`);
  }

  /** Everything that is under way is lost. */
  drop(): void {
    this.#generation++;
  }

  /** Everything is well from now on; what is on its way already may still come late. */
  mend(): void {
    this.#cut.clear();
    this.#slow.clear();
    this.#calm = true;
  }

  /** `arrive` runs in whatever life of `to` there is by then. */
  send(from: SimNode, to: SimNode, arrive: () => void): void {
    if (from !== to && this.#cut.has(`${from.name} ${to.name}`)) return;
    const { loss, twice } = this.#options;
    const luck = this.#calm ? 1 : this.#random.fraction();
    if (luck < loss) return;
    this.#carry(from, to, arrive);
    if (luck < loss + twice) this.#carry(from, to, arrive);
  }

  #carry(from: SimNode, to: SimNode, arrive: () => void): void {
    const { latencyMs, jitterMs, late, lateMs } = this.#options;
    const more = !this.#calm && this.#random.fraction() < late ? lateMs * this.#random.fraction() : 0;
    const generation = this.#generation;
    const fromMs = Math.max(this.#world.nowMs, this.#slow.get(`${from.name} ${to.name}`) ?? 0);
    this.#world.plan(fromMs + latencyMs + jitterMs * this.#random.fraction() + more, "input", this.#owner(to), () => {
      // A cut also takes what is under way.
      if (generation !== this.#generation) return;
      if (from === to || !this.#cut.has(`${from.name} ${to.name}`)) arrive();
    });
  }

  #owner(node: SimNode): EventOwner {
    let owner = this.#owners.get(node);
    if (owner === undefined) {
      owner = { number: this.#world.ownerNumber(), receive: (event: SimEvent) => node.life.receive(event) };
      this.#owners.set(node, owner);
    }
    return owner;
  }
}
