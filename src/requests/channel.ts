import { type Clock, type MusterError, type Telemetry, type Timer, errorOf, isRecord } from "../kernel/index.ts";
import { type Link, openLink } from "../link/index.ts";
import type { Transport } from "../transport/index.ts";
import { BodySlab } from "./body-slab.ts";
import { notAServer, unreachable } from "./errors.ts";
import type { GivenTarget, Lane } from "./lane.ts";
import { message, nothing, pingVersion, targetsMax, versions } from "./messages.ts";
import type { WatchedPath } from "./path-watch.ts";
import { RoundTrip } from "./round-trip.ts";

export interface ChannelPorts {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly telemetry: Telemetry;
  readonly hello: { readonly role: "caller"; readonly name: string; readonly token: string };
  readonly connectTimeoutMs: number;
}

/** What the owner of a channel is told. */
export interface ChannelEvents {
  opened(channel: Channel, link: Link): void;
  /** No connection has come about so far: `isSilent` is set. */
  slow(channel: Channel): void;
  received(channel: Channel, kind: number, body: Uint8Array): void;
  /** Called once. `wasOpen`: what was sent may have arrived; else nothing was sent. */
  ended(channel: Channel, wasOpen: boolean, error: MusterError | undefined): void;
}

/** The one connection to a server's address and port, from the wish to have it to its end. */
export class Channel implements WatchedPath {
  readonly place: string;
  readonly lanes = new Set<Lane>();
  readonly roundTrip = new RoundTrip();
  /** For answers that come over it. */
  readonly bodies = new BodySlab();
  link: Link | undefined = undefined;
  /** Longer than usual nothing was heard: there is no connection yet, or not even a ping is answered over it. */
  isSilent: boolean;
  /** The server takes nothing new. */
  isClosing = false;
  usedMonoMs: number;
  grantedTicks = 0;
  readonly #ports: ChannelPorts;
  readonly #events: ChannelEvents;
  #patience: Timer | undefined;
  #wasOpen = false;
  #ended = false;
  readonly #targets: { value: number | undefined }[] = [];
  #nextTarget = 0;
  #heardMonoMs = 0;
  #quietTicks = 0;

  /** After `patienceMs` without a connection it is slow; with 0 it counts as such from the beginning. */
  constructor(address: string, port: number, patienceMs: number, ports: ChannelPorts, events: ChannelEvents) {
    this.place = `${address} ${port}`;
    this.#ports = ports;
    this.#events = events;
    this.usedMonoMs = ports.clock.monoMs();
    this.isSilent = patienceMs === 0;
    this.#patience = ports.clock.schedule(patienceMs, () => {
      this.isSilent = true;
      events.slow(this);
    });
    void this.#open(address, port);
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  get isIdle(): boolean {
    for (const lane of this.lanes) if (lane.inFlight > 0) return false;
    return true;
  }

  get isOpen(): boolean {
    return this.link !== undefined;
  }

  get isWatchable(): boolean {
    return this.link !== undefined && this.link.version >= pingVersion && !this.isIdle;
  }

  get bufferedBytes(): number {
    return this.link?.bufferedBytes ?? 0;
  }

  get quietTicks(): number {
    return this.#quietTicks;
  }

  hasHeard(): boolean {
    const heardMonoMs = this.link?.heardMonoMs ?? this.#heardMonoMs;
    if (heardMonoMs === this.#heardMonoMs) return false;
    this.#heardMonoMs = heardMonoMs;
    return true;
  }

  countQuiet(): void {
    this.#quietTicks++;
  }

  clearQuiet(): void {
    this.#quietTicks = 0;
  }

  ping(): void {
    this.link?.send(message.ping, nothing);
  }

  /** A number for another target. When all are in use, the one that was given longest ago stands for this one from now on. */
  nextTarget(): GivenTarget {
    const value = this.#nextTarget;
    this.#nextTarget = (value + 1) % targetsMax;
    const former = this.#targets[value];
    if (former !== undefined) former.value = undefined;
    const number = { value };
    this.#targets[value] = number;
    return number;
  }

  /** Ends it without a word to its owner. Idempotent. */
  close(reason?: MusterError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#patience?.cancel();
    this.link?.close(reason);
    this.link = undefined;
  }

  async #open(address: string, port: number): Promise<void> {
    const { clock, transport, telemetry, hello, connectTimeoutMs } = this.#ports;
    const startMonoMs = clock.monoMs();
    try {
      const connection = await transport.connect({ kind: "tcp", host: address, port }, { timeoutMs: connectTimeoutMs });
      if (this.#ended) {
        connection.destroy();
        return;
      }
      const leftMs = Math.max(1, connectTimeoutMs - (clock.monoMs() - startMonoMs));
      const link = await openLink({
        connection,
        clock,
        telemetry,
        hello,
        versions,
        limits: { handshakeTimeoutMs: leftMs },
        accept: (_link, peerHello) => {
          if (!isRecord(peerHello) || peerHello["role"] !== "server") throw notAServer();
          return {
            call: () => {
              throw notAServer();
            },
            message: (kind, body) => {
              if (!this.#ended) this.#events.received(this, kind, body);
            },
            close: ({ error }) => this.#end(error),
          };
        },
      });
      // It may have been closed, or ended, while the answer to the handshake was on its way to this line.
      if (this.#ended) link.close();
      else if (link.isOpen) {
        // Two ways there and back, so that it is no less than what will be measured.
        const nowMonoMs = clock.monoMs();
        this.roundTrip.add(nowMonoMs - startMonoMs, nowMonoMs);
        this.#opened(link);
      }
    } catch (thrown) {
      this.#end(unreachable(this.place, errorOf(thrown)));
    }
  }

  #opened(link: Link): void {
    this.#patience?.cancel();
    this.isSilent = false;
    this.#wasOpen = true;
    this.link = link;
    this.#events.opened(this, link);
  }

  #end(error: MusterError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#patience?.cancel();
    this.link = undefined;
    this.#events.ended(this, this.#wasOpen, error);
  }
}
