import type { Action, Cut, FleetPlan, Loss } from "./scenario.ts";

/** One direction between two hosts on one network. */
export interface Path {
  readonly from: string;
  readonly to: string;
  readonly network: number;
}

/**
 * What is broken between hosts now. Both runners ask this one what is blocked, so that a cut means the same in both. Cuts are kept
 * by their words: a mend takes back the cut that was made with the same.
 */
export class Faults {
  readonly #fleet: FleetPlan;
  readonly #cuts = new Map<string, Cut>();
  readonly #splits = new Map<number, readonly string[]>();
  readonly #unplugged = new Map<string, { readonly host: string; readonly network: number }>();
  readonly #losses = new Map<string, Loss>();

  constructor(fleet: FleetPlan) {
    this.#fleet = fleet;
  }

  /** Takes note of an action. False when it is none that concerns the network as a whole. */
  note(action: Action): boolean {
    switch (action.do) {
      case "cut":
        this.#cuts.set(wordsOf(action.cut), action.cut);
        return true;
      case "mend":
        if (!this.#cuts.delete(wordsOf(action.cut))) throw new Error(`nothing to mend: ${wordsOf(action.cut)} was not cut`);
        return true;
      case "split":
        this.#splits.set(action.network, action.group);
        return true;
      case "join":
        this.#splits.delete(action.network);
        return true;
      case "unplug":
        this.#unplugged.set(placeOf(action), action);
        return true;
      case "plug":
        this.#unplugged.delete(placeOf(action));
        return true;
      case "lossy":
        if (action.percent === 0) this.#losses.delete(placeOf(action));
        else this.#losses.set(placeOf(action), action);
        return true;
      default:
        return false;
    }
  }

  /** Everything on which nothing passes, pulled cables apart. */
  cutPaths(): readonly Path[] {
    return this.#paths().filter((path) => [...this.#cuts.values()].some((cut) => severs(cut, path)) || this.#isSplit(path));
  }

  /** Everything on which nothing passes. */
  blockedPaths(): readonly Path[] {
    const pulled = ({ from, to, network }: Path) => this.#unplugged.has(`${from} ${network}`) || this.#unplugged.has(`${to} ${network}`);
    const isCut = new Set(this.cutPaths().map(textOf));
    return this.#paths().filter((path) => pulled(path) || isCut.has(textOf(path)));
  }

  get losses(): readonly Loss[] {
    return [...this.#losses.values()];
  }

  #isSplit({ from, to, network }: Path): boolean {
    const group = this.#splits.get(network);
    return group !== undefined && group.includes(from) !== group.includes(to);
  }

  #paths(): readonly Path[] {
    const names = this.#fleet.hosts.map(({ name }) => name);
    const networks = Array.from({ length: this.#fleet.networks }, (_, index) => index + 1);
    return networks.flatMap((network) => names.flatMap((from) => names.filter((to) => to !== from).map((to) => ({ from, to, network }))));
  }
}

function severs({ host, network, direction = "both", peer }: Cut, path: Path): boolean {
  if (network !== undefined && network !== path.network) return false;
  const isOut = direction !== "in" && path.from === host && (peer === undefined || path.to === peer);
  const isIn = direction !== "out" && path.to === host && (peer === undefined || path.from === peer);
  return isOut || isIn;
}

function wordsOf({ host, network, direction = "both", peer }: Cut): string {
  return `${host}, network ${network ?? "any"}, ${direction}, with ${peer ?? "everybody"}`;
}

function placeOf({ host, network }: { readonly host: string; readonly network: number }): string {
  return `${host} ${network}`;
}

function textOf({ from, to, network }: Path): string {
  return `${from} ${to} ${network}`;
}
