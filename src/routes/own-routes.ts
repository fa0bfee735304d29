import { type Telemetry, errorOf } from "../kernel/index.ts";
import type { DatagramSocket, Datagrams, Endpoint } from "../transport/index.ts";
import { nearest } from "./nearness.ts";
import { sameFamily } from "./path.ts";

interface OwnRoute {
  readonly number: number;
  readonly address: string;
  /** What the system says of the interface. */
  up: boolean;
  socket: DatagramSocket | undefined;
  complained: boolean;
}

const retryTicks = 10;

/** The sockets of this node, one for each of its routes, bound to its address, all on one port when that is free. */
export class OwnRoutes {
  readonly #datagrams: Datagrams;
  readonly #telemetry: Telemetry;
  readonly #receive: (bytes: Uint8Array, from: Endpoint, number: number) => void;
  readonly #routes: OwnRoute[];
  #port: number;
  #closed = false;
  #binding = false;

  constructor(
    ports: { readonly datagrams: Datagrams; readonly telemetry: Telemetry },
    self: { readonly addresses: readonly string[]; readonly port: number },
    receive: (bytes: Uint8Array, from: Endpoint, number: number) => void,
  ) {
    this.#datagrams = ports.datagrams;
    this.#telemetry = ports.telemetry;
    this.#receive = receive;
    this.#port = self.port;
    this.#routes = self.addresses.map((address, number) => ({ number, address, up: true, socket: undefined, complained: false }));
  }

  get count(): number {
    return this.#routes.length;
  }

  /** 0 while nothing is bound. */
  get port(): number {
    return this.#port;
  }

  address(number: number): string {
    return this.#routes[number]?.address ?? "";
  }

  /** One bit for each route whose interface is down. */
  get down(): number {
    let bits = 0;
    for (const { number, up } of this.#routes) if (!up) bits |= 1 << number;
    return bits;
  }

  isUp(number: number): boolean {
    return this.#routes[number]?.up === true;
  }

  /** Those on the network of that address that can send, the one with the preferred number first. */
  towards(address: string, preferred: number): readonly number[] {
    const able = this.#routes.filter((route) => route.up && route.socket !== undefined && sameFamily(route.address, address));
    const near = nearest(address, able, (route) => route.address).map(({ number }) => number);
    return near.includes(preferred) ? [preferred, ...near.filter((number) => number !== preferred)] : near;
  }

  /** Never rejects: an address that is not there yet is tried again each second or so. */
  async bind(): Promise<void> {
    if (this.#binding) return;
    this.#binding = true;
    for (const route of this.#routes) if (route.socket === undefined && !this.#closed) await this.#bindOne(route);
    this.#binding = false;
  }

  tick(number: number): void {
    if (number % retryTicks === 0 && this.#routes.some(({ socket }) => socket === undefined)) void this.bind();
  }

  send(number: number, bytes: Uint8Array, to: Endpoint): void {
    const route = this.#routes[number];
    if (route?.up === true) route.socket?.send(bytes, to);
  }

  /** Takes over what the system says of the interface with that address; the number of the route when that is news. */
  setInterface(address: string, up: boolean): number | undefined {
    const route = this.#routes.find((own) => own.address === address);
    if (route === undefined || route.up === up) return undefined;
    route.up = up;
    return route.number;
  }

  close(): void {
    this.#closed = true;
    for (const { socket } of this.#routes) socket?.close();
  }

  async #bindOne(route: OwnRoute): Promise<void> {
    const receive = (bytes: Uint8Array, from: Endpoint) => this.#receive(bytes, from, route.number);
    const bindTo = (port: number) => this.#datagrams.bind({ host: route.address, port }, receive);
    try {
      const first = this.#port;
      // A port of its own is as good when the common one is taken there; one that was asked for may not be another.
      const socket = await bindTo(first).catch((thrown: unknown) => {
        if (this.#isOurChoice) return bindTo(0);
        throw thrown;
      });
      if (this.#closed) {
        socket.close();
        return;
      }
      route.socket = socket;
      if (first === 0) {
        this.#isOurChoice = true;
        this.#port = socket.local.port;
      }
      if (route.complained) this.#telemetry.log("info", "probe-address-bound", { address: route.address });
    } catch (thrown) {
      if (!route.complained) this.#telemetry.log("warn", "probe-address-missing", { address: route.address, why: errorOf(thrown).message });
      route.complained = true;
    }
  }

  #isOurChoice = false;
}
