import { type Random, SeededRandom } from "../../../src/kernel/index.ts";
import type { RequestContext } from "../../../src/requests/index.ts";
import { SimFleet, type SimMember } from "../../../src/testing/index.ts";

export interface SceneOptions {
  readonly seed: number;
  readonly servers: number;
  /** Whether a server works on all that it has at once, or on one after the other in the order in which they came. */
  readonly serving: "side-by-side" | "in-turn";
  /** How long a server will need for the request that it begins at this instant of the scene. */
  readonly workMs: (server: number, random: Random, atMs: number) => number;
  readonly deadlineMs: number;
}

/** One call of the scene, from its start to its one outcome. */
export interface Call {
  readonly startMs: number;
  /** Infinity when it failed. */
  readonly tookMs: number;
}

const service = "MDS";
const type = "look";
/** Calls before the scene begins: connections are open then. */
const warmCalls = 200;
/** The figures are of servers and policies, so the network adds next to nothing. */
const network = { latencyMs: 0.01, jitterMs: 0, connectionSpreadMs: 0, splitChance: 0 };

/**
 * Servers of one service and a caller, each on a simulated host of its own, all with the real code: what the caller does about slow
 * servers is what the library does by default.
 */
export class Scene {
  readonly fleet: SimFleet;
  readonly calls: Call[] = [];
  readonly #options: SceneOptions;
  readonly #random: SeededRandom;
  #beginMs = 0;
  #executed = 0;

  private constructor(options: SceneOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed + 1);
    this.fleet = new SimFleet({ seed: options.seed, network });
  }

  static async open(options: SceneOptions): Promise<Scene> {
    const scene = new Scene(options);
    const { fleet } = scene;
    fleet.addDirectory();
    fleet.addAgent("CALLER");
    fleet.addClient("caller", { agent: "CALLER" });
    const servers = Array.from({ length: options.servers }, (_, index) => {
      fleet.addAgent(`HOST${index + 1}`);
      return fleet.addClient(`s${index + 1}`, { agent: `HOST${index + 1}` });
    });
    await fleet.start();
    for (const [index, server] of servers.entries()) await scene.#serve(server, index);
    await fleet.runFor(100);
    scene.#beginMs = fleet.world.nowMs;
    for (let call = 0; call < warmCalls; call++) await fleet.until(scene.call());
    const failed = scene.calls.filter(({ tookMs }) => tookMs === Number.POSITIVE_INFINITY).length;
    if (failed > 0) throw new Error(`${failed} of ${warmCalls} calls failed before anything was measured`);
    scene.calls.length = 0;
    scene.#executed = 0;
    scene.#beginMs = fleet.world.nowMs;
    return scene;
  }

  /** Since the scene began. */
  get nowMs(): number {
    return this.fleet.world.nowMs - this.#beginMs;
  }

  /** Requests that a server began to work on. */
  get executed(): number {
    return this.#executed;
  }

  get random(): Random {
    return this.#random;
  }

  /** Never rejects. */
  async call(): Promise<void> {
    const startMs = this.nowMs;
    const answered = await this.fleet
      .client("caller")
      .request(service, type, null, { deadlineMs: this.#options.deadlineMs })
      .then(
        () => true,
        () => false,
      );
    this.calls.push({ startMs, tookMs: answered ? this.nowMs - startMs : Number.POSITIVE_INFINITY });
  }

  /** So many calls, a number of callers each of which waits for its last one. */
  async closedLoop(calls: number, callers: number): Promise<void> {
    let started = 0;
    const loop = async () => {
      while (started < calls) {
        started++;
        await this.call();
      }
    };
    await this.fleet.until(Promise.all(Array.from({ length: callers }, loop)), Number.POSITIVE_INFINITY);
  }

  /** A call after each gap, whether or not earlier ones have ended, and then time for those that are open. */
  async openLoop(durationMs: number, gapMs: () => number): Promise<void> {
    const { world } = this.fleet;
    const untilMs = world.nowMs + durationMs;
    const next = () => {
      if (world.nowMs >= untilMs) return;
      void this.call();
      world.after(gapMs(), next);
    };
    next();
    await world.run(untilMs + this.#options.deadlineMs + 1);
  }

  async #serve({ handle, life }: SimMember, index: number): Promise<void> {
    const { serving, workMs } = this.#options;
    const work = () => {
      this.#executed++;
      return new Promise<void>((resolve) => void life.clock.schedule(workMs(index, this.#random, this.nowMs), resolve));
    };
    let last = Promise.resolve();
    const inTurn = (signal: AbortSignal) => {
      last = last.then(() => (signal.aborted ? undefined : work()));
      return last;
    };
    const look = async (_body: unknown, context: RequestContext) => {
      await (serving === "in-turn" ? inTurn(context.signal) : work());
      return null;
    };
    // The library's own queue is the one in which copies of a request can still be dropped; `inTurn` holds with or without it.
    const limit = serving === "in-turn" ? { concurrency: 1 } : {};
    const options = { port: 0, types: { [type]: { effect: "read" as const, handle: look } }, ...limit };
    await this.fleet.until(handle.serve("metadata", `${service}.${index + 1}.1`, options));
  }
}
