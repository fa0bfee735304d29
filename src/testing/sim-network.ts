import { assert } from "../kernel/index.ts";
import type { Address, ConnectOptions, Connection, Datagrams, Listener, Transport } from "../transport/index.ts";
import { type Carrier, SimConnection } from "./sim-connection.ts";
import { type GroupMember, SimDatagrams } from "./sim-datagrams.ts";
import { inUse, notOurs, refused, timedOut, unreachable } from "./sim-errors.ts";
import { SimHost } from "./sim-host.ts";
import { type LinkOptions, type Place, SimLinks } from "./sim-links.ts";
import type { SimLife, SimNode } from "./sim-node.ts";
import type { SimWorld } from "./sim-world.ts";

export interface SimNetworkOptions extends Partial<LinkOptions> {
  /**
   * Each connection is up to so much slower than the path, for all its life: so data of an old one can arrive after a
   * newer one's. Default 0.1 ms.
   */
  readonly connectionSpreadMs?: number;
  /** What both systems together take of a connection before the sender has to keep it. Default 256 KiB. */
  readonly systemBytesMax?: number;
  /** Chance that a chunk is delivered in pieces. Default 0.05. */
  readonly splitChance?: number;
  /** Whether messages to a multicast group reach those on the network of the sender's address (a.b.c.0/24). Default false. */
  readonly multicast?: boolean;
}

const usualLink: LinkOptions = { latencyMs: 0.2, jitterMs: 0.1, loss: 0, duplicate: 0, reorder: 0 };
const connectTimeoutMsDefault = 3000;
/** When the system sends its request for a connection again. */
const synRetriesMs = [0, 1000, 3000, 7000];

/**
 * A network in virtual time: hosts with addresses, connections and datagrams between them, and the faults of the real one. Connections
 * follow `Transport`: ordered and reliable until they break. Hosts are named; a name is also an address.
 */
export class SimNetwork {
  readonly world: SimWorld;
  readonly links: SimLinks;
  readonly #hosts = new Map<string, SimHost>();
  readonly #owners = new Map<string, SimHost>();
  /** Owns the addresses that no host has any more, and answers nothing. */
  readonly #nobody = new SimHost("nobody");
  readonly #connections = new Set<SimConnection>();
  readonly #carrier: Carrier;
  readonly #spreadMs: number;
  readonly #groups: Map<string, Set<GroupMember>> | undefined;

