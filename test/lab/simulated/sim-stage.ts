import { type JsonValue, isRecord } from "../../../src/kernel/index.ts";
import { type RollPeriods, presets } from "../../../src/roll/index.ts";
import { probePresets } from "../../../src/routes/index.ts";
import { SimFleet, type SimMember } from "../../../src/testing/index.ts";
import { parseAddress } from "../../../src/transport/index.ts";
import { Faults } from "../faults.ts";
import { isWhole } from "../histories/worker.ts";
import type { Ask } from "../load.ts";
import { askByRequest } from "../programs/ask.ts";
import { serveMembersWhenFree, serveWhenFree } from "../programs/serve.ts";
import type { SaidLine } from "../record.ts";
import type { KnownGroup } from "../strikes.ts";
import {
  type Action,
  type HostPlan,
  type Scenario,
  addressOf,
  everyHost,
  groupsOf,
  membersOf,
  membersProcess,
  nodeOf,
  parentsOf,
  portOf,
  programsOf,
  serverAttributes,
  serverProcessesOf,
} from "../scenario.ts";

export interface SimStageOptions {
  readonly seed: number;
  readonly preset: keyof typeof presets;
  readonly said: (line: SaidLine) => void;
}

const linkPort = 7550;
const wholeMsMax = 10_000;

/** A scenario's fleet on simulated machines, and everything that can be done to it. */
export class SimStage {
  readonly fleet: SimFleet;
  readonly #scenario: Scenario;
  readonly #faults: Faults;
  readonly #said: (line: SaidLine) => void;
  /** Of each host; a new address replaces one, and the next life of its agent tells it. */
  readonly #routes = new Map<string, string[]>();
  /** Idle programs that a step has started. */
  readonly #begun = new Set<string>();
  readonly #refusing = new Set<string>();
  readonly #deadAddresses: string[] = [];
  readonly #lossy = new Map<string, number>();

  constructor(scenario: Scenario, { seed, preset, said }: SimStageOptions) {
    this.#scenario = scenario;
    this.#faults = new Faults(scenario.fleet);
    this.#said = said;
    const periods: RollPeriods = presets[preset];
    const fleet: SimFleet = new SimFleet({
      seed,
      periods,
      probes: probePresets[preset],
      telemetry: (process) => ({
        log: (level, event, fields) => {
          if (level !== "debug") this.#say(process, `${level} ${event} ${JSON.stringify(fields ?? {})}`);
        },
        count: () => {},
        gauge: () => {},
        observe: () => {},
      }),
      startFailed: ({ name }, error) => this.#say(name, `error ${error instanceof Error ? error.message : String(error)}`),
    });
    this.fleet = fleet;
    for (const host of scenario.fleet.hosts) this.#add(host);
  }

