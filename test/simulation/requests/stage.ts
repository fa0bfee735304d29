import assert from "node:assert/strict";
import type { JsonValue, MusterError } from "../../../src/kernel/index.ts";
import type { RequestBody, RequestContext, RequestEffect, RequestOptions } from "../../../src/requests/index.ts";
import { SimFleet, type SimFleetOptions, type SimMember } from "../../../src/testing/index.ts";

/** A handler that has begun to work on an attempt. */
export interface Start {
  /** The program, and the key that it served. */
  readonly server: string;
  readonly key: string;
  readonly type: string;
  readonly requestId: string;
  readonly attempt: number;
  readonly number: number;
  readonly atMs: number;
  readonly leftMs: number;
  /** Why its signal was aborted. */
  aborted?: string;
  ended?: true;
}

/** The one outcome of a request. */
export interface Ending {
  readonly number: number;
  readonly server?: string;
  readonly error?: MusterError;
  readonly tookMs: number;
}

export interface ServerOptions {
  readonly table?: string;
  /** How long a handler works; the function is asked with the program's name and the number of the request. */
  readonly workMs?: number | ((server: string, number: number) => number);
  readonly concurrency?: number;
  readonly data?: JsonValue;
  readonly port?: number;
  readonly effects?: Readonly<Record<string, RequestEffect>>;
  /** Called when it begins to drain. */
  readonly drain?: () => void;
  /** What a handler does after its work; default: answers who it is. */
  readonly answer?: (type: string, number: number) => RequestBody | Promise<RequestBody>;
}

const usualEffects: Readonly<Record<string, RequestEffect>> = { look: "read", again: "repeatable", act: "write" };

/** A simulated fleet with servers that note what they begin, and a caller that notes how each request ends. */
export class RequestStage {
  readonly fleet: SimFleet;
  readonly starts: Start[] = [];
  readonly endings: Ending[] = [];
  #number = 0;

  constructor(options: Partial<SimFleetOptions> = {}) {
    this.fleet = new SimFleet({ seed: 1, ...options });
    this.fleet.addDirectory();
  }

  /** Its routes are addresses of their own; without any, the host's name. */
  addHost(host: string, ...routes: string[]): void {
    this.fleet.addAgent(host, routes.length === 0 ? {} : { routes });
  }

  member(name: string): SimMember {
    return this.fleet.member(name);
  }

  get nowMs(): number {
    return this.fleet.world.nowMs;
  }

  /** A started program begins to serve `key`; resolves when the roll has it. */
  async serve(name: string, key: string, options: ServerOptions = {}): Promise<{ close(): Promise<void> }> {
    return this.fleet.until(this.register(name, key, options));
  }

  /** The same while time passes anyway. */
  register(name: string, key: string, options: ServerOptions = {}): Promise<{ close(): Promise<void> }> {
    const { table = "metadata", workMs = 0, port = 0, effects = usualEffects, concurrency, data } = options;
    const { handle, life } = this.member(name);
    const handler = (type: string) => async (body: RequestBody, context: RequestContext) => {
      const number = typeof body === "number" ? body : -1;
      const { requestId, attempt, deadlineMs } = context;
      const start: Start = { server: name, key, type, requestId, attempt, number, atMs: this.nowMs, leftMs: deadlineMs };
      this.starts.push(start);
      context.signal.addEventListener("abort", () => {
        start.aborted = String((context.signal.reason as Error).message);
      });
      const forMs = typeof workMs === "number" ? workMs : workMs(name, number);
      if (forMs > 0) await new Promise<void>((resolve) => void life.clock.schedule(forMs, resolve));
      start.ended = true;
      return options.answer === undefined ? name : options.answer(type, number);
    };
    const types = Object.fromEntries(Object.entries(effects).map(([type, effect]) => [type, { effect, handle: handler(type) }]));
    const further = {
      ...(options.drain === undefined ? {} : { drain: options.drain }),
      ...(concurrency === undefined ? {} : { concurrency }),
      ...(data === undefined ? {} : { data }),
    };
    return handle.serve(table, key, { port, types, ...further });
  }

  /** Asks as this program, and notes the end. The promise never rejects. */
  ask(name: string, key: string, type: string, options: RequestOptions = {}): Promise<Ending> {
    const number = ++this.#number;
    const startMs = this.nowMs;
    const note = (ending: Omit<Ending, "number" | "tookMs">): Ending => {
      const whole = { number, tookMs: this.nowMs - startMs, ...ending };
      this.endings.push(whole);
      return whole;
    };
    return this.fleet
      .client(name)
      .request(key, type, number, options)
      .then(
        (answer) => note({ server: String(answer) }),
        (error: MusterError) => note({ error }),
      );
  }

  async asked(name: string, key: string, type: string, options: RequestOptions = {}): Promise<Ending> {
    return this.fleet.until(this.ask(name, key, type, options));
  }

  startsOf(number: number): readonly Start[] {
    return this.starts.filter((start) => start.number === number);
  }

  /** What the roll is told by hand. */
  async set(table: string, key: string, valid: boolean): Promise<void> {
    await this.fleet.until(this.fleet.client("directory").change([{ op: "set-valid", table, key, valid }]));
  }

  async state(key: string, state: string): Promise<void> {
    const value: JsonValue = { state, reason: "as the test says", by: "test", sinceUnixMs: 0 };
    await this.fleet.until(this.fleet.client("directory").add("states", key, value));
  }
}

/** Three hosts with one server each of `MDS`, and a caller on a fourth, whose timers may be late; all started. */
export async function threeServers(
  options: ServerOptions = {},
  fleet: Partial<SimFleetOptions> = {},
  callersTimers: { readonly timerLatenessMs?: number } = {},
): Promise<RequestStage> {
  const stage = new RequestStage(fleet);
  for (const number of [1, 2, 3]) {
    stage.addHost(`HOST${number}`);
    stage.fleet.addClient(`s${number}`, { agent: `HOST${number}` });
  }
  stage.addHost("HOST4");
  stage.fleet.addClient("caller", { agent: "HOST4", ...callersTimers });
  await stage.fleet.start();
  for (const number of [1, 2, 3]) await stage.serve(`s${number}`, `MDS.${number}.1`, options);
  await stage.fleet.runFor(20);
  return stage;
}

/** The different ends of these requests; undefined for an answer. */
export function codes(endings: readonly Ending[]): readonly (string | undefined)[] {
  return [...new Set(endings.map(({ error }) => error?.code))];
}

/** Each server of the service is asked once, so that connections stand. */
export async function warm(stage: RequestStage): Promise<void> {
  for (let count = 0; count < 3; count++) assert.equal((await stage.asked("caller", "MDS", "look")).error, undefined);
}
