import type { GroupLimits, Question, Settled, Submission } from "../../../src/groups/index.ts";
import { type Random, SeededRandom, randomBelow } from "../../../src/kernel/index.ts";
import { type SimDisk, type SimNode, SimWorld } from "../../../src/testing/index.ts";
import { violation } from "../roll/violation.ts";
import type { Operation } from "../writes/history.ts";
import type { CallerOptions, Calling, OrderingCaller, Servers } from "./caller.ts";
import { type PathOptions, Paths } from "./paths.ts";
import type { RollDelays, RollOrder, RollView } from "./roll-order.ts";
import { textOf } from "./work.ts";

export type Trace = (line: string) => void;

export interface StageOptions {
  readonly paths: PathOptions;
  readonly roll: RollDelays;
  readonly commitMs: number;
  readonly tickMs: number;
  readonly limits?: Partial<GroupLimits>;
  /** A program is gone at the beginning or the end of a commit, of a send, of an execution … : so often. */
  readonly crashShare: number;
  readonly timerLatenessMs: number;
}

/** Whose luck is drawn from which seed, so that no two draw alike. */
export interface StageSeeds {
  readonly world: number;
  readonly stage: number;
  readonly paths: number;
}

/** How long crashed programs are away at most, and how long until the roll knows. */
export interface CrashTimes {
  readonly downMsMax: number;
  readonly unseenMsMax: number;
}

/** The next time that a synchronising server comes to this step, it dies or stands still there. */
export interface Kill<Step extends string> {
  readonly step: Step;
  /** Stands still for so long; undefined: dies. */
  readonly pauseMs?: number | undefined;
  /** After so many others. */
  left: number;
}

/** A server, as faults and callers reach it. */
export interface StageHost {
  readonly server: string;
  readonly node: SimNode;
  readonly disk: SimDisk;
  crash(): void;
  restart(): void;
  submit(submission: Submission, reply: (settled: Settled) => void): void;
  ask(question: Question, reply: (settled: Settled) => void): void;
}

/** What a simulation of ordering groups runs on: servers, paths and callers on virtual time, and the ways in which programs come and go. */
export abstract class OrderingStage<
  Host extends StageHost,
  Options extends CallerOptions,
  Caller extends OrderingCaller<Options>,
  Step extends string,
