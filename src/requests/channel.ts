import { type Clock, type MusterError, type Telemetry, type Timer, errorOf, isRecord } from "../kernel/index.ts";
import { type Link, openLink } from "../link/index.ts";
import type { Transport } from "../transport/index.ts";
import { notAServer, unreachable } from "./errors.ts";
import type { Lane } from "./lane.ts";
import { versions } from "./messages.ts";

export interface ChannelPorts {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly telemetry: Telemetry;
  readonly hello: { readonly role: "caller"; readonly name: string; readonly token: string };
  readonly connectTimeoutMs: number;
  readonly connectPatienceMs: number;
}

/** What the owner of a channel is told. */
export interface ChannelEvents {
  opened(channel: Channel, link: Link): void;
  /** No connection has come about so far. */
  slow(channel: Channel): void;
  received(channel: Channel, kind: number, body: Uint8Array): void;
  /** Called once. `wasOpen`: what was sent may have arrived; else nothing was sent. */
  ended(channel: Channel, wasOpen: boolean, error: MusterError | undefined): void;
}

const u16Max = 0xffff;

/** The one connection to a server's address and port, from the wish to have it to its end. */
export class Channel {
  readonly place: string;
  readonly lanes = new Set<Lane>();
  link: Link | undefined = undefined;
  /** It has been waited for longer than usual. */
  isSlow = false;
  /** The server takes nothing new. */
  isClosing = false;
  usedMonoMs: number;
  readonly #ports: ChannelPorts;
  readonly #events: ChannelEvents;
  #patience: Timer | undefined;
  #wasOpen = false;
  #ended = false;
  #nextTarget = 0;

  constructor(address: string, port: number, ports: ChannelPorts, events: ChannelEvents) {
    this.place = `${address} ${port}`;
    this.#ports = ports;
    this.#events = events;
    this.usedMonoMs = ports.clock.monoMs();
    this.#patience = ports.clock.schedule(ports.connectPatienceMs, () => {
      this.isSlow = true;
      events.slow(this);
    });
    void this.#open(address, port);
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  get isIdle(): boolean {
    for (const lane of this.lanes) if (lane.size > 0) return false;
    return true;
  }

  /** A number for another target; undefined when this link has named as many as it can. */
  nextTarget(): number | undefined {
    return this.#nextTarget > u16Max ? undefined : this.#nextTarget++;
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
      else if (link.isOpen) this.#opened(link);
    } catch (thrown) {
      this.#end(unreachable(this.place, errorOf(thrown)));
    }
  }

  #opened(link: Link): void {
    this.#patience?.cancel();
    this.isSlow = false;
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
