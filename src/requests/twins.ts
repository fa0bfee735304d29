import { type Clock, type Telemetry, errorOf, isRecord } from "../kernel/index.ts";
import { type Link, type LinkHandlers, openLink } from "../link/index.ts";
import type { Transport } from "../transport/index.ts";
import * as errors from "./errors.ts";
import type { ServedLink } from "./served-link.ts";
import { Tombstones } from "./tombstones.ts";
import { type TwinPlace, dropMessage, encodeDrop, parseDrop, twinVersions } from "./twin-messages.ts";

export interface TwinsPorts {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly telemetry: Telemetry;
  readonly name: string;
  /** The connections of one caller. */
  readonly linksOf: (token: string) => Iterable<ServedLink>;
}

/** Servers to which this one holds a connection; the one that was used longest ago gives way. */
const linksMax = 64;
/** Servers that hold one to this. */
const guestsMax = 256;
/** Drops that wait for a connection. What is more goes unsaid: the caller says it, too. */
const waitingMax = 64;
const connectTimeoutMs = 1000;
/** A server that cannot be reached, or is too old to be told, is not tried again for so long. */
const avoidMs = 10_000;
/** Nobody reads there: what is said is too late anyway. */
const bufferedBytesMax = 256 * 1024;
/** A drop that was faster than the copy that it is about. */
const tombstonesMax = 10_000;
const tombstoneMs = 1000;

interface Peer {
  link: Link | undefined;
  waiting: Buffer[];
  usedMonoMs: number;
  /** Set when it could not be reached. */
  avoidedUntilMonoMs: number;
}

/**
 * What servers tell each other about copies of one request: "I have begun, drop yours if it still waits". It saves the way over the caller,
 * which says the same; so nothing depends on it, and whoever cannot be told at once is not told.
 */
export class Twins {
  readonly #ports: TwinsPorts;
  readonly #peers = new Map<string, Peer>();
  readonly #guests = new Set<Link>();
  readonly #tombstones = new Tombstones(tombstonesMax);
  #closed = false;

  constructor(ports: TwinsPorts) {
    this.#ports = ports;
  }

  /** An attempt has begun here: the other copy is not to begin. */
  drop({ address, port, attempt }: TwinPlace, token: string, id: number): void {
    const nowMonoMs = this.#ports.clock.monoMs();
    const place = `${address} ${port}`;
    const peer = this.#peers.get(place) ?? this.#connect(place, address, port, nowMonoMs);
    peer.usedMonoMs = nowMonoMs;
    const bytes = encodeDrop({ id, attempt, token });
    if (peer.link !== undefined) {
      if (peer.link.bufferedBytes < bufferedBytesMax) peer.link.send(dropMessage, bytes);
    } else if (peer.avoidedUntilMonoMs > nowMonoMs) return;
    else if (peer.avoidedUntilMonoMs > 0) {
      this.#peers.delete(place);
      this.drop({ address, port, attempt }, token, id);
    } else if (peer.waiting.length < waitingMax) peer.waiting.push(bytes);
  }

  /** Whether this attempt was dropped before it came. */
  take(token: string, id: number, attempt: number): boolean {
    return this.#tombstones.take(token, id, attempt);
  }

  /** Another server has connected, to say what it has begun. */
  admit(link: Link): LinkHandlers {
    if (this.#guests.size >= guestsMax) throw errors.tooManyCallers(guestsMax);
    this.#guests.add(link);
    return {
      call: () => {
        throw errors.malformed("calls are not for servers of requests");
      },
      message: (kind, body) => {
        if (kind !== dropMessage) throw errors.malformed(`messages of kind ${kind} are not for servers`);
        this.#dropped(body);
      },
      close: () => void this.#guests.delete(link),
    };
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    for (const { link } of this.#peers.values()) link?.close();
    for (const guest of this.#guests) guest.close();
    this.#peers.clear();
  }

  #dropped(body: Uint8Array): void {
    const { id, attempt, token } = parseDrop(body);
    const nowMonoMs = this.#ports.clock.monoMs();
    let isCaller = false;
    for (const link of this.#ports.linksOf(token)) {
      if (link.drop(id, attempt, "another copy of it has begun") || link.isRunning(id, attempt)) return;
      isCaller = true;
    }
    if (isCaller) this.#tombstones.add(token, id, attempt, nowMonoMs + tombstoneMs, nowMonoMs);
  }

  #connect(place: string, address: string, port: number, nowMonoMs: number): Peer {
    if (this.#peers.size >= linksMax) this.#closeOldest();
    const peer: Peer = { link: undefined, waiting: [], usedMonoMs: nowMonoMs, avoidedUntilMonoMs: 0 };
    this.#peers.set(place, peer);
    this.#open(peer, place, address, port).catch((thrown: unknown) => {
      this.#ports.telemetry.log("debug", "twin-not-reached", { place, reason: errorOf(thrown).message });
      peer.waiting = [];
      peer.avoidedUntilMonoMs = this.#ports.clock.monoMs() + avoidMs;
    });
    return peer;
  }

  async #open(peer: Peer, place: string, address: string, port: number): Promise<void> {
    const { clock, transport, telemetry, name } = this.#ports;
    const connection = await transport.connect({ kind: "tcp", host: address, port }, { timeoutMs: connectTimeoutMs });
    const link = await openLink({
      connection,
      clock,
      telemetry,
      versions: twinVersions,
      hello: { role: "twin", name },
      limits: { handshakeTimeoutMs: connectTimeoutMs },
      accept: (_link, peerHello) => {
        if (!isRecord(peerHello) || peerHello["role"] !== "server") throw errors.notAServer();
        return {
          call: () => {
            throw errors.notAServer();
          },
          message: () => {},
          close: () => {
            if (this.#peers.get(place) === peer) this.#peers.delete(place);
          },
        };
      },
    });
    if (this.#closed || this.#peers.get(place) !== peer) {
      link.close();
      return;
    }
    peer.link = link;
    for (const bytes of peer.waiting.splice(0)) link.send(dropMessage, bytes);
  }

  #closeOldest(): void {
    let oldest: string | undefined;
    let usedMonoMs = Number.POSITIVE_INFINITY;
    for (const [place, peer] of this.#peers)
      if (peer.usedMonoMs < usedMonoMs) {
        oldest = place;
        ({ usedMonoMs } = peer);
      }
    if (oldest === undefined) return;
    this.#peers.get(oldest)?.link?.close();
    this.#peers.delete(oldest);
  }
}