  constructor(world: SimWorld, options: SimNetworkOptions = {}) {
    const { connectionSpreadMs = 0.1, systemBytesMax = 256 * 1024, splitChance = 0.05, multicast = false, ...link } = options;
    this.world = world;
    this.#groups = multicast ? new Map() : undefined;
    this.links = new SimLinks(world.random, { ...usualLink, ...link });
    this.#spreadMs = connectionSpreadMs;
    this.#carrier = {
      systemBytesMax,
      splitChance,
      delayMs: (from, to) => this.links.delayMs(from, to),
      isCut: (from, to) => this.links.isCut(from, to),
      fraction: () => world.random.fraction(),
      forget: (end) => this.#forget(end),
    };
  }

  /** Connections that at least one end still has. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Bytes that programs of the one host have written to those of the other and no system has taken yet: what slow readers cost. */
  waitingBytes(from: string, to: string): number {
    let bytes = 0;
    for (const connection of this.#connections)
      for (const end of [connection, connection.other])
        if (end?.place.host === from && end.other?.place.host === to) bytes += end.bufferedBytes;
    return bytes;
  }

  /** The transport of the node's present life. */
  transport(node: SimNode): Transport {
    const host = this.#host(node.host);
    const life = node.life;
    this.#arrive(host, life);
    return {
      listen: (address, accept) => this.#listen(host, life, address, accept),
      connect: (address, options) => this.#connect(host, life, address, options),
    };
  }

  /** The datagram sockets of the node's present life. */
  datagrams(node: SimNode): Datagrams {
    const host = this.#host(node.host);
    this.#arrive(host, node.life);
    const paths = {
      links: this.links,
      random: this.world.random,
      resolve: (name: string) => this.#resolve(name, host),
      hostOf: (name: string) => this.#hosts.get(name),
      groups: this.#groups,
    };
    return new SimDatagrams(paths, host, node.life);
  }

  /** Gives the host another address, a route of its own. */
  addAddress(hostName: string, address: string): void {
    assert(!this.#owners.has(address), `${address} has an owner`);
    const host = this.#host(hostName);
    host.addresses.add(address);
    this.#owners.set(address, host);
  }

  /** The host never had it, from now on: new connections do not begin there, and whoever asks for it waits in vain. Those that are open stay. */
  removeAddress(hostName: string, address: string): void {
    const host = this.#host(hostName);
    assert(host.addresses.delete(address), `${address} is an address of ${hostName}`);
    this.#owners.set(address, this.#nobody);
  }

  /** Nothing passes between the two sides any more; a side is hosts or addresses, "*" is everybody. What is in the air arrives. */
  partition(side: readonly string[], otherSide: readonly string[]): void {
    for (const one of side)
      for (const other of otherSide) {
        this.links.cut(one, other);
        this.links.cut(other, one);
      }
  }

  /** Nothing passes from the one to the other; the way back works. */
  cut(from: string, to: string): void {
    this.links.cut(from, to);
  }

  /** Mends the path between two in both directions, or everything. What systems had to keep back is sent again. */
  heal(one?: string, other?: string): void {
    if (one === undefined || other === undefined) this.links.mendAll();
    else {
      this.links.mend(one, other);
      this.links.mend(other, one);
    }
    for (const connection of this.#connections) {
      connection.retry();
      connection.other?.retry();
    }
  }

  /** Breaks all connections between two hosts ("*": any) at both ends; what is in flight is lost. Returns how many. */
  reset(one: string, other = "*"): number {
    return this.#eachBetween(one, other, (connection) => connection.break());
  }

  /** The connections that are open now between two hosts ("*": any) carry nothing until `unstall`; new ones work. */
  stall(one: string, other = "*"): number {
    return this.#eachBetween(one, other, (connection) => {
      connection.stall();
      connection.other?.stall();
    });
  }

  unstall(one = "*", other = "*"): number {
    return this.#eachBetween(one, other, (connection) => {
      connection.unstall();
      connection.other?.unstall();
    });
  }

  #eachBetween(one: string, other: string, act: (connection: SimConnection) => void): number {
    const matches = (place: Place | undefined, name: string) => name === "*" || place?.host === name || place?.address === name;
    let count = 0;
    for (const connection of [...this.#connections]) {
      const [here, there] = [connection.place, connection.other?.place];
      if (!(matches(here, one) && matches(there, other)) && !(matches(here, other) && matches(there, one))) continue;
      act(connection);
      count++;
    }
    return count;
  }

  #host(name: string): SimHost {
    let host = this.#hosts.get(name);
    if (host === undefined) {
      host = new SimHost(name);
      this.#hosts.set(name, host);
      this.#owners.set(name, host);
    }
    return host;
  }

  /** A program begins on the host. If the host had been gone, its system answers what belongs to former lives with resets. */
  #arrive(host: SimHost, life: SimLife): void {
    if (!host.begin(life)) return;
    for (const connection of this.#connections)
      for (const end of [connection, connection.other]) {
        const gone = end?.other;
        if (end === undefined || gone === undefined || gone.life.alive || gone.place.host !== host.name || !end.unacknowledged) continue;
        end.resetBySystem(200 * this.world.random.fraction() + this.links.delayMs(gone.place, end.place));
      }
  }

  #resolve(name: string, from: SimHost): Place | undefined {
    if (name === "localhost" || name === "127.0.0.1" || name === "::1") return { host: from.name, address: name };
    const owner = this.#owners.get(name);
    return owner === undefined ? undefined : { host: owner.name, address: name };
  }

  #listen(host: SimHost, life: SimLife, asked: Address, accept: (connection: Connection) => void): Promise<Listener> {
    if (!life.alive) return new Promise(() => {});
    const isOurs = asked.kind === "unix" || isAny(asked.host) || this.#resolve(asked.host, host)?.host === host.name;
    if (!isOurs) return Promise.reject(notOurs(asked, host.name));
    const address = asked.kind === "tcp" && asked.port === 0 ? { ...asked, port: host.freePort() } : asked;
    const close = host.listen(address, { life, accept });
    return close === undefined ? Promise.reject(inUse(address)) : Promise.resolve({ address, close });
  }

  #connect(host: SimHost, life: SimLife, address: Address, options: ConnectOptions = {}): Promise<Connection> {
    if (!life.alive) return new Promise(() => {});
    const target = address.kind === "unix" ? { host: host.name, address: address.path } : this.#resolve(address.host, host);
    if (target === undefined) return Promise.reject(unreachable(address, "no host has that address"));
    const from = this.#source(host, address, target, options.localHost);
    if (from === undefined) return Promise.reject(unreachable(address, `${options.localHost} is not an address of ${host.name}`));
    return new Promise((resolve, reject) => {
      const opening = new Opening(this.world, life, resolve, reject);
      opening.limit(options.timeoutMs ?? connectTimeoutMsDefault, timedOut(address, options.timeoutMs ?? connectTimeoutMsDefault));
      const knock = (attempt: number) => {
        const waitMs = synRetriesMs[attempt];
        if (opening.settled || waitMs === undefined) return;
        const again = () => this.world.after((synRetriesMs[attempt + 1] ?? 0) - waitMs, () => knock(attempt + 1));
        if (this.links.isCut(from, target)) again();
        else
          this.world.after(this.links.delayMs(from, target), () => {
            if (!this.#answer(opening, from, target, address)) again();
          });
      };
      knock(0);
    });
  }

  #source(host: SimHost, address: Address, target: Place, localHost: string | undefined): Place | undefined {
    if (address.kind === "unix" || target.host === host.name)
      return { host: host.name, address: address.kind === "unix" ? address.path : address.host };
    if (localHost === undefined || isAny(localHost)) return { host: host.name, address: onNetworkOf(target.address, host) ?? host.name };
    return host.addresses.has(localHost) ? { host: host.name, address: localHost } : undefined;
  }

  /**
   * The request for a connection has arrived at the other host's system, which answers whether or not the program is busy.
   * Returns false when nobody is there to answer.
   */
  #answer(opening: Opening, from: Place, target: Place, address: Address): boolean {
    if (opening.settled) return true;
    const host = this.#hosts.get(target.host);
    if (host === undefined || host.down) return false;
    const backMs = this.links.delayMs(target, from);
    const isBackCut = this.links.isCut(target, from);
    const entry = host.listenerAt(address, target);
    if (entry === undefined) {
      if (!isBackCut) opening.planReject(backMs, refused(address));
      return !isBackCut;
    }
    const extraMs = this.#spreadMs * this.world.random.fraction();
    const local: Address = address.kind === "unix" ? address : { kind: "tcp", host: from.address, port: this.#host(from.host).freePort() };
    const near = new SimConnection(this.#carrier, opening.life, from, { peer: address, local }, extraMs);
    const far = new SimConnection(this.#carrier, entry.life, target, { peer: local, local: address }, extraMs);
    SimConnection.join(near, far, this.world.nowMs + backMs);
    this.#connections.add(near);
    entry.life.plan(this.world.nowMs, "input", () => entry.accept(far));
    if (!isBackCut) opening.planResolve(backMs, near);
    opening.onFailure(() => near.destroy());
    return true;
  }

  #forget(end: SimConnection): void {
    const other = end.other;
    if (other !== undefined && (other.closed || !other.life.alive)) {
      this.#connections.delete(end);
      this.#connections.delete(other);
    }
  }
}

