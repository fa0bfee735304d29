import { MusterError, type Random } from "../../../src/kernel/index.ts";
import type { Address, ConnectOptions, Connection, ConnectionHandlers, Listener, Transport } from "../../../src/transport/index.ts";
import { formatAddress } from "../../../src/transport/index.ts";
import type { SimMachine } from "./sim-machine.ts";
import type { SimWorld } from "./sim-world.ts";

export interface SimNetworkOptions {
  /** One way, drawn for each piece of data between these bounds; the order within one direction is kept. */
  readonly latencyMs?: readonly [least: number, most: number];
  /** Bytes that one direction carries at once; what is beyond waits at the sender and shows in `bufferedBytes`. */
  readonly windowBytes?: number;
}

interface Listening {
  readonly machine: SimMachine;
  readonly accept: (connection: Connection) => void;
}

/** How long a connection over a cut path stays open before its ends notice. */
const cutNoticeMs = 1500;

/**
 * Ordered byte streams between simulated machines, as TCP gives them: delayed, cut into other pieces than were written,
 * slowed down by a reader that reads nothing, ended by resets that lose what was under way, and silent over a cut path.
 * Delays are drawn for each connection by itself, so data of an old connection may arrive after that of a newer one.
 */
export class SimNetwork {
  readonly world: SimWorld;
  readonly #random: Random;
  readonly #latencyMs: readonly [number, number];
  readonly windowBytes: number;
  readonly #listening = new Map<string, Listening>();
  readonly #cuts = new Set<string>();
  readonly #pipes = new Set<SimPipe>();
  #nextPort = 20_000;

  constructor(world: SimWorld, options: SimNetworkOptions = {}) {
    this.world = world;
    this.#random = world.random;
    this.#latencyMs = options.latencyMs ?? [0.1, 1];
    this.windowBytes = options.windowBytes ?? 256 * 1024;
  }

  /** The transport of one machine. Its connections end with it. */
  transport(machine: SimMachine): Transport {
    return {
      listen: (address, accept) => this.#listen(machine, address, accept),
      connect: (address, options) => this.#connect(machine, address, options),
    };
  }

