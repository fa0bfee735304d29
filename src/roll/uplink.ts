import { type Clock, MusterError, type Random, type Telemetry, type Timer, errorOf, jitter } from "../kernel/index.ts";
import { type Link, type LinkEnd, type LinkHandlers, openLink } from "../link/index.ts";
import { type Address, type Transport, formatAddress } from "../transport/index.ts";
import { type Attached, type Hello, decodeJson, encodeJson, message, parseAttached, parseHello, protocolVersions } from "./messages.ts";
import type { RollPeriods } from "./options.ts";

/** What the node does with the stream of its parent. */
export interface UplinkPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly telemetry: Telemetry;
  readonly periods: RollPeriods;
  readonly hello: () => Hello;
  readonly protocolMax: number;
  /** Whether a parent that says this of itself may be followed; undefined is yes. */
  readonly objection: (parent: Hello) => MusterError | undefined;
  /** The attach request as of now. */
  readonly attach: () => Uint8Array;
  /** The parent took us. Returns an objection when it must not be followed after all. */
  readonly attached: (answer: Attached) => MusterError | undefined;
  /** One message of the stream. Throwing closes the link with the error as the reason. */
  readonly receive: (kind: number, body: Uint8Array) => void;
  /** The link is followed from now on. */
  readonly followed: () => void;
  readonly lost: () => void;
  /** The parent has no fleet yet and asks what we know. */
  readonly offer: () => Uint8Array | undefined;
}

/** A parent that is not there yet is no news; one that refuses us again and again is. */
const warnAfterRounds = 3;

type State =
  | { readonly kind: "idle" }
  | { readonly kind: "connecting"; readonly parent: Address }
  | { readonly kind: "attaching"; readonly parent: Address; readonly link: Link; readonly role: string; readonly sinceMonoMs: number }
  | { readonly kind: "following"; readonly parent: Address; readonly link: Link; readonly hello: Hello; readonly sinceMonoMs: number }
  | { readonly kind: "closed" };

/**
 * The way up: one link to one of the configured parents. A lost or refusing parent is replaced by the next, with growing,
 * jittered pauses, so that a thousand children of a restarted directory do not come at one instant.
 */
export class Uplink {
  readonly #ports: UplinkPorts;
  readonly #parents: readonly Address[];
  #state: State = { kind: "idle" };
  #next = 0;
  #failures = 0;
  #retry: Timer | undefined;
  #lastError: MusterError | undefined;

  constructor(parents: readonly Address[], ports: UplinkPorts) {
    this.#parents = parents;
    this.#ports = ports;
    this.#next = parents.length > 1 ? Math.floor(ports.random.fraction() * parents.length) : 0;
  }

  get link(): Link | undefined {
    return this.#state.kind === "following" ? this.#state.link : undefined;
  }

  /** The link before its parent has taken us. */
  get pendingLink(): Link | undefined {
    return this.#state.kind === "attaching" ? this.#state.link : undefined;
  }

  /** How long a parent that is no directory has left our request to follow it unanswered. */
  waitingMs(nowMonoMs: number): number {
    return this.#state.kind === "attaching" && this.#state.role !== "directory" ? nowMonoMs - this.#state.sinceMonoMs : 0;
  }

