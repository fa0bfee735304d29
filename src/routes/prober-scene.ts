import { type CrashManner, SimNetwork, type SimNetworkOptions, SimNode, SimTelemetry, SimWorld } from "../testing/index.ts";
import type { Datagrams, Endpoint } from "../transport/index.ts";
import { type ProbePeriods, Prober, type ReachRow, probePresets } from "./index.ts";

export interface SceneOptions {
  readonly seed?: number;
  readonly hosts?: number;
  readonly networks?: number;
  readonly network?: SimNetworkOptions;
  readonly periods?: ProbePeriods;
  readonly timerLatenessMs?: number;
}

/** One node of the scene, with its prober and what that reported. */
export interface Member {
  readonly node: SimNode;
  readonly telemetry: SimTelemetry;
  readonly addresses: readonly string[];
  readonly events: string[];
  prober: Prober;
}

const parentPort = 7550;
const secret = Buffer.from("a secret of this fleet, 32 bytes");

/** For tests of the prober: one parent and several hosts on separate networks, in virtual time. */
export class Scene {
  readonly world: SimWorld;
  readonly network: SimNetwork;
  readonly parent: Member;
  readonly hosts: readonly Member[];
  readonly #periods: ProbePeriods;
  readonly #networks: number;
  readonly #latenessMs: number;
  secretOf: (name: string) => Uint8Array | undefined = () => secret;
  /** Called with everything that any node sends. */
  tap: (from: string, bytes: Uint8Array, to: Endpoint) => void = () => {};
  position = { epoch: 1, sequence: 10 };

  constructor({ seed = 1, hosts = 4, networks = 2, network = {}, periods = probePresets.lan, timerLatenessMs = 0 }: SceneOptions = {}) {
    this.world = new SimWorld({ seed });
    this.network = new SimNetwork(this.world, network);
    this.#periods = periods;
    this.#networks = networks;
    this.#latenessMs = timerLatenessMs;
    this.parent = this.#member("TOP", 1);
    this.hosts = Array.from({ length: hosts }, (_, at) => this.#member(`HOST${at + 1}`, at + 11));
    // The networks are separate: no address of one reaches an address of another.
    for (const one of [this.parent, ...this.hosts])
      for (const other of [this.parent, ...this.hosts])
        for (const [at, from] of one.addresses.entries())
          for (const [to, address] of other.addresses.entries()) if (at !== to) this.network.cut(from, address);
  }

  host(number: number): Member {
    const member = this.hosts[number - 1];
    if (member === undefined) throw new RangeError(`there is no HOST${number}`);
    return member;
  }

  async start(): Promise<void> {
    await Promise.all([this.parent, ...this.hosts].map((member) => member.prober.start()));
    for (const host of this.hosts) this.attach(host);
    this.adopt();
  }

  attach(host: Member): void {
    host.prober.setParent(this.parent.addresses.map((address) => ({ host: address, port: parentPort })));
  }

  adopt(hosts: readonly Member[] = this.hosts, counter = 1): void {
    this.parent.prober.setChildren(
      hosts.map(({ node, addresses }) => ({ host: node.name, session: Number(node.name.slice(4)), counter, addresses })),
    );
  }

  /** Starts, lets everything be heard and reported, and forgets the reports. */
  async settle(ms = 3000): Promise<void> {
    await this.start();
    await this.world.runFor(ms);
    this.forget();
  }

  forget(): void {
    for (const member of [this.parent, ...this.hosts]) member.events.length = 0;
  }

  /** The path of one route between the parent and a host, in one direction or both. */
  cut(host: Member, number: number, direction: "both" | "up" | "down" = "both", other: Member = this.parent): void {
    const [own, far] = [host.addresses[number] ?? "", other.addresses[number] ?? ""];
    if (direction !== "down") this.network.cut(own, far);
    if (direction !== "up") this.network.cut(far, own);
  }

  /** One address of a member, towards everybody. */
  isolate(member: Member, number: number): void {
    for (const other of [this.parent, ...this.hosts]) if (other !== member) this.cut(member, number, "both", other);
  }

  mend(member: Member, number: number): void {
    for (const other of [this.parent, ...this.hosts])
      if (other !== member) this.network.heal(member.addresses[number], other.addresses[number]);
  }

  crash(member: Member, manner: CrashManner): void {
    member.prober.close();
    member.node.crash(manner);
  }

  async restart(member: Member): Promise<void> {
    member.node.restart();
    member.prober = this.#prober(member.node, member.telemetry, member.addresses, member.events, 0);
    await member.prober.start();
    this.attach(member);
  }

  row(member: Member, other: string, route: number, direction: ReachRow["direction"]): ReachRow | undefined {
    return member.prober
      .table()
      .find((row) => row.route === route && row.direction === direction && (direction === "in" ? row.from : row.to) === other);
  }

  /** The node's datagrams, as somebody on the wire sees them too. */
  #tapped(node: SimNode): Datagrams {
    const datagrams = this.network.datagrams(node);
    return {
      bind: async (local, receive) => {
        const socket = await datagrams.bind(local, receive);
        return {
          local: socket.local,
          send: (bytes, to) => {
            this.tap(node.name, bytes, to);
            socket.send(bytes, to);
          },
          close: () => socket.close(),
        };
      },
      ...(datagrams.join === undefined ? {} : { join: datagrams.join.bind(datagrams) }),
    };
  }

  #member(name: string, last: number): Member {
    const telemetry = new SimTelemetry(this.world);
    const node = new SimNode(this.world, { name, telemetry, timerLatenessMs: this.#latenessMs });
    const addresses = Array.from({ length: this.#networks }, (_, at) => `10.${at}.0.${last}`);
    this.network.datagrams(node);
    for (const address of addresses) this.network.addAddress(name, address);
    const events: string[] = [];
    return {
      node,
      telemetry,
      addresses,
      events,
      prober: this.#prober(node, telemetry, addresses, events, name === "TOP" ? parentPort : 0),
    };
  }

  #prober(node: SimNode, telemetry: SimTelemetry, addresses: readonly string[], events: string[], port: number): Prober {
    const at = () => Math.round(this.world.nowMs);
    return new Prober({
      clock: node.clock,
      random: node.random,
      datagrams: this.#tapped(node),
      transport: this.network.transport(node),
      telemetry,
      periods: this.#periods,
      self: { name: node.name, role: port === 0 ? "agent" : "directory", addresses, port },
      secret: () => this.secretOf(node.name),
      position: () => (node.name === "TOP" ? this.position : { epoch: 1, sequence: 10 }),
      report: {
        parentHeard: () => events.push(`${at()} parent heard`),
        parentRouteCut: (address) => events.push(`${at()} parent route cut ${address}`),
        parentUnheard: () => events.push(`${at()} parent unheard`),
        route: (host, number, state) => events.push(`${at()} ${host}.${number} ${state}`),
        hostSilent: (host, { session, counter }) => events.push(`${at()} ${host} silent ${session}/${counter}`),
        hostHeard: (host) => events.push(`${at()} ${host} heard`),
        positionAhead: (epoch, sequence) => events.push(`${at()} ahead ${epoch}.${sequence}`),
      },
    });
  }
}
