import assert from "node:assert/strict";
import type { GroupRequestOptions, GroupServeOptions, ServedMember } from "../../../src/fleet/index.ts";
import { type JsonValue, MusterError, isRecord } from "../../../src/kernel/index.ts";
import type { RequestBody } from "../../../src/requests/index.ts";
import { SimFleet, type SimFleetOptions } from "../../../src/testing/index.ts";
import { Counters } from "./counters.ts";

/** How a request ended. */
export interface Ending {
  readonly answer?: RequestBody;
  readonly error?: MusterError;
  readonly tookMs: number;
}

const decoder = new TextDecoder();
const hosts = ["HOST1", "HOST2", "HOST3"] as const;

/** Three servers of MDS.1, each on a host of its own, with counters in their ordering group; a caller on a fourth host. The roll is the real one. */
export class GroupStage {
  readonly fleet: SimFleet;
  readonly members = new Map<string, ServedMember>();
  /** How often a handler ran, by the number in its body; more than once where a host died in the middle. */
  readonly runs = new Map<number, number>();
  /** How long a handler takes. */
  workMs = 0;
  /** Servers that begin from now on keep their counters by hooks of their own. */
  isHooked = false;
  #number = 0;

  constructor(options: Partial<SimFleetOptions> = {}) {
    this.fleet = new SimFleet({ seed: 1, ...options });
    this.fleet.addDirectory();
    for (const [at, host] of hosts.entries()) {
      this.fleet.addAgent(host);
      this.fleet.addClient(`s${at + 1}`, { agent: host });
    }
    this.fleet.addAgent("HOST4");
    this.fleet.addClient("caller", { agent: "HOST4" });
    this.fleet.addClient("reader", { agent: "HOST4" });
  }

  get nowMs(): number {
    return this.fleet.world.nowMs;
  }

  /** The server's key: "MDS.1.2" of "s2". */
  keyOf(name: string): string {
    return `MDS.1.${name.slice(1)}`;
  }

  nameOf(server: string): string {
    return `s${server.slice(server.lastIndexOf(".") + 1)}`;
  }

  serve(name: string, options: Partial<GroupServeOptions["group"]> = {}): Promise<ServedMember> {
    return this.fleet.until(this.begin(name, options));
  }

  /** Begins to serve; time has to pass. */
  async begin(name: string, options: Partial<GroupServeOptions["group"]> = {}): Promise<ServedMember> {
    const { handle, life } = this.fleet.member(name);
    const group = { data: "state", ...options };
    if (this.isHooked) return this.#beginHooked(name, group);
    const types: GroupServeOptions["types"] = {
      add: {
        effect: "write",
        handle: async (body, { state }) => {
          const { key, by, number } = orderOf(body);
          this.runs.set(number, (this.runs.get(number) ?? 0) + 1);
          if (this.workMs > 0) await new Promise<void>((resolve) => void life.clock.schedule(this.workMs, resolve));
          if (by === 0) throw new MusterError("stage/nothing", "nothing is to be added");
          const count = countIn(state.get(key)) + by;
          state.put(key, Buffer.from(String(count)));
          return count;
        },
      },
      get: { effect: "read", handle: (body, { state }) => countIn(state.get(String(body))) },
      nothing: { effect: "read", handle: () => undefined },
      exact: { effect: "read", consistency: "latest", handle: (body, { state }) => countIn(state.get(String(body))) },
    };
    const member = await handle.serve("metadata", this.keyOf(name), { port: 0, group, types });
    this.members.set(name, member);
    return member;
  }

  async #beginHooked(name: string, options: GroupServeOptions["group"]): Promise<ServedMember> {
    const { handle, life } = this.fleet.member(name);
    const pause = (): Promise<void> => new Promise((resolve) => void life.clock.schedule(this.workMs, resolve));
    const machine = new Counters(() => (this.workMs > 0 ? pause() : undefined));
    const types: GroupServeOptions["types"] = {
      add: { effect: "write" },
      get: { effect: "read", handle: (body) => machine.get(String(body)) },
    };
    const member = await handle.serve("metadata", this.keyOf(name), { port: 0, group: { ...options, machine }, types });
    this.members.set(name, member);
    return member;
  }

  /** All three serve, and are members. */
  async open(options: Partial<GroupServeOptions["group"]> = {}): Promise<this> {
    await this.fleet.start();
    for (const name of ["s1", "s2", "s3"]) await this.serve(name, options);
    await this.untilMembers(["s1", "s2", "s3"]);
    return this;
  }

  get row(): { readonly epoch: number; readonly synchronising: string; readonly members: readonly string[] } | undefined {
    const value = this.fleet.client("directory").get("groups", "metadata/MDS.1")?.value;
    if (!isRecord(value) || !Array.isArray(value["members"])) return undefined;
    const members = value["members"].map((member: JsonValue) => (isRecord(member) ? String(member["server"]) : ""));
    return { epoch: Number(value["epoch"]), synchronising: String(value["synchronising"]), members };
  }

  /** The program that orders at present. */
  get leader(): string {
    const { row } = this;
    assert.ok(row);
    return this.nameOf(row.synchronising);
  }

  async until(holds: () => boolean, limitMs = 10_000): Promise<void> {
    const { world } = this.fleet;
    assert.ok(await world.runUntil(holds, world.nowMs + limitMs), `not within ${limitMs} ms; the row is ${JSON.stringify(this.row)}`);
  }

  async untilMembers(names: readonly string[], limitMs = 10_000): Promise<void> {
    const wanted = names.map((name) => this.keyOf(name)).toSorted();
    const isServing = () => this.members.get(this.leader)?.group.status().role === "serving";
    await this.until(() => JSON.stringify(this.row?.members.toSorted()) === JSON.stringify(wanted) && isServing(), limitMs);
  }

  /** Adds to a counter as this program. The promise never rejects. */
  add(key: string, by = 1, options: GroupRequestOptions = {}, program = "caller"): Promise<Ending> {
    return this.ask("MDS.1", "add", { key, by, number: ++this.#number }, options, program);
  }

  ask(key: string, type: string, body: JsonValue, options: GroupRequestOptions = {}, program = "caller"): Promise<Ending> {
    const startMs = this.nowMs;
    return this.fleet
      .client(program)
      .request(key, type, body, options)
      .then(
        (answer) => ({ answer, tookMs: this.nowMs - startMs }),
        (error: MusterError) => ({ error, tookMs: this.nowMs - startMs }),
      );
  }

  /** What is committed at one server. */
  async at(name: string, key: string): Promise<RequestBody | undefined> {
    return (await this.fleet.until(this.ask(this.keyOf(name), "get", key, {}, name))).answer;
  }

  /** The program is gone, as by signal 9, and started again; its disk stays. */
  async restart(name: string, options: Partial<GroupServeOptions["group"]> = {}): Promise<void> {
    const { fleet } = this;
    fleet.member(name).restart();
    await this.until(() => fleet.member(name).node.isReady && !fleet.member(name).node.detached);
    await this.serve(name, options);
  }
}

/** Code and effect of what a promise rejected with. */
export function code(error: unknown): string {
  return error instanceof MusterError ? `${error.code} ${error.effect}` : String(error);
}

function orderOf(body: RequestBody): { readonly key: string; readonly by: number; readonly number: number } {
  assert.ok(isRecord(body));
  return { key: String(body["key"]), by: Number(body["by"]), number: Number(body["number"]) };
}

function countIn(bytes: Uint8Array | undefined): number {
  return bytes === undefined ? 0 : Number(decoder.decode(bytes));
}
