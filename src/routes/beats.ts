import { type Random, type Telemetry, errorOf, randomBelow } from "../kernel/index.ts";
import type { DatagramSocket, Datagrams, Endpoint } from "../transport/index.ts";
import type { OwnRoutes } from "./own-routes.ts";
import { isAnyAddress } from "./path.ts";
import type { Post } from "./post.ts";

/** Where parents beat, with the port of their probes: administratively scoped (RFC 2365), one hop. IPv6 routes are served by unicast. */
export const beatGroup = "239.255.77.85";

const unheardMax = 20;

/**
 * A parent's heartbeat to all of its children on a network at once. It cannot echo everybody's nonce; what proves it instead is that
 * its number follows closely on one that came with a fresh unicast message. Whoever hears beats says so in its probes and is
 * answered every other time only; where the network loses multicast, nobody says so, and everybody is answered.
 */
export class Beats {
  readonly #own: OwnRoutes;
  readonly #post: Post;
  #number: number;
  #unheard = 0;

  constructor(own: OwnRoutes, post: Post, random: Random) {
    this.#own = own;
    this.#post = post;
    // Far from the numbers of an earlier life.
    this.#number = 1 + randomBelow(random, 2 ** 40);
  }

  /** `heard`: somebody says that beats arrive. Where nobody does, one in ten is enough to find out. */
  beat(heard: boolean): void {
    const port = this.#own.port;
    this.#unheard = heard ? 0 : this.#unheard + 1;
    if (port === 0 || (this.#unheard > unheardMax && this.#unheard % 10 !== 0)) return;
    this.#number++;
    this.#post.beat = this.#number;
    for (let own = 0; own < this.#own.count; own++) {
      const address = this.#own.address(own);
      if (isAnyAddress(address) || address.includes(":")) continue;
      this.#post.send({ body: { kind: "beat" }, own, to: { host: beatGroup, port } });
    }
  }
}

/** A child's ear for the beats of its parent. */
export class BeatListener {
  readonly #datagrams: Datagrams;
  readonly #telemetry: Telemetry;
  readonly #own: readonly string[];
  readonly #receive: (bytes: Uint8Array, from: Endpoint) => void;
  #port = 0;
  #socket: DatagramSocket | undefined;
  #closed = false;

  constructor(
    ports: { readonly datagrams: Datagrams; readonly telemetry: Telemetry },
    addresses: readonly string[],
    receive: (bytes: Uint8Array, from: Endpoint) => void,
  ) {
    this.#datagrams = ports.datagrams;
    this.#telemetry = ports.telemetry;
    this.#own = addresses.filter((address) => !isAnyAddress(address) && !address.includes(":"));
    this.#receive = receive;
  }

  /** Listens to the parents that beat on that port. Never rejects: without multicast the parent's answers are enough. */
  async listen(port: number): Promise<void> {
    const { join } = this.#datagrams;
    if (port === this.#port || join === undefined || this.#own.length === 0 || this.#closed) return;
    this.#port = port;
    this.#socket?.close();
    this.#socket = undefined;
    try {
      const socket = await join.call(this.#datagrams, { host: beatGroup, port }, this.#own, this.#receive);
      if (this.#closed || this.#port !== port) socket.close();
      else this.#socket = socket;
    } catch (thrown) {
      this.#telemetry.log("info", "beats-not-heard", { why: errorOf(thrown).message });
    }
  }

  close(): void {
    this.#closed = true;
    this.#socket?.close();
  }
}
