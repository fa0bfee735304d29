import type { Random } from "../kernel/index.ts";

export interface LinkOptions {
  /** One way, in milliseconds. */
  readonly latencyMs: number;
  /** Up to so much more, at random, for each packet. */
  readonly jitterMs: number;
  /** Chance that a datagram is lost. Connections re-send, so they know only delay. */
  readonly loss: number;
  /** Chance that a datagram arrives twice. */
  readonly duplicate: number;
  /** Chance that a datagram is held back by up to 20 latencies, so that later ones overtake it. */
  readonly reorder: number;
}

/** One end of a path: a host, and which of its addresses. */
export interface Place {
  readonly host: string;
  readonly address: string;
}

const loopbackMs = 0.02;
const anywhere = "*";

/**
 * What lies between hosts: delays, and cuts in one direction or both. A cut names hosts or single addresses (routes); the
 * path from a host to itself is never cut.
 */
export class SimLinks {
  readonly #random: Random;
  readonly #usual: LinkOptions;
  readonly #special = new Map<string, LinkOptions>();
  readonly #cuts = new Set<string>();

  constructor(random: Random, usual: LinkOptions) {
    this.#random = random;
    this.#usual = usual;
  }

  /** Changes the path in one direction; what is not named stays as it was. */
  set(from: string, to: string, options: Partial<LinkOptions>): void {
    this.#special.set(path(from, to), { ...(this.#special.get(path(from, to)) ?? this.#usual), ...options });
  }

  cut(from: string, to: string): void {
    this.#cuts.add(path(from, to));
  }

  mend(from: string, to: string): void {
    this.#cuts.delete(path(from, to));
  }

  mendAll(): void {
    this.#cuts.clear();
  }

  isCut(from: Place, to: Place): boolean {
    if (this.#cuts.size === 0 || from.host === to.host) return false;
    for (const source of [from.host, from.address, anywhere])
      for (const target of [to.host, to.address, anywhere]) if (this.#cuts.has(path(source, target))) return true;
    return false;
  }

  /** How long one packet takes. */
  delayMs(from: Place, to: Place): number {
    if (from.host === to.host) return loopbackMs;
    const link = this.between(from, to);
    return link.jitterMs === 0 ? link.latencyMs : link.latencyMs + link.jitterMs * this.#random.fraction();
  }

  between(from: Place, to: Place): LinkOptions {
    if (this.#special.size === 0) return this.#usual;
    return this.#special.get(path(from.address, to.address)) ?? this.#special.get(path(from.host, to.host)) ?? this.#usual;
  }
}

function path(from: string, to: string): string {
  return `${from}>${to}`;
}