> implements Servers
{
  readonly world: SimWorld;
  readonly random: Random;
  readonly paths: Paths;
  abstract readonly options: StageOptions;
  abstract readonly roll: RollOrder<RollView>;
  abstract kill: Kill<Step> | undefined;
  protected abstract readonly crashTimes: CrashTimes;
  readonly hosts: Host[] = [];
  readonly callers: Caller[] = [];
  readonly history: Operation[] = [];
  readonly trace: Trace | undefined;
  crashes = 0;
  readonly #byName = new Map<string, Host>();
  #stamps = 0;
  #calm = false;

  constructor(seeds: StageSeeds, paths: PathOptions, eventsMax: number, trace: Trace | undefined) {
    this.world = new SimWorld({ seed: seeds.world, eventsMax });
    this.random = new SeededRandom(seeds.stage);
    this.trace = trace === undefined ? undefined : (line) => trace(`${this.world.nowMs.toFixed(2)} ${line}`);
    this.paths = new Paths(this.world, new SeededRandom(seeds.paths), paths);
  }

  abstract addCaller(options: Options): Caller;
  /** Somebody; more often than not one that matters. */
  abstract victim(): Host;
  /** Whether the kill that is armed means this server, as things stand. */
  protected abstract isMeant(host: Host): boolean;

  /** Another fault now would lose what no protocol survives the loss of. Only where disks are lost that can be. */
  isFragile(): boolean {
    return false;
  }

  protected addHost(host: Host): void {
    this.hosts.push(host);
    this.#byName.set(host.server, host);
  }

  get isCalm(): boolean {
    return this.#calm;
  }

  get names(): readonly string[] {
    return this.hosts.map(({ server }) => server);
  }

  host(server: string): Host {
    const host = this.#byName.get(server);
    if (host === undefined) throw new Error(`there is no server ${server}`);
    return host;
  }

  pick<T>(list: readonly T[]): T {
    const one = list[randomBelow(this.random, list.length)];
    if (one === undefined) throw new Error("nothing to pick from");
    return one;
  }

  between(from: number, to: number): number {
    return from + (to - from) * this.random.fraction();
  }

  stamp(id: string): string {
    this.#stamps++;
    return `${id} ${this.#stamps}`;
  }

  /** The invariant is broken in the continuation of a promise, or in code under test that would catch it: the run fails all the same. */
  guard<T>(act: () => T): T {
    try {
      return act();
    } catch (thrown) {
      this.world.fail(thrown);
      throw thrown;
    }
  }

  /** A program comes to a step of its work. Returns whether it is gone now. */
  step(host: Host, step: Step): boolean {
    if (!host.node.alive) return true;
    if (this.#calm) return false;
    const { kill } = this;
    if (kill?.step === step && this.isMeant(host) && !this.isFragile() && kill.left-- <= 0) {
      this.kill = undefined;
      this.trace?.(`KILL ${host.server}: ${step} ${String(kill.pauseMs)}`);
      if (kill.pauseMs === undefined) this.crash(host);
      else this.pause(host, kill.pauseMs);
      return !host.node.alive;
    }
    if (this.options.crashShare > 0 && this.random.fraction() < this.options.crashShare && !this.isFragile()) {
      this.trace?.(`CRASH ${host.server}: ${step}`);
      this.crash(host);
      return true;
    }
    return false;
  }

  /** Sooner or later the roll knows, and the program comes back. */
  crash(host: Host, downMs = this.between(2, this.crashTimes.downMsMax)): void {
    if (!host.node.alive) return;
    this.crashes++;
    host.crash();
    const life = host.node.lives;
    if (this.random.fraction() < 0.85)
      this.world.after(this.between(0.5, this.crashTimes.unseenMsMax), () => {
        if (host.node.lives === life && !host.node.alive) this.roll.invalidate([host.server]);
      });
    this.world.after(downMs, () => {
      if (!host.node.alive) host.restart();
    });
  }

  /** Stands still, and often the roll gives it up meanwhile, so that it wakes deposed. */
  pause(host: Host, forMs: number): void {
    const { life } = host.node;
    this.trace?.(`PAUSE ${host.server} for ${forMs.toFixed(0)}`);
    life.pause();
    if (this.random.fraction() < 0.5) this.suspect(host, this.between(1, 100), forMs + 50);
    this.world.after(forMs, () => {
      this.trace?.(`RESUME ${host.server}`);
      life.resume();
    });
  }

  /** The roll takes it for gone, whatever it is. */
  suspect(host: Host, afterMs: number, forMs: number): void {
    this.world.after(afterMs, () => {
      if (!this.isFragile()) this.roll.invalidate([host.server]);
    });
    this.world.after(afterMs + forMs, () => {
      if (host.node.alive) this.roll.validate(host.server);
    });
  }

  /** From here on nobody is crashed. */
  calm(): void {
    this.#calm = true;
    this.kill = undefined;
  }

  /** There and back over the paths. */
  protected reach<Reply>(
    caller: Calling,
    server: string,
    call: (host: Host, reply: (reply: Reply) => void) => void,
    replied: (reply: Reply) => void,
  ): void {
    const host = this.host(server);
    this.paths.send(caller.node, host.node, () => call(host, (reply) => this.paths.send(host.node, caller.node, () => replied(reply))));
  }

  submit(...[caller, server, submission, replied]: Parameters<Servers["submit"]>): void {
    this.reach(caller, server, (host, reply) => host.submit(submission, reply), replied);
  }

  ask(...[caller, server, question, replied]: Parameters<Servers["ask"]>): void {
    this.reach(caller, server, (host, reply) => host.ask(question, reply), replied);
  }

  resultOf(outcome: Uint8Array): string | null | undefined {
    return this.#readAnswer(outcome)?.result;
  }

  protected stampOf(outcome: Uint8Array): string | undefined {
    return this.#readAnswer(outcome)?.stamp;
  }

  #readAnswer(outcome: Uint8Array): { readonly result: string | null; readonly stamp: string } | undefined {
    const read: unknown = JSON.parse(textOf(outcome));
    if (typeof read !== "object" || read === null || !("result" in read) || !("stamp" in read)) return undefined;
    const { result, stamp } = read;
    if (typeof stamp !== "string" || (typeof result !== "string" && result !== null))
      return violation("I16", `an answer was changed: ${textOf(outcome)}`);
    return { result, stamp };
  }
}
