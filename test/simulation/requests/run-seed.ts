import { Finder } from "../../../src/find/index.ts";
import { MusterError, type Random, SeededRandom, randomBelow, silentTelemetry } from "../../../src/kernel/index.ts";
import { type RequestBody, RequestCaller, type RequestContext, type RequestEffect } from "../../../src/requests/index.ts";
import { SimFleet } from "../../../src/testing/index.ts";
import { violation } from "../roll/violation.ts";

/** What a run has come to: a run in which nothing happens proves nothing. */
export interface RequestsAchieved {
  readonly asked: number;
  readonly answered: number;
  readonly unknown: number;
  readonly failed: number;
  /** Attempts that were begun beyond the first. */
  readonly again: number;
  /** Reads of which two were begun within a moment: copies, not moves. */
  readonly copied: number;
  readonly faults: number;
}

interface Asked {
  readonly number: number;
  readonly caller: string;
  readonly type: string;
  readonly atMs: number;
  readonly deadlineMs: number;
  endings: number;
  endedMs: number;
  answer?: RequestBody;
  error?: MusterError;
}

interface Start {
  readonly number: number;
  readonly attempt: number;
  readonly atMs: number;
  ended: boolean;
}

const types: Readonly<Record<string, RequestEffect>> = { look: "read", again: "repeatable", act: "write" };
const hosts = ["HOST1", "HOST2", "HOST3", "HOST4"];
const servers = ["s1", "s2", "s3", "s4", "s5"];
const callers = ["c1", "c2", "c3"];
const requestsPerRun = 400;
const runMs = 8000;
/** Of the instance that all share; the others take what comes. */
const concurrency = 3;
/** Small, so that it is spent in many runs. */
const retryBurst = 3;
const retryShare = 0.05;
/** A deadline is kept to within the sweep's slack and a timer's. */
const lateMs = 30;

/** One run: servers that come and go, paths that break, and requests all the time; equal seeds give equal runs. */
class RequestsRun {
  readonly #fleet: SimFleet;
  readonly #random: Random;
  readonly #trace: (line: string) => void;
  readonly #asked = new Map<number, Asked>();
  readonly #starts: Start[] = [];
  readonly #callers = new Map<string, { readonly caller: RequestCaller; first: number }>();
  /** Keys of the present life of each server. */
  readonly #served = new Map<string, readonly { close(): Promise<void> }[]>();
  #faults = 0;
  /** What a handler has seen that must not be; told at the end, because what a handler throws is an answer. */
  #overrun: string | undefined;

  constructor(seed: number, trace: (line: string) => void) {
    this.#random = new SeededRandom(seed);
    this.#trace = (line) => trace(`${this.#fleet.world.nowMs.toFixed(1)} ${line}`);
    this.#fleet = new SimFleet({ seed });
  }

