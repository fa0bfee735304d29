import type { Random } from "../kernel/index.ts";
import { type DatagramSocket, type Datagrams, type Endpoint, datagramBytesMax } from "../transport/index.ts";
import { inUse, notOurs } from "./sim-errors.ts";
import type { SimHost } from "./sim-host.ts";
import type { Place, SimLinks } from "./sim-links.ts";
import type { SimLife } from "./sim-node.ts";

/** What datagrams need of the network. */
export interface DatagramPaths {
  readonly links: SimLinks;
  readonly random: Random;
  resolve(name: string): Place | undefined;
  hostOf(name: string): SimHost | undefined;
  /** Who has joined which "group port"; undefined: a network without multicast. */
  readonly groups: Map<string, Set<GroupMember>> | undefined;
}

export interface GroupMember {
  readonly host: string;
  readonly addresses: readonly string[];
  readonly receive: (bytes: Uint8Array, from: Place & { readonly port: number }) => void;
}

/** What a system keeps for a program that does not read; more is dropped. Linux has 208 KiB by default. */
const unreadBytesMax = 208 * 1024;
const reorderLatencies = 20;

/** Messages without a connection on the simulated network: lost, late, twice, overtaken, as the link says. */
export class SimDatagrams implements Datagrams {
  readonly #paths: DatagramPaths;
  readonly #host: SimHost;
  readonly #life: SimLife;

  constructor(paths: DatagramPaths, host: SimHost, life: SimLife) {
    this.#paths = paths;
    this.#host = host;
    this.#life = life;
  }

  bind(asked: Endpoint, receive: (bytes: Uint8Array, from: Endpoint) => void): Promise<DatagramSocket> {
    if (!this.#life.alive) return new Promise(() => {});
    const isAny = asked.host === "0.0.0.0" || asked.host === "::";
    if (!isAny && this.#paths.resolve(asked.host)?.host !== this.#host.name)
      return Promise.reject(notOurs({ kind: "tcp", ...asked }, this.#host.name));
    const local = { host: asked.host, port: asked.port === 0 ? this.#host.freePort() : asked.port };
    const inbox = new Inbox(this.#life, receive);
    const unbind = this.#host.bind(local.host, local.port, inbox);
    if (unbind === undefined) return Promise.reject<DatagramSocket>(inUse({ kind: "tcp", ...local }));
    const from = { host: this.#host.name, address: isAny ? this.#host.name : local.host, port: local.port };
    return Promise.resolve({
      local,
      send: (bytes, to) => {
        if (!inbox.closed && this.#life.alive) this.#send(from, bytes, to);
      },
      close: () => {
        inbox.closed = true;
        unbind();
      },
    });
  }

  join(group: Endpoint, own: readonly string[], receive: (bytes: Uint8Array, from: Endpoint) => void): Promise<DatagramSocket> {
    const { groups } = this.#paths;
    if (!this.#life.alive) return new Promise(() => {});
    if (groups === undefined) return Promise.reject(notOurs({ kind: "tcp", ...group }, this.#host.name));
    const key = `${group.host} ${group.port}`;
    const inbox = new Inbox(this.#life, receive);
    const member = { host: this.#host.name, addresses: own, receive: inbox.receive.bind(inbox) };
    const members = groups.get(key) ?? new Set();
    groups.set(key, members.add(member));
    const leave = () => {
      inbox.closed = true;
      members.delete(member);
    };
    this.#life.onEnd(leave);
    return Promise.resolve({ local: group, send: () => {}, close: leave });
  }

  /** To everybody on the sender's network (a.b.c.0/24) who has joined. */
  #sendToGroup(from: Place & { readonly port: number }, bytes: Uint8Array, members: ReadonlySet<GroupMember>): void {
    const { links, random, world } = { ...this.#paths, world: this.#life.world };
    for (const { host, addresses, receive } of members) {
      const address = addresses.find((one) => networkOf(one) === networkOf(from.address));
      if (address === undefined) continue;
      const target = { host, address };
      const link = links.between(from, target);
      const isLocal = host === from.host;
      if (links.isCut(from, target) || (!isLocal && random.fraction() < link.loss)) continue;
      // Chances that are none are not drawn: a run without them stays what it was.
      const copies = !isLocal && link.duplicate > 0 && random.fraction() < link.duplicate ? 2 : 1;
      for (let count = 0; count < copies; count++) {
        const isHeldBack = !isLocal && link.reorder > 0 && random.fraction() < link.reorder;
        const delayMs = links.delayMs(from, target) + (isHeldBack ? reorderLatencies * link.latencyMs * random.fraction() : 0);
        const copy = bytes.slice();
        world.plan(world.nowMs + delayMs, "input", undefined, () => receive(copy, from));
      }
    }
  }

  #send(from: Place & { readonly port: number }, bytes: Uint8Array, to: Endpoint): void {
    const members = this.#paths.groups?.get(`${to.host} ${to.port}`);
    if (members !== undefined) this.#sendToGroup(from, bytes, members);
    const target = this.#paths.resolve(to.host);
    if (target === undefined || bytes.length > datagramBytesMax || this.#paths.links.isCut(from, target)) return;
    const { links, random } = this.#paths;
    const link = links.between(from, target);
    const isLocal = from.host === target.host;
    if (!isLocal && random.fraction() < link.loss) return;
    const copies = !isLocal && random.fraction() < link.duplicate ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const isHeldBack = !isLocal && random.fraction() < link.reorder;
      const delayMs = links.delayMs(from, target) + (isHeldBack ? reorderLatencies * link.latencyMs * random.fraction() : 0);
      this.#deliver(from, target, to.port, bytes.slice(), delayMs);
    }
  }

  /** Whoever has the port when the message arrives gets it; nobody is told when nobody has. */
  #deliver(from: Place & { readonly port: number }, target: Place, port: number, bytes: Uint8Array, delayMs: number): void {
    const { world } = this.#life;
    world.plan(world.nowMs + delayMs, "input", undefined, () => {
      this.#paths.hostOf(target.host)?.socketAt(target.address, port)?.receive(bytes, from);
    });
  }
}

function networkOf(address: string): string {
  return address.slice(0, address.lastIndexOf("."));
}

/** What has arrived for one socket and was not read yet: a paused program's inbox is bounded. */
class Inbox {
  readonly life: SimLife;
  readonly #read: (bytes: Uint8Array, from: Endpoint) => void;
  #unreadBytes = 0;
  closed = false;

  constructor(life: SimLife, read: (bytes: Uint8Array, from: Endpoint) => void) {
    this.life = life;
    this.#read = read;
  }

  receive(bytes: Uint8Array, from: Place & { readonly port: number }): void {
    if (this.#unreadBytes + bytes.length > unreadBytesMax) return;
    this.#unreadBytes += bytes.length;
    this.life.plan(this.life.world.nowMs, "input", () => {
      this.#unreadBytes -= bytes.length;
      if (!this.closed) this.#read(bytes, { host: from.address, port: from.port });
    });
  }
}