  /** Starts everything that is not idle, and serves. */
  async start(): Promise<void> {
    const hosts = this.#scenario.fleet.hosts.filter(({ idle }) => idle !== true);
    const nodes = ["directory", "relay", "agent"].flatMap((kind) => hosts.filter(({ node }) => node === kind));
    for (const host of nodes) {
      this.#listen(this.member(nodeOf(host)), host);
      await this.fleet.start(this.member(nodeOf(host)).name);
    }
    const programs = hosts.flatMap((host) => programsOf(host).slice(1));
    if (programs.length > 0) await this.fleet.start(...programs);
    for (const server of hosts.flatMap((host) => host.servers ?? [])) await this.fleet.until(this.#serve(server));
    await this.fleet.until(Promise.all(hosts.flatMap((host) => (host.members === undefined ? [] : [this.#serveMembers(host)]))));
    await this.#untilWhole();
  }

  /** Members are called as processes are, agents as their machines. */
  member(process: string): SimMember {
    return this.fleet.member(process.startsWith("agent ") ? process.slice("agent ".length) : process);
  }

  askOf(caller: string): Ask {
    const { service, deadlineMs } = this.#scenario.load;
    return askByRequest(this.fleet.client(caller), service, deadlineMs);
  }

  /** The ordering group of a service instance. */
  group(instance: string): KnownGroup | undefined {
    const row = this.fleet.client("directory").get("groups", `${serverAttributes.table}/${instance}`)?.value;
    if (!isRecord(row) || !Array.isArray(row["members"])) return undefined;
    const members = row["members"].map((member: JsonValue) => (isRecord(member) ? String(member["server"]) : ""));
    return { synchronising: String(row["synchronising"]), members };
  }

  act(action: Action): void {
    if (this.#faults.note(action)) {
      this.#applyFaults();
      return;
    }
    switch (action.do) {
      case "kill":
        return this.member(action.process).crash();
      case "stop":
        return this.member(action.process).pause();
      case "continue":
        return this.member(action.process).resume();
      case "start":
      case "restart":
        return this.#restart(action.process);
      case "slow":
        return this.#eachLink(action.host, action.network, (from, to) =>
          this.fleet.network.links.set(from, to, { latencyMs: action.delayMs || 0.2 }),
        );
      case "refuse":
      case "accept":
        if (action.do === "refuse") this.#refusing.add(action.host);
        else this.#refusing.delete(action.host);
        return this.#applyFaults();
      case "jump":
        for (const { sim } of this.fleet.members) if (sim.host === action.host) sim.life.clock.jumpWall(action.byMs);
        return;
      case "readdress":
        return this.#readdress(action.host, action.network, `10.77.${action.network}.${action.last}`);
      default:
        throw new Error(`a simulated fleet cannot ${action.do}`);
    }
  }

  every(periodMs: number, run: () => void): () => void {
    const { world } = this.fleet;
    let isOver = false;
    const turn = () => {
      if (isOver) return;
      run();
      world.after(periodMs, turn);
    };
    world.after(periodMs, turn);
    return () => {
      isOver = true;
    };
  }

  #add(host: HostPlan): void {
    const { fleet: plan } = this.#scenario;
    const routes = Array.from({ length: plan.networks }, (_, index) => addressOf(plan, host.name, index + 1));
    this.#routes.set(host.name, routes);
    const parents = parentsOf(plan, host).flatMap((parent) =>
      Array.from({ length: plan.networks }, (_, index) => addressOf(plan, parent, index + 1)),
    );
    const nodeName = host.as ?? host.name;
    if (host.node === "directory") this.fleet.addDirectory("directory", { host: host.name, nodeName, routes });
    else if (host.node === "relay") this.fleet.addRelay(nodeOf(host), { host: host.name, parents });
    else this.fleet.addAgent(host.name, { nodeName, routes, parents });
    // Hosts on the roll bring their addresses; a relay is nobody's host.
    if (host.node === "relay") for (const address of routes) this.fleet.network.addAddress(host.name, address);
    const agent = this.member(nodeOf(host)).name;
    for (const program of programsOf(host).slice(1)) this.fleet.addClient(program, { agent });
  }

  /** Those who take children are reached at the addresses of their host. */
  #listen(member: SimMember, host: HostPlan): void {
    if (host.node === "agent") return;
    for (const address of this.#routes.get(host.name) ?? [])
      member.node
        .listen(parseAddress(`${address}:${linkPort}`))
        .catch((error: unknown) => this.#say(member.name, `error ${String(error)}`));
  }

  #serve(server: string): Promise<unknown> {
    const port = portOf(this.#scenario.fleet, server);
    const { handle, life } = this.fleet.member(server);
    const pause = (ms: number) => new Promise<void>((resolve) => life.clock.schedule(ms, resolve));
    const { serviceTimeMs } = this.#scenario.load;
    const { maxPeriodMs = serverAttributes.maxPeriodMs } = this.#scenario.fleet;
    return serveWhenFree(handle, { server, port, pause, serviceTimeMs, maxPeriodMs });
  }

  #serveMembers(host: HostPlan): Promise<unknown> {
    const process = membersProcess(host.name);
    const { handle, life } = this.fleet.member(process);
    const pause = (ms: number) => new Promise<void>((resolve) => life.clock.schedule(ms, resolve));
    const { serviceTimeMs } = this.#scenario.load;
    const { maxPeriodMs = serverAttributes.maxPeriodMs } = this.#scenario.fleet;
    const port = portOf(this.#scenario.fleet, process);
    return serveMembersWhenFree(handle, { members: host.members ?? [], folder: "data", port, pause, serviceTimeMs, maxPeriodMs });
  }

  /** What is found out is not how a fleet begins. */
  async #untilWhole(): Promise<void> {
    const { world } = this.fleet;
    const directory = this.fleet.client("directory");
    const groups = groupsOf(membersOf(this.#scenario.fleet).map(({ server }) => server));
    for (const [group, servers] of groups) {
      const isThere = () => isWhole(directory, serverAttributes.table, group, servers.length);
      if (!(await world.runUntil(isThere, world.nowMs + wholeMsMax))) throw new Error(`the ordering group ${group} is not whole`);
    }
  }

  #restart(process: string): void {
    const member = this.member(process);
    const host = this.#scenario.fleet.hosts.find((one) => programsOf(one).includes(process));
    if (host?.idle === true && !this.#begun.has(process)) member.start();
    else member.restart();
    this.#begun.add(process);
    if (host !== undefined && nodeOf(host) === process) this.#listen(member, host);
    if (host === undefined || !serverProcessesOf(host).includes(process)) return;
    const { node } = member;
    node
      .ready()
      .then(() => (process === membersProcess(host.name) ? this.#serveMembers(host) : this.#serve(process)))
      .catch((error: unknown) => this.#say(process, `error ${String(error)}`));
  }

  /** Lays all cuts anew, so that the faults of one kind never mend those of another. */
  #applyFaults(): void {
    const { network } = this.fleet;
    network.links.mendAll();
    for (const { from, to, network: number } of this.#faults.blockedPaths()) {
      const [source, target] = [this.#address(from, number), this.#address(to, number)];
      // A connection that was not bound to an address of its own goes out by its host's name.
      network.cut(from, target);
      network.cut(source, to);
      network.cut(source, target);
    }
    for (const address of this.#deadAddresses) network.partition(["*"], [address]);
    // The simulated network has no firewall: the path to every server's host is cut.
    const serverHosts = this.#scenario.fleet.hosts.flatMap(({ name, servers = [], members = [] }) =>
      servers.length + members.length > 0 ? [name] : [],
    );
    for (const host of this.#refusing) network.partition([host], serverHosts);
    for (const [place, percent] of this.#losses()) {
      const [host = "", number] = place.split(" ");
      this.#eachLink(host, Number(number), (from, to) => network.links.set(from, to, { loss: percent / 100 }));
    }
    // Mends nothing more; lets connections send again what their systems kept back.
    network.heal("nobody", "nobody");
  }

  /** What is lost where; also 0 % where something was. */
  #losses(): ReadonlyMap<string, number> {
    for (const place of this.#lossy.keys()) this.#lossy.set(place, 0);
    for (const { host, network, percent } of this.#faults.losses) this.#lossy.set(`${host} ${network}`, percent);
    return this.#lossy;
  }

  /** Both directions between a host and each other one on a network, however the ends are named. */
  #eachLink(host: string, network: number, act: (from: string, to: string) => void): void {
    if (host === everyHost) {
      for (const { name } of this.#scenario.fleet.hosts) this.#eachLink(name, network, act);
      return;
    }
    for (const { name } of this.#scenario.fleet.hosts) {
      if (name === host) continue;
      const [here, there] = [this.#address(host, network), this.#address(name, network)];
      for (const [one, other] of [
        [here, there],
        [host, there],
        [here, name],
      ] as const) {
        act(one, other);
        act(other, one);
      }
    }
  }

  #readdress(host: string, network: number, address: string): void {
    const routes = this.#routes.get(host);
    const old = routes?.[network - 1];
    if (routes === undefined || old === undefined) throw new Error(`${host} has no address on network ${network}`);
    routes[network - 1] = address;
    this.fleet.network.addAddress(host, address);
    this.fleet.network.removeAddress(host, old);
    // Connections that were open on it are dead, and nobody is told.
    this.#deadAddresses.push(old);
    this.#applyFaults();
  }

  #address(host: string, network: number): string {
    const address = this.#routes.get(host)?.[network - 1];
    if (address === undefined) throw new Error(`${host} has no address on network ${network}`);
    return address;
  }

  #say(process: string, line: string): void {
    this.#said({ atMs: this.fleet.world.nowMs, process, line });
  }
}
