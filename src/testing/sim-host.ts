import type { Address, Connection } from "../transport/index.ts";
import type { Place } from "./sim-links.ts";
import type { SimLife } from "./sim-node.ts";

export interface ListenerEntry {
  readonly life: SimLife;
  readonly accept: (connection: Connection) => void;
}

export interface SocketEntry {
  readonly life: SimLife;
  readonly receive: (bytes: Uint8Array, from: Place & { readonly port: number }) => void;
}

const firstFreePort = 20_000;
const lastPort = 65_535;

/** The system of one simulated machine: who listens where, and whether it is there at all. */
export class SimHost {
  readonly name: string;
  readonly addresses: Set<string>;
  readonly #lives = new Set<SimLife>();
  readonly #listeners = new Map<string, ListenerEntry>();
  readonly #sockets = new Map<string, SocketEntry>();
  #nextPort = firstFreePort;
  #down = false;

  constructor(name: string) {
    this.name = name;
    this.addresses = new Set([name]);
  }

  /** Power lost: it answers nothing, not even with a refusal. A host whose last program merely ended refuses. */
  get down(): boolean {
    return this.#down;
  }

  /** A program begins here. Returns whether the host has come back with it after it had been gone. */
  begin(life: SimLife): boolean {
    if (this.#lives.has(life) || !life.alive) return false;
    this.#lives.add(life);
    const wasDown = this.#down;
    this.#down = false;
    life.onEnd((manner) => {
      this.#lives.delete(life);
      if (manner === "silent" && this.#lives.size === 0) this.#down = true;
    });
    return wasDown || life.node.lives > 1;
  }

  freePort(): number {
    this.#nextPort = this.#nextPort >= lastPort ? firstFreePort : this.#nextPort + 1;
    return this.#nextPort;
  }

  /** Undefined when the address is taken; else what closes the listener. */
  listen(address: Address, entry: ListenerEntry): (() => Promise<void>) | undefined {
    const key = keyOf(address);
    if (this.#listeners.has(key)) return undefined;
    this.#listeners.set(key, entry);
    const remove = () => {
      if (this.#listeners.get(key) === entry) this.#listeners.delete(key);
    };
    const forget = entry.life.onEnd(remove);
    return () => {
      remove();
      forget();
      return Promise.resolve();
    };
  }

  listenerAt(address: Address, target: Place): ListenerEntry | undefined {
    if (address.kind === "unix") return this.#listeners.get(keyOf(address));
    return find(this.#listeners, target.address, address.port);
  }

  /** Undefined when the port is taken; else what closes the socket. */
  bind(address: string, port: number, entry: SocketEntry): (() => void) | undefined {
    const key = `${address} ${port}`;
    if (this.#sockets.has(key)) return undefined;
    this.#sockets.set(key, entry);
    const remove = () => {
      if (this.#sockets.get(key) === entry) this.#sockets.delete(key);
    };
    const forget = entry.life.onEnd(remove);
    return () => {
      remove();
      forget();
    };
  }

  socketAt(address: string, port: number): SocketEntry | undefined {
    return find(this.#sockets, address, port);
  }
}

function find<Entry>(entries: ReadonlyMap<string, Entry>, address: string, port: number): Entry | undefined {
  return entries.get(`${address} ${port}`) ?? entries.get(`0.0.0.0 ${port}`) ?? entries.get(`:: ${port}`);
}

function keyOf(address: Address): string {
  return address.kind === "unix" ? address.path : `${address.host} ${address.port}`;
}