/** One attempt to connect, on its way to one outcome. */
class Opening {
  readonly life: SimLife;
  readonly #world: SimWorld;
  readonly #resolve: (connection: Connection) => void;
  readonly #reject: (error: Error) => void;
  #failure: (() => void) | undefined;
  #cancelLimit: () => void = () => {};
  readonly #forget: () => void;
  settled = false;

  constructor(world: SimWorld, life: SimLife, resolve: (connection: Connection) => void, reject: (error: Error) => void) {
    this.#world = world;
    this.life = life;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#forget = life.onEnd(() => this.#settle());
  }

  limit(timeoutMs: number, error: Error): void {
    const timer = this.life.clock.schedule(timeoutMs, () => {
      if (this.settled) return;
      this.#settle();
      this.#failure?.();
      this.#reject(error);
    });
    this.#cancelLimit = () => timer.cancel();
  }

  onFailure(callback: () => void): void {
    this.#failure = callback;
  }

  planResolve(delayMs: number, connection: SimConnection): void {
    this.life.plan(this.#world.nowMs + delayMs, "input", () => {
      if (this.settled) return;
      this.#settle();
      this.#resolve(connection);
    });
  }

  planReject(delayMs: number, error: Error): void {
    this.life.plan(this.#world.nowMs + delayMs, "input", () => {
      if (this.settled) return;
      this.#settle();
      this.#reject(error);
    });
  }

  #settle(): void {
    this.settled = true;
    this.#cancelLimit();
    this.#forget();
  }
}

/** As systems choose: the own address on the network (a.b.c.0/24) that the target is on. */
function onNetworkOf(target: string, host: SimHost): string | undefined {
  const network = /^\d+\.\d+\.\d+\./.exec(target)?.[0];
  return network === undefined ? undefined : [...host.addresses].find((address) => address.startsWith(network));
}

function isAny(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
