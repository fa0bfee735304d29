import type { Trace } from "../ordering/stage.ts";
import { stillWeather } from "../ordering/weather.ts";
import type { Order } from "../ordering/work.ts";
import { violation } from "../roll/violation.ts";
import type { Caller } from "./caller.ts";
import { judge } from "./judging.ts";
import { type GroupStageOptions, Stage } from "./stage.ts";

const quiet: Omit<GroupStageOptions, "servers"> = { ...stillWeather, copiesMin: 1, state: "rows", isAlwaysAsync: false };

/** A stage on which nothing happens but what is written. */
export class Scene {
  readonly stage: Stage;

  constructor(seed: number, servers: number, trace?: Trace, options: Partial<GroupStageOptions> = {}) {
    this.stage = new Stage(seed, { ...quiet, servers, ...options }, trace);
  }

  get nowMs(): number {
    return this.stage.world.nowMs;
  }

  get synchronising(): string {
    return this.stage.roll.row?.synchronising ?? "";
  }

  /** The name of the server with this number. */
  name(number: number): string {
    return `MDS.1.${number}`;
  }

  /** One after the other, so that the first founds the group and orders. */
  async start(servers: number): Promise<void> {
    for (let number = 1; number <= servers; number++) {
      this.stage.host(this.name(number)).start();
      await this.until(() => this.stage.roll.row?.members.length === number, `${this.name(number)} did not come in`);
    }
    await this.pass(20);
  }

  caller(copies: "all" | "one" = "all"): Caller {
    const name = `L${this.stage.callers.length + 1}`;
    return this.stage.addCaller({ name, keys: ["a"], window: 0, thinkMs: 1, copies, deadlineMs: [1500, 1500] });
  }

  async pass(forMs: number): Promise<void> {
    await this.stage.world.runFor(forMs);
  }

  async until(met: () => boolean, otherwise: string, withinMs = 2000): Promise<void> {
    if (!(await this.stage.world.runUntil(met, this.nowMs + withinMs))) violation("I29", otherwise);
  }

  /** Resolves with true when it was answered. */
  async write(caller: Caller, order: Order, withinMs = 1600): Promise<boolean> {
    const { sums, world } = this.stage;
    const before = sums.acknowledged;
    let ended = false;
    caller.write(order, () => {
      ended = true;
    });
    await world.runUntil(() => ended, this.nowMs + withinMs);
    return sums.acknowledged > before;
  }

  /** Without waiting for its end. */
  begin(caller: Caller, order: Order): void {
    caller.write(order, () => {});
  }

  async append(caller: Caller, text: string): Promise<void> {
    if (!(await this.write(caller, { kind: "append", key: "a", argument: text }))) violation("I29", `nobody answered the write of ${text}`);
  }

  async readLatest(caller: Caller, key = "a"): Promise<boolean> {
    let found: boolean | undefined;
    caller.read(key, "latest", (is) => {
      found = is;
    });
    await this.stage.world.runUntil(() => found !== undefined, this.nowMs + 1000);
    return found === true;
  }

  /** From the other servers, in both directions. */
  isolate(server: string): void {
    for (const { server: other } of this.stage.hosts)
      if (other !== server) {
        this.stage.paths.cut(server, other);
        this.stage.paths.cut(other, server);
      }
  }

  rejoin(server: string): void {
    for (const { server: other } of this.stage.hosts) {
      this.stage.paths.heal(server, other);
      this.stage.paths.heal(other, server);
    }
  }

  judge(): void {
    if (judge(this.stage, 2_000_000) > 0) violation("I20", "the search for an order was given up");
  }
}
