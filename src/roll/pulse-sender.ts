import { type Clock, MusterError, type Random, type Timer, every, jitter } from "../kernel/index.ts";
import { type Link, type LinkHandlers, openLink } from "../link/index.ts";
import { type Address, type Transport, formatAddress } from "../transport/index.ts";
import { type Hello, decodeJson, encodeJson, message, parsePulseEcho, protocolVersions } from "./messages.ts";

export interface PulseSenderPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  /** The program that it speaks for. */
  readonly program: Pick<Hello, "name" | "token" | "pid" | "started">;
  /** Grows with every turn of the program's main loop. */
  readonly turns: () => number;
  /** Told when the watcher begins to answer, and when it does not any more. */
  readonly works: (works: boolean) => void;
}

/** Pulses that may be unanswered before the watcher counts as out of reach. */
const unansweredMax = 2;
/** … and before its link is given up for a new one. */
const unansweredLinkMax = 12;
const redialMsMin = 20;
const redialMsMax = 1000;

/**
 * The heart of a program, in a thread beside its main loop, on a link of its own to the program's watcher. At each of its own
 * ticks it says that the process runs, and for how many of them the main loop has not turned: time is counted in own
 * ticks, so that a process that was stopped and goes on does not take the pause for a stall.
 */
export class PulseSender {
  readonly #ports: PulseSenderPorts;
  #target: { readonly watcher: Address; readonly name: string; readonly everyMs: number } | undefined;
  #ticks: Timer | undefined;
  #redial: Timer | undefined;
  #link: Link | undefined;
  /** The place that is being dialled. A dial to another one is void: what comes of it is closed. */
  #dialling: string | undefined;
  #failures = 0;
  #number = 0;
  #answered = 0;
  #seen: number;
  #still = 0;
  #works = false;

  constructor(ports: PulseSenderPorts) {
    this.#ports = ports;
    this.#seen = ports.turns();
  }

  aim(watcher: Address, everyMs: number): void {
    const before = this.#target;
    const name = formatAddress(watcher);
    this.#target = { watcher, name, everyMs };
    if (before?.name !== name) {
      this.#drop();
      this.#failures = 0;
    }
    if (before?.everyMs !== everyMs) {
      this.#ticks?.cancel();
      this.#still = 0;
      this.#ticks = every(this.#ports.clock, everyMs, () => this.#tick());
    }
    this.#dial();
  }

  close(): void {
    this.#target = undefined;
    this.#ticks?.cancel();
    this.#ticks = undefined;
    this.#drop();
  }

  /** Whatever there is of a connection, or is on its way, is void from here on. */
  #drop(): void {
    const link = this.#link;
    this.#link = undefined;
    this.#dialling = undefined;
    this.#redial?.cancel();
    link?.close();
    this.#tell(false);
  }

  #tick(): void {
    const turns = this.#ports.turns();
    this.#still = turns === this.#seen ? this.#still + 1 : 0;
    this.#seen = turns;
    const unanswered = this.#number - this.#answered;
    if (unanswered >= unansweredMax) this.#tell(false);
    if (unanswered >= unansweredLinkMax) this.#link?.close();
    this.#pulse();
  }

  #pulse(): void {
    if (this.#link === undefined || this.#target === undefined) return;
    this.#number++;
    this.#link.send(message.pulse, encodeJson({ number: this.#number, lagMs: Math.round(this.#still * this.#target.everyMs) }));
    this.#link.flush();
  }

  #dial(): void {
    const target = this.#target;
    if (target === undefined || this.#dialling !== undefined || this.#link !== undefined) return;
    const { name, watcher } = target;
    this.#dialling = name;
    this.#redial?.cancel();
    const { clock, transport, program } = this.#ports;
    const hello = { role: "client", fleet: "", epoch: 0, ...program };
    transport
      .connect(watcher)
      .then((connection) => openLink({ connection, clock, hello, versions: protocolVersions, accept: (link) => this.#accept(name, link) }))
      .then(
        () => this.#pulse(),
        () => {
          if (this.#dialling !== name) return;
          this.#dialling = undefined;
          this.#dialLater();
        },
      );
  }

  #accept(name: string, link: Link): LinkHandlers {
    // A link that is closed in here never calls back.
    if (this.#dialling !== name) throw new MusterError("roll/closed", "the pulse of this program goes to another watcher by now");
    this.#dialling = undefined;
    this.#link = link;
    this.#number = 0;
    this.#answered = 0;
    return {
      call: () => new Uint8Array(),
      message: (kind, body) => this.#receive(kind, body),
      close: () => this.#ended(link),
    };
  }

  #receive(kind: number, body: Uint8Array): void {
    if (kind !== message.pulsed) return;
    const { number, known } = parsePulseEcho(decodeJson(body));
    this.#answered = number;
    this.#failures = 0;
    this.#tell(known);
  }

  #ended(link: Link): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    this.#tell(false);
    this.#dialLater();
  }

  #dialLater(): void {
    if (this.#target === undefined) return;
    const pauseMs = Math.min(redialMsMax, redialMsMin * 2 ** Math.min(this.#failures++, 10));
    this.#redial?.cancel();
    this.#redial = this.#ports.clock.schedule(jitter(this.#ports.random, pauseMs, 1 / 3), () => this.#dial());
  }

  #tell(works: boolean): void {
    if (works === this.#works) return;
    this.#works = works;
    this.#ports.works(works);
  }
}