  async run(): Promise<RequestsAchieved> {
    await this.#build();
    const { world } = this.#fleet;
    for (let count = 0; count < requestsPerRun; count++) world.after(this.#random.fraction() * runMs, () => this.#ask());
    const faults = 6 + randomBelow(this.#random, 8);
    for (let count = 0; count < faults; count++) world.after(this.#random.fraction() * runMs * 0.9, () => this.#fault());
    await this.#fleet.runFor(runMs);
    this.#trace("everything is mended");
    this.#fleet.network.heal();
    this.#fleet.network.unstall();
    for (const name of servers) this.#fleet.member(name).resume();
    await this.#fleet.runFor(6000);
    return this.#judge();
  }

  async #build(): Promise<void> {
    const fleet = this.#fleet;
    fleet.addDirectory();
    fleet.addRelay("relay");
    for (const host of hosts) fleet.addAgent(host, { routes: [`${host}-a`, `${host}-b`] });
    for (const [index, name] of servers.entries()) fleet.addClient(name, { agent: hosts[index % 3] ?? "HOST1" });
    for (const [index, name] of callers.entries()) fleet.addClient(name, { agent: hosts[(index + 2) % 4] ?? "HOST4" });
    await fleet.start();
    for (const name of servers) await fleet.until(this.#serve(name));
    await fleet.runFor(50);
    for (const name of callers) {
      const { node } = fleet.client(name);
      const { replica } = node;
      const { clock, random, transport } = node.ports;
      const caller = new RequestCaller({
        clock,
        random,
        transport,
        telemetry: silentTelemetry,
        replica,
        finder: new Finder(replica, { ageMs: () => 0 }),
        name,
        addIfAbsent: (table, key, value) =>
          node.change([{ op: "add", table, key, value, valid: true }], [{ table, key, revision: "absent" }]),
        limits: { retryBurst, retryShare },
      });
      this.#callers.set(name, { caller, first: 0 });
    }
  }

  /** Each serves one instance of its own and is a member of one that all share. */
  async #serve(name: string): Promise<void> {
    const { handle, life } = this.#fleet.member(name);
    const handlerOf = (limit: number) => {
      let running = 0;
      return async (body: RequestBody, context: RequestContext) => {
        if (++running > limit) this.#overrun = `${running} handlers of ${name} work at a time instead of ${limit}`;
        return handler(body, context).finally(() => running--);
      };
    };
    const handler = async (body: RequestBody, context: RequestContext) => {
      const start: Start = { number: Number(body), attempt: context.attempt, atMs: this.#fleet.world.nowMs, ended: false };
      this.#starts.push(start);
      this.#trace(`${name} begins ${String(body)} (attempt ${context.attempt})`);
      const workMs = this.#random.fraction() ** 3 * 400;
      await new Promise<void>((resolve) => void life.clock.schedule(workMs, resolve));
      start.ended = true;
      if (this.#random.fraction() < 0.02) throw new MusterError("test/handler", "the handler failed");
      return name;
    };
    const optionsOf = (limit: number) => {
      const handle = handlerOf(limit);
      const declared = Object.fromEntries(Object.entries(types).map(([type, effect]) => [type, { effect, handle }]));
      return { port: 0, types: declared, maxPeriodMs: 600, drainMs: 500, concurrency: limit };
    };
    const number = name.slice(1);
    const entries = [
      await handle.serve("metadata", `MDS.${number}.1`, optionsOf(Number.POSITIVE_INFINITY)),
      await handle.serve("metadata", `SHARED.1.${number}`, optionsOf(concurrency)),
    ];
    this.#served.set(name, entries);
  }

  #ask(): void {
    const name = this.#pick(callers);
    const known = this.#callers.get(name);
    if (known === undefined || !this.#fleet.member(name).alive) return;
    const type = this.#pick(["look", "look", "again", "act", "act"]);
    const key = this.#pick(["MDS", "MDS", "SHARED.1", "MDS.1", "MDS.2.1"]);
    const deadlineMs = this.#pick([100, 500, 1000, 3000]);
    const number = this.#asked.size + 1;
    const { nowMs } = this.#fleet.world;
    const asked: Asked = { number, caller: name, type, atMs: nowMs, deadlineMs, endings: 0, endedMs: 0 };
    this.#asked.set(number, asked);
    this.#trace(`${name} asks ${number}: ${type} at ${key} within ${deadlineMs}`);
    const note = () => {
      asked.endings++;
      asked.endedMs = this.#fleet.world.nowMs;
    };
    known.first++;
    known.caller.request(key, type, number, { deadlineMs }).then(
      (answer) => {
        note();
        asked.answer = answer;
        this.#trace(`${number} is answered by ${String(answer)}`);
      },
      (error: unknown) => {
        note();
        if (!(error instanceof MusterError)) violation("I21", `request ${number} ended with ${String(error)}`);
        asked.error = error;
        this.#trace(`${number} fails: ${error.code} ${error.effect}`);
      },
    );
  }

  #fault(): void {
    this.#faults++;
    const { network, world } = this.#fleet;
    const name = this.#pick(servers);
    const member = this.#fleet.member(name);
    const forMs = 50 + this.#random.fraction() * 1500;
    const [one, other] = [this.#pick(hosts), this.#pick(hosts)];
    const fault = randomBelow(this.#random, 9);
    this.#trace(`fault ${fault}: ${name}, ${one}, ${other}, ${forMs.toFixed(0)} ms`);
    switch (fault) {
      case 0:
      case 1:
        if (!member.alive) return;
        member.crash(this.#random.fraction() < 0.7 ? "reset" : "silent");
        world.after(forMs, () => this.#revive(name));
        return;
      case 2:
        member.pause();
        world.after(forMs, () => member.resume());
        return;
      case 3:
        for (const entry of this.#served.get(name) ?? []) entry.close().catch(() => undefined);
        world.after(forMs + 1500, () => {
          if (member.alive && !member.paused) this.#serve(name).catch(() => undefined);
        });
        return;
      case 4:
        network.reset(one, other);
        return;
      case 5:
        network.partition([one], [other]);
        world.after(forMs, () => network.heal(one, other));
        return;
      case 6:
        network.cut(`${one}-a`, other);
        world.after(forMs, () => network.heal(`${one}-a`, other));
        return;
      case 7:
        network.stall(one, other);
        world.after(forMs, () => network.unstall(one, other));
        return;
      default: {
        // What a prober would say of one route.
        const directory = this.#fleet.client("directory");
        const key = `${one}.${randomBelow(this.#random, 2)}`;
        const say = (valid: boolean) => directory.change([{ op: "set-valid", table: "host-route", key, valid }]).catch(() => undefined);
        void say(false);
        world.after(forMs, () => void say(true));
      }
    }
  }

  #revive(name: string): void {
    const member = this.#fleet.member(name);
    if (member.alive) return;
    member.restart();
    member.handle.node
      .ready()
      .then(() => this.#serve(name))
      .catch(() => undefined);
  }

  #judge(): RequestsAchieved {
    if (this.#overrun !== undefined) violation("I28", this.#overrun);
    const starts = Map.groupBy(this.#starts, ({ number }) => number);
    let answered = 0;
    let unknown = 0;
    for (const asked of this.#asked.values()) {
      const begun = starts.get(asked.number) ?? [];
      this.#judgeEnd(asked, begun);
      if (types[asked.type] === "write" && begun.length > 1) violation("I22", `the write ${asked.number} was begun ${begun.length} times`);
      if (new Set(begun.map(({ attempt }) => attempt)).size < begun.length)
        violation("I22", `an attempt of ${asked.number} was begun twice`);
      if (asked.error === undefined) answered++;
      if (asked.error?.code === "requests/unknown") unknown++;
    }
    const again = this.#starts.filter(({ attempt }) => attempt > 1).length;
    const copied = [...starts.values()].filter(([first, second]) => second !== undefined && second.atMs - (first?.atMs ?? 0) < 20).length;
    for (const [name, { caller, first }] of this.#callers) {
      if (caller.pending > 0) violation("I28", `${caller.pending} requests of ${name} are pending for ever`);
      // Each may be sent a second time for free, the rest is paid for; what was turned away before it began costs nothing.
      const extra = [...this.#asked.values()]
        .filter((asked) => asked.caller === name)
        .reduce((sum, { number }) => sum + Math.max(0, (starts.get(number)?.length ?? 0) - 2), 0);
      // There are three types with a budget each.
      const max = 3 * retryBurst + retryShare * first;
      if (extra > max) violation("I23", `${name} re-sent ${extra} times at the budget's expense, which allows ${max}`);
    }
    const asked = this.#asked.size;
    return { asked, answered, unknown, failed: asked - answered - unknown, again, copied, faults: this.#faults };
  }

  #judgeEnd(asked: Asked, begun: readonly Start[]): void {
    const { number, type, endings, error, atMs, endedMs, deadlineMs } = asked;
    if (endings !== 1) violation("I21", `request ${number} ended ${endings} times`);
    if (endedMs - atMs > deadlineMs + lateMs)
      violation("I21", `request ${number} ended ${endedMs - atMs - deadlineMs} ms after its deadline`);
    if (error === undefined) {
      if (!begun.some(({ ended }) => ended)) violation("I21", `request ${number} was answered by nobody`);
      return;
    }
    if (error.effect === "none" && begun.length > 0)
      violation("I21", `${number} was begun, and its caller was told that it was not: ${error.code}`);
    if (error.code === "requests/unknown" && types[type] !== "write") violation("I21", `${type} ${number} ended as unknown`);
  }

  #pick<T>(list: readonly T[]): T {
    const one = list[randomBelow(this.#random, list.length)];
    if (one === undefined) throw new Error("nothing to pick from");
    return one;
  }
}

export function runRequestsSeed(seed: number, trace: (line: string) => void = () => {}): Promise<RequestsAchieved> {
  return new RequestsRun(seed, trace).run();
}