  #listen(machine: SimMachine, address: Address, accept: (connection: Connection) => void): Promise<Listener> {
    const bound = address.kind === "tcp" && address.port === 0 ? { ...address, port: this.#nextPort++ } : address;
    const name = formatAddress(bound);
    if (this.#listening.get(name)?.machine.alive === true)
      return Promise.reject(new MusterError("transport/address-in-use", `${name} is in use`, { next: "choose another port" }));
    const listening = { machine, accept };
    this.#listening.set(name, listening);
    const close = async () => {
      if (this.#listening.get(name) === listening) this.#listening.delete(name);
    };
    machine.onCrash(() => void close());
    return Promise.resolve({ address: bound, close });
  }

  #connect(from: SimMachine, address: Address, options: ConnectOptions = {}): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const name = formatAddress(address);
      const started = this.world.nowMs;
      const attempt = () => {
        if (!from.alive) return;
        const listening = this.#listening.get(name);
        if (listening !== undefined && this.isCut(from.name, listening.machine.name)) {
          const left = (options.timeoutMs ?? 3000) - (this.world.nowMs - started);
          if (left > 0) this.world.after(Math.min(left, 50), attempt);
          else from.input(() => reject(new MusterError("transport/timeout", `${name} does not answer`)));
          return;
        }
        if (listening === undefined || !listening.machine.alive) {
          from.input(() => reject(new MusterError("transport/refused", `nobody listens on ${name}`)));
          return;
        }
        const pipe = new SimPipe(this, from, listening.machine, address);
        this.#pipes.add(pipe);
        listening.machine.input(() => listening.accept(pipe.far));
        from.input(() => resolve(pipe.near));
      };
      this.world.after(this.latency() * 2, attempt);
    });
  }

  latency(): number {
    const [least, most] = this.#latencyMs;
    return least + (most - least) * this.#random.fraction();
  }

  /** Where a write is cut: mostly not at all, sometimes anywhere. */
  cutPoint(length: number): number {
    return length > 1 && this.#random.fraction() < 0.05 ? 1 + Math.floor(this.#random.fraction() * (length - 1)) : length;
  }

  forget(pipe: SimPipe): void {
    this.#pipes.delete(pipe);
  }

  /** Cuts the path from `a` to `b`; the other direction stays unless `both`. */
  cut(a: string, b: string, both = true): void {
    this.#cuts.add(`${a}>${b}`);
    if (both) this.#cuts.add(`${b}>${a}`);
    for (const pipe of this.#pipes) pipe.pathChanged(cutNoticeMs);
  }

  heal(): void {
    this.#cuts.clear();
    for (const pipe of this.#pipes) pipe.pathChanged(cutNoticeMs);
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  /** Resets every connection of a machine, or those between two: what was under way is lost. */
  reset(a: string, b?: string): void {
    for (const pipe of [...this.#pipes]) if (pipe.touches(a) && (b === undefined || pipe.touches(b))) pipe.reset();
  }

  get connections(): number {
    return this.#pipes.size;
  }
}

/** Both directions of one connection. */
export class SimPipe {
  readonly near: SimEnd;
  readonly far: SimEnd;
  readonly #network: SimNetwork;
  #dead = false;

  constructor(network: SimNetwork, from: SimMachine, to: SimMachine, address: Address) {
    this.#network = network;
    const local: Address = { kind: "tcp", host: from.name, port: 1 };
    this.near = new SimEnd(network, this, from, address, local);
    this.far = new SimEnd(network, this, to, local, address);
    this.near.other = this.far;
    this.far.other = this.near;
    // A dead process has closed its sockets: the other side hears of it when the path lets it.
    from.onCrash(() => this.far.closedByPeer(this.near));
    to.onCrash(() => this.near.closedByPeer(this.far));
  }

  get dead(): boolean {
    return this.#dead;
  }

  touches(name: string): boolean {
    return this.near.machine.name === name || this.far.machine.name === name;
  }

  reset(): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#network.forget(this);
    const error = new MusterError("transport/reset", "the connection was reset", { effect: "maybe" });
    for (const end of [this.near, this.far]) end.lost(error);
  }

  end(): void {
    this.#dead = true;
    this.#network.forget(this);
  }

  get isCut(): boolean {
    const [a, b] = [this.near.machine.name, this.far.machine.name];
    return this.#network.isCut(a, b) || this.#network.isCut(b, a);
  }

  /** A path that stays cut for long ends the connection at both sides; one that heals goes on with what it held back. */
  pathChanged(noticeMs: number): void {
    this.near.pump();
    this.far.pump();
    if (this.isCut)
      this.#network.world.after(noticeMs, () => {
        if (this.isCut) this.reset();
      });
  }
}

/** One end of a connection, owned by one machine. */
export class SimEnd implements Connection {
  readonly peer: Address;
  readonly local: Address;
  readonly machine: SimMachine;
  other: SimEnd | undefined;
  readonly #network: SimNetwork;
  readonly #pipe: SimPipe;
  #handlers: ConnectionHandlers | undefined;
  #out: Uint8Array[] = [];
  #outBytes = 0;
  #underWay = 0;
  #wasFull = false;
  #lastArrivalMs = 0;
  #ending = false;
  #closed = false;
  #paused = false;
  #in: (Uint8Array | undefined)[] = [];

  constructor(network: SimNetwork, pipe: SimPipe, machine: SimMachine, peer: Address, local: Address) {
    this.#network = network;
    this.#pipe = pipe;
    this.machine = machine;
    this.peer = peer;
    this.local = local;
  }

  get bufferedBytes(): number {
    return this.#outBytes;
  }

  open(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
    if (this.#pipe.dead) this.lost(new MusterError("transport/reset", "the connection was reset", { effect: "maybe" }));
    this.#deliver();
  }

  write(bytes: Uint8Array): void {
    if (this.#closed || this.#ending || this.#pipe.dead || bytes.length === 0) return;
    this.#out.push(bytes);
    this.#outBytes += bytes.length;
    if (this.#outBytes > 64 * 1024) this.#wasFull = true;
    this.pump();
  }

  /** Puts on the path what the window takes. */
  pump(): void {
    const { other } = this;
    if (other === undefined || this.#network.isCut(this.machine.name, other.machine.name) || this.#pipe.dead) return;
    while (this.#out.length > 0 && this.#underWay < this.#network.windowBytes) {
      const whole = this.#out[0];
      if (whole === undefined) break;
      const at = this.#network.cutPoint(whole.length);
      const piece = whole.subarray(0, at);
      if (at === whole.length) this.#out.shift();
      else this.#out[0] = whole.subarray(at);
      this.#outBytes -= piece.length;
      this.#underWay += piece.length;
      this.#carry(piece);
    }
    if (this.#ending && this.#out.length === 0) this.#carry(undefined);
    if (this.#wasFull && this.#outBytes === 0) {
      this.#wasFull = false;
      this.#network.world.after(0, () => this.machine.input(() => this.#handlers?.drain()));
    }
  }

  #carry(piece: Uint8Array | undefined): void {
    const { world } = this.#network;
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, world.nowMs + this.#network.latency());
    world.at(this.#lastArrivalMs, () => {
      // Lost when the connection was reset meanwhile; the receiver's kernel takes it even while its process is paused.
      if (!this.#pipe.dead) this.other?.arrived(piece);
    });
  }

  arrived(piece: Uint8Array | undefined): void {
    this.#in.push(piece);
    this.machine.input(() => this.#deliver());
  }

  #deliver(): void {
    while (!this.#closed && !this.#paused && this.#handlers !== undefined && this.#in.length > 0) {
      const piece = this.#in.shift();
      if (piece === undefined) this.#close(undefined);
      else {
        this.other?.consumed(piece.length);
        this.#handlers.data(piece);
      }
    }
  }

  consumed(bytes: number): void {
    this.#underWay -= bytes;
    this.pump();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#network.world.after(0, () => this.machine.input(() => this.#deliver()));
  }

  end(): void {
    if (this.#closed || this.#ending) return;
    this.#ending = true;
    this.pump();
    this.#network.world.after(0, () => this.machine.input(() => this.#close(undefined)));
  }

  destroy(): void {
    if (this.#closed) return;
    this.#network.world.after(0, () => this.machine.input(() => this.#close(undefined)));
    this.other?.closedByPeer(this);
    this.#out = [];
    this.#outBytes = 0;
  }

  /** The other side's process is gone, or destroyed its end. */
  closedByPeer(by: SimEnd): void {
    const { world } = this.#network;
    const tell = () => {
      if (this.#pipe.dead) return;
      if (this.#network.isCut(by.machine.name, this.machine.name)) {
        // Nothing gets through: silence until the path heals or the connection is given up.
        world.after(100, tell);
        return;
      }
      this.#pipe.end();
      this.lost(new MusterError("transport/reset", "the other side closed the connection", { effect: "maybe" }));
    };
    world.after(this.#network.latency(), tell);
  }

  lost(error: Error): void {
    this.#network.world.after(0, () => this.machine.input(() => this.#close(error)));
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    if (error === undefined && this.other !== undefined && this.other.#closed) this.#pipe.end();
    this.#handlers?.close(error);
  }
}