  /** Who is followed, over which two addresses; `local` is the host alone. */
  get parent(): { readonly address: string; readonly local: string; readonly name: string; readonly role: string } | undefined {
    if (this.#state.kind !== "following") return undefined;
    const { parent, link, hello } = this.#state;
    const local = link.local.kind === "tcp" ? link.local.host : "";
    return { address: formatAddress(parent), local, name: hello.name, role: hello.role };
  }

  /** Where the parent is reached that is followed now. */
  get followed(): Address | undefined {
    return this.#state.kind === "following" ? this.#state.parent : undefined;
  }

  /** Why no parent could be followed last. */
  get lastError(): MusterError | undefined {
    return this.#lastError;
  }

  start(): void {
    if (this.#state.kind === "idle" && this.#retry === undefined) void this.#dial();
  }

  /** Leaves the parent for another one. */
  leave(reason: MusterError): void {
    if (this.#state.kind === "following" || this.#state.kind === "attaching") this.#state.link.close(reason);
  }

  close(): void {
    const state = this.#state;
    this.#state = { kind: "closed" };
    this.#retry?.cancel();
    if (state.kind === "following" || state.kind === "attaching") {
      if (state.kind === "following") state.link.send(message.leave, encodeJson({}));
      state.link.close();
    }
  }

  async #dial(): Promise<void> {
    this.#retry = undefined;
    const parent = this.#parents[this.#next % this.#parents.length];
    if (parent === undefined || this.#state.kind !== "idle") return;
    this.#state = { kind: "connecting", parent };
    const { clock, transport } = this.#ports;
    try {
      const connection = await transport.connect(parent);
      if (this.#isClosed()) {
        connection.destroy();
        return;
      }
      await openLink({
        connection,
        clock,
        hello: { ...this.#ports.hello() },
        versions: { min: protocolVersions.min, max: this.#ports.protocolMax },
        accept: (link, peerHello) => this.#accept(parent, link, parseHello(peerHello)),
      });
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #isClosed(): boolean {
    return this.#state.kind === "closed";
  }

  #accept(parent: Address, link: Link, hello: Hello): LinkHandlers {
    if (this.#isClosed()) throw new MusterError("roll/closed", "this node is closing");
    const objection = this.#ports.objection(hello);
    if (objection !== undefined) throw objection;
    this.#state = { kind: "attaching", parent, link, role: hello.role, sinceMonoMs: this.#ports.clock.monoMs() };
    const offer = hello.fleet === "" ? this.#ports.offer() : undefined;
    if (offer === undefined) link.send(message.attach, this.#ports.attach());
    else link.send(message.offer, offer);
    return {
      call: () => {
        throw new MusterError("roll/bad-message", "a parent calls nothing");
      },
      message: (kind, body) => this.#receive(link, hello, kind, body),
      close: (end) => this.#ended(link, end),
    };
  }

  #receive(link: Link, hello: Hello, kind: number, body: Uint8Array): void {
    const state = this.#state;
    if (state.kind === "closed" || state.kind === "idle" || state.kind === "connecting" || state.link !== link) return;
    try {
      if (kind === message.attached) {
        const objection = this.#ports.attached(parseAttached(decodeJson(body)));
        if (objection !== undefined) throw objection;
        this.#state = { kind: "following", parent: state.parent, link, hello, sinceMonoMs: this.#ports.clock.monoMs() };
        this.#lastError = undefined;
        this.#ports.telemetry.log("info", "parent-followed", { parent: hello.name, address: formatAddress(state.parent) });
        this.#ports.followed();
      } else this.#ports.receive(kind, body);
    } catch (thrown) {
      const error =
        thrown instanceof MusterError ? thrown : new MusterError("roll/bad-message", errorOf(thrown).message, { cause: thrown });
      this.#lastError = error;
      link.close(error);
    }
  }

  #ended(link: Link, end: LinkEnd): void {
    const state = this.#state;
    if (state.kind === "closed") return;
    if ((state.kind === "following" || state.kind === "attaching") && state.link === link)
      this.#fail(end.error, state.kind === "following");
  }

  #fail(thrown: unknown, followed = false): void {
    if (this.#state.kind === "closed") return;
    const error =
      thrown === undefined
        ? undefined
        : thrown instanceof MusterError
          ? thrown
          : new MusterError("roll/parent-lost", errorOf(thrown).message, { cause: thrown });
    if (error !== undefined) this.#lastError = error;
    const { reconnectMsMin, reconnectMsMax } = this.#ports.periods;
    // A parent that takes us and drops us at once is no better than one that refuses.
    if (this.#state.kind === "following" && this.#ports.clock.monoMs() - this.#state.sinceMonoMs >= reconnectMsMax) this.#failures = 0;
    this.#state = { kind: "idle" };
    if (followed) this.#ports.lost();
    this.#next++;
    const rounds = Math.floor(this.#failures / Math.max(1, this.#parents.length));
    this.#failures++;
    // Half to the whole of it: an upper bound that a directory waiting for its fleet can count on.
    const pauseMs = jitter(this.#ports.random, 0.75 * Math.min(reconnectMsMax, reconnectMsMin * 2 ** Math.min(rounds, 10)), 1 / 3);
    const isNews = followed || this.#failures === warnAfterRounds * this.#parents.length;
    this.#ports.telemetry.log(isNews ? "warn" : "debug", "parent-lost", {
      reason: error?.message ?? "closed",
      ...(error?.next === undefined || followed ? {} : { next: error.next }),
      again: `${Math.round(pauseMs)}ms`,
    });
    this.#retry?.cancel();
    this.#retry = this.#ports.clock.schedule(pauseMs, () => void this.#dial());
  }
}
