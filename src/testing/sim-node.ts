import { type Random, SeededRandom, type Telemetry, assert, silentTelemetry } from "../kernel/index.ts";
import { SimClock } from "./sim-clock.ts";
import type { EventKind, EventOwner, SimEvent, SimWorld } from "./sim-world.ts";

export interface SimNodeOptions {
  readonly name: string;
  /** The machine it runs on; programs on one host share its addresses and unix sockets. Default: a host of its own, of the same name. */
  readonly host?: string;
  /** How fast its clock runs: 1.1 gains 10 %. Default 1. */
  readonly clockRate?: number;
  /** Its wall clock minus true wall time. */
  readonly wallOffsetMs?: number;
  /** Timers fire up to so much late, at random, as real ones do. Default 0. */
  readonly timerLatenessMs?: number;
  /** Default: keeps nothing. */
  readonly telemetry?: Telemetry;
}

/** How the connections of a crashed program end: its system closes them, or (host gone) nobody ever hears. */
export type CrashManner = "reset" | "silent";

/**
 * One program in a simulated world: a clock of its own, randomness of its own, and a life that can be paused, suspended,
 * ended and begun anew. Everything that belongs to a life hangs on `life`: after a crash its timers never fire, its input never
 * arrives, and what it awaits never settles.
 */
export class SimNode {
  readonly world: SimWorld;
  readonly name: string;
  readonly host: string;
  readonly #options: SimNodeOptions;
  #life: SimLife;
  #lives = 1;

  constructor(world: SimWorld, options: SimNodeOptions) {
    this.world = world;
    this.name = options.name;
    this.host = options.host ?? options.name;
    this.#options = options;
    this.#life = this.#begin(options.wallOffsetMs ?? 0);
  }

  /** The present incarnation; a crashed one stays here until `restart`. */
  get life(): SimLife {
    return this.#life;
  }

  get clock(): SimClock {
    return this.#life.clock;
  }

  get random(): Random {
    return this.#life.random;
  }

  get telemetry(): Telemetry {
    return this.#life.telemetry;
  }

  get alive(): boolean {
    return this.#life.alive;
  }

  /** Between `pause` or `suspend` and `resume`. */
  get paused(): boolean {
    return this.#life.paused;
  }

  /** How often it has been started. */
  get lives(): number {
    return this.#lives;
  }

  /** SIGSTOP, a long garbage collection, stolen CPU: nothing runs, both clocks go on, the system keeps taking input. */
  pause(): void {
    this.#life.pause();
  }

  /** The machine sleeps: as `pause`, but monotonic time stands still, and with it all timers. */
  suspend(): void {
    this.#life.suspend();
  }

  /** Ends a pause or a suspension. Expired timers fire before buffered input is read, as in Node. */
  resume(): void {
    this.#life.resume();
  }

  /** The program is gone in this instant. */
  crash(manner: CrashManner = "reset"): void {
    this.#life.end(manner);
  }

  /** A new life after a crash; the clock keeps its rate and its wall offset, monotonic time begins somewhere else. */
  restart(): SimLife {
    assert(!this.#life.alive, "a node is restarted after it has crashed");
    this.#lives++;
    this.#life = this.#begin(this.#life.clock.wallOffsetMs);
    return this.#life;
  }

  #begin(wallOffsetMs: number): SimLife {
    const { world } = this;
    const random = new SeededRandom(Math.floor(world.random.fraction() * 0x1_0000_0000));
    return new SimLife(this, {
      random,
      telemetry: this.#options.telemetry ?? silentTelemetry,
      rate: this.#options.clockRate ?? 1,
      wallOffsetMs,
      timerLatenessMs: this.#options.timerLatenessMs ?? 0,
    });
  }
}

interface LifeOptions {
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly rate: number;
  readonly wallOffsetMs: number;
  readonly timerLatenessMs: number;
}

/** One incarnation of a node: the owner of its events. */
export class SimLife implements EventOwner {
  readonly node: SimNode;
  readonly number: number;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly clock: SimClock;
  #state: "running" | "stopped" | "catching-up" | "ended" = "running";
  #held: SimEvent[] = [];
  readonly #endings = new Set<(manner: CrashManner) => void>();

  constructor(node: SimNode, options: LifeOptions) {
    this.node = node;
    this.number = node.world.ownerNumber();
    this.random = options.random;
    this.telemetry = options.telemetry;
    this.clock = new SimClock(this, options);
  }

  get world(): SimWorld {
    return this.node.world;
  }

  get alive(): boolean {
    return this.#state !== "ended";
  }

  get paused(): boolean {
    return this.#state === "stopped";
  }

  /** Plans an event of this life; it is dropped when the life has ended by then. */
  plan(atMs: number, kind: EventKind, run: () => void): SimEvent {
    return this.world.plan(atMs, kind, this, run);
  }

  /** Called by the world when an event of this life is due. */
  receive(event: SimEvent): void {
    switch (this.#state) {
      case "running":
        event.run();
        return;
      case "stopped":
      case "catching-up":
        this.#held.push(event);
        return;
      case "ended":
        return;
    }
  }

  /** Runs the callback when this life ends; the result takes it back. */
  onEnd(callback: (manner: CrashManner) => void): () => void {
    this.#endings.add(callback);
    return () => this.#endings.delete(callback);
  }

  pause(): void {
    if (this.#state === "running") this.#state = "stopped";
    else if (this.#state === "catching-up") this.#state = "stopped";
  }

  suspend(): void {
    this.pause();
    if (this.#state === "stopped") this.clock.stop();
  }

  resume(): void {
    if (this.#state !== "stopped") return;
    this.clock.start();
    this.#state = "catching-up";
    const rank = { timer: 0, input: 1, turn: 2 } as const;
    this.#held.sort((a, b) => rank[a.kind] - rank[b.kind] || a.atMs - b.atMs || a.order - b.order);
    this.#catchUp();
  }

  end(manner: CrashManner): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#held = [];
    for (const callback of [...this.#endings]) callback(manner);
    this.#endings.clear();
  }

  /** One held event in each turn, so that promises settle in between; what becomes due meanwhile waits its turn. */
  #catchUp(): void {
    this.world.plan(this.world.nowMs, "turn", undefined, () => {
      if (this.#state !== "catching-up") return;
      const next = this.#held.shift();
      if (next === undefined) {
        this.#state = "running";
        return;
      }
      if (!next.cancelled) next.run();
      this.#catchUp();
    });
  }
}
