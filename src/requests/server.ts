import { type Clock, MusterError, type Telemetry, errorOf } from "../kernel/index.ts";
import { type Link, openLink } from "../link/index.ts";
import { type Replica, type ReplicaObserver, isRouteValue, tableNumbers } from "../tables/index.ts";
import type { Connection, Datagrams, Listener, Transport } from "../transport/index.ts";
import * as errors from "./errors.ts";
import { parseCallerHello } from "./caller-hello.ts";
import { MessageWriter } from "./message-writer.ts";
import { versions } from "./messages.ts";
import { metricNames } from "./metrics.ts";
import { Ears } from "./multicast-ears.ts";
import { type ServedType, type ServerLimits, serverLimits } from "./options.ts";
import { ServedLink, type ServedLinkPorts } from "./served-link.ts";
import { type DrainResult, ServedService } from "./served-service.ts";
import { type ServedTarget, servedTarget } from "./served-target.ts";
import { Tombstones } from "./tombstones.ts";
import type { Tracer } from "./tracer.ts";
import { isTwinHello } from "./twin-messages.ts";
import { Twins } from "./twins.ts";

export interface ServerPorts {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly telemetry: Telemetry;
  readonly replica: Replica;
  readonly name: string;
  readonly limits?: Partial<ServerLimits>;
  readonly tracer?: Tracer | undefined;
  /** For what callers ask of several servers at once; without it they ask over their links. */
  readonly datagrams?: Datagrams | undefined;
}

/** Tries to find a port that is free on all addresses. */
const portTriesMax = 20;

/**
 * The server's half of requests on one port: takes links of callers and gives each request to the handler of its target. It may serve
 * several keys of the roll. What it does not begin it says so, so that callers go elsewhere even with writes.
 */
export class RequestServer {
  readonly #ports: ServerPorts;
  readonly #limits: ServerLimits;
  readonly #services = new Map<string, ServedService>();
  readonly #links = new Set<ServedLink>();
  readonly #byCaller = new Map<string, Set<ServedLink>>();
  readonly #tombstones: Tombstones;
  readonly #twins: Twins;
  readonly #ears: Ears | undefined;
  readonly #linkPorts: ServedLinkPorts;
  readonly #unobserve: () => void;
  /** By the address that was asked for. */
  readonly #listeners = new Map<string, Listener>();
  readonly #opening = new Set<string>();
  #port = 0;
  /** Grows with every change of the declarations and of what is served. */
  #generation = 0;
  #served = 0;
  #closed = false;

  constructor(ports: ServerPorts) {
    const { clock, transport, telemetry, replica, name } = ports;
    this.#ports = ports;
    this.#limits = { ...serverLimits, ...ports.limits };
    this.#tombstones = new Tombstones(this.#limits.tombstonesMax);
    this.#ears = ports.datagrams === undefined ? undefined : new Ears({ clock, datagrams: ports.datagrams, telemetry });
    this.#twins = new Twins({ clock, transport, telemetry, name, linksOf: (token) => this.#byCaller.get(token) ?? [] });
    this.#linkPorts = {
      clock,
      limits: this.#limits,
      writer: new MessageWriter(),
      tombstones: this.#tombstones,
      twins: this.#twins,
      tracer: ports.tracer,
      ears: this.#ears,
      target: (table, instance, type, sequence) => this.#target(table, instance, type, sequence),
      renew: ({ name, type, sequence }) => this.#renew(name, type, sequence),
      isCurrent: ({ generation }) => generation === this.#generation,
      cancelElsewhere: (link, id, attempt, error) => this.#cancelElsewhere(link, id, attempt, error),
      failed: (target, thrown) => this.#failed(target, thrown),
      refused: (reason) => telemetry.count(metricNames.refused, 1, { reason }),
      answered: () => void this.#served++,
      cancelled: () => telemetry.count(metricNames.cancelled),
    };
    const observer: ReplicaObserver = {
      touched: (table, key) => {
        if (table === tableNumbers.requestTypes) this.#generation++;
        else this.#reconsider(({ instance }) => instance === key, true);
      },
      host: (name) => this.#reconsider(({ host }) => host === name),
      reset: () => {
        this.#generation++;
        this.#reconsider(() => true);
      },
    };
    this.#unobserve = replica.observe(observer);
  }

  get port(): number {
    return this.#port;
  }

  /** Requests that handlers work on. */
  get inFlight(): number {
    let inFlight = 0;
    for (const service of this.#services.values()) inFlight += service.inFlight;
    return inFlight;
  }

  get callers(): number {
    return this.#links.size;
  }

  get #isClosing(): boolean {
    for (const { closing } of this.#services.values()) if (closing === undefined) return false;
    return true;
  }

  /** Whether nothing is served here any more. */
  get isEmpty(): boolean {
    return this.#services.size === 0;
  }

  /**
   * Takes callers on all the addresses, on one port; 0 picks one that is free on all of them. An address that is not this machine's is passed
   * over and logged. Rejects with `transport/address-in-use` and, if nothing is left, `transport/cannot-listen`.
   */
  async listen(addresses: readonly string[], port: number): Promise<number> {
    const { telemetry } = this.#ports;
    for (let attempt = 1; ; attempt++)
      try {
        await this.#listenOnAll(addresses, port);
        const labels = { port: String(this.#port) };
        telemetry.gauge(metricNames.serving, () => this.inFlight, labels);
        telemetry.gauge(metricNames.served, () => this.#served, labels);
        return this.#port;
      } catch (thrown) {
        const taken = thrown instanceof MusterError && thrown.code === "transport/address-in-use";
        if (!taken || port !== 0 || attempt >= portTriesMax) throw thrown;
      }
  }

  /** Takes callers on these addresses, too: routes that the host has got meanwhile. What cannot be had is logged. */
  async listenAlso(addresses: readonly string[]): Promise<void> {
    for (const host of addresses) {
      if (this.#closed || this.#listeners.has(host) || this.#opening.has(host)) continue;
      this.#opening.add(host);
      await this.#listenOn(host, this.#port).catch((thrown: unknown) => this.#notServed(host, errorOf(thrown)));
      this.#opening.delete(host);
    }
  }

  async #listenOnAll(addresses: readonly string[], port: number): Promise<void> {
    let refused: MusterError | undefined;
    this.#port = port;
    try {
      for (const host of addresses)
        try {
          await this.#listenOn(host, this.#port);
        } catch (thrown) {
          if (!(thrown instanceof MusterError && thrown.code === "transport/cannot-listen")) throw thrown;
          refused = thrown;
          this.#notServed(host, thrown);
        }
      if (this.#listeners.size === 0 && refused !== undefined) throw refused;
    } catch (thrown) {
      await this.#closeListeners();
      throw thrown;
    }
  }

  async #listenOn(host: string, port: number): Promise<void> {
    const listener = await this.#ports.transport.listen({ kind: "tcp", host, port }, (connection) => this.#accept(connection));
    if (this.#closed) {
      await listener.close();
      return;
    }
    this.#listeners.set(host, listener);
    if (listener.address.kind === "tcp") this.#port = listener.address.port;
  }

  async #closeListeners(): Promise<void> {
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    await Promise.all(listeners.map((listener) => listener.close()));
  }

  #notServed(address: string, { message }: Error): void {
    this.#ports.telemetry.log("warn", "route-not-served", { address, reason: message });
  }

  /**
   * Answers requests for this key from now on, as long as the roll does not name another; at most `concurrency` handlers work at a time
   * (default: no limit), and what comes then waits for its turn. Throws `requests/served-already` and `requests/bad-concurrency`.
   */
  add(
    table: string,
    instance: string,
    host: string,
    types: Readonly<Record<string, ServedType>>,
    concurrency: number = Number.POSITIVE_INFINITY,
  ): ServedService {
    const name = nameOf(table, instance);
    if (this.#services.has(name)) throw errors.portInUse(this.#port);
    if (!(concurrency >= 1)) throw errors.badConcurrency(concurrency);
    const service = new ServedService(table, instance, host, types, concurrency);
    this.#services.set(name, service);
    this.#generation++;
    return service;
  }

  /**
   * Takes no new requests for this server (what comes or waits is turned away before it begins, so callers send even writes elsewhere),
   * waits for those under way until `signal` is aborted, and gives up the rest: their callers are told. May be called again.
   */
  async drain(service: ServedService, signal?: AbortSignal): Promise<DrainResult> {
    service.closing ??= "it is closing";
    if (this.#isClosing) for (const link of this.#links) link.sayClosing();
    service.flush();
    if (service.inFlight > 0) await idleOrAborted(service, signal);
    const late = [...service.running].filter(({ isAbandoned }) => !isAbandoned);
    for (const request of late) request.giveUp(errors.closing("maybe"));
    return { abandoned: late.length };
  }

  /** Answers nothing more for this server; after the last one the port is closed. What is under way is given up: drain first. */
  async remove(service: ServedService): Promise<void> {
    service.closing ??= "it has closed";
    await this.drain(service, AbortSignal.abort());
    this.#services.delete(nameOf(service.table, service.instance));
    this.#generation++;
    if (this.isEmpty) await this.close();
  }

  /** Ends at once. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#unobserve();
    const closing = this.#closeListeners();
    for (const link of this.#links) link.close();
    this.#twins.close();
    this.#ears?.close();
    await closing;
  }

  #accept(connection: Connection): void {
    const { clock, telemetry, name } = this.#ports;
    if (this.#closed) {
      connection.destroy();
      return;
    }
    openLink({
      connection,
      clock,
      telemetry,
      versions,
      hello: { role: "server", name },
      accept: (link, peerHello) => {
        if (isTwinHello(peerHello)) return this.#twins.admit(link);
        const served = this.#admit(link, peerHello);
        return {
          call: () => {
            throw errors.malformed("calls are not for servers of requests");
          },
          message: (kind, body) => served.receive(kind, body),
          close: () => this.#left(served),
        };
      },
    }).catch((thrown: unknown) => {
      telemetry.log("debug", "caller-not-admitted", { reason: errorOf(thrown).message });
    });
  }

  #admit(link: Link, peerHello: unknown): ServedLink {
    const hello = parseCallerHello(peerHello);
    if (hello === undefined) throw errors.notACaller();
    if (this.#links.size >= this.#limits.callersMax) throw errors.tooManyCallers(this.#limits.callersMax);
    const served = new ServedLink(link, hello, this.#linkPorts);
    this.#links.add(served);
    const known = this.#byCaller.get(hello.token);
    if (known === undefined) this.#byCaller.set(hello.token, new Set([served]));
    else known.add(served);
    if (this.#isClosing) served.sayClosing();
    return served;
  }

  #left(served: ServedLink): void {
    this.#links.delete(served);
    const known = this.#byCaller.get(served.token);
    if (known?.delete(served) === true && known.size === 0) this.#byCaller.delete(served.token);
    served.ended();
  }

  #target(table: string, instance: string, type: string, sequence: number): ServedTarget {
    return this.#renew(nameOf(table, instance), type, sequence);
  }

  #renew(name: string, type: string, sequence: number): ServedTarget {
    return servedTarget(this.#ports.replica, this.#services.get(name), name, type, sequence, this.#generation);
  }

  /**
   * A server that has been superseded, or that the roll has given up, begins nothing more: the fleet goes by another one, which for
   * a service instance may have taken over already.
   */
  #reconsider(concerned: (service: ServedService) => boolean, itsRow = false): void {
    for (const service of this.#services.values()) {
      if (!concerned(service)) continue;
      this.#accuse(service);
      // Subsets may go by the attributes of its route.
      if (itsRow) this.#generation++;
    }
  }

  #accuse(service: ServedService): void {
    const { replica } = this.#ports;
    const number = replica.table(service.table)?.number;
    const entry = number === undefined ? undefined : replica.entry(number, service.instance);
    const ours = entry !== undefined && isRouteValue(entry.value) && entry.value.host === service.host && entry.value.port === this.#port;
    service.wasNamed ||= ours && entry.valid;
    if (!service.wasNamed || (ours && entry.valid)) service.accusation = undefined;
    else service.accusation = ours ? "the roll says that it is invalid" : "it has been superseded";
  }

  #cancelElsewhere(link: ServedLink, id: number, attempt: number, error: MusterError): boolean {
    for (const other of this.#byCaller.get(link.token) ?? []) if (other !== link && other.cancel(id, attempt, error)) return true;
    return false;
  }

  #failed(target: ServedTarget, thrown: unknown): void {
    const { telemetry } = this.#ports;
    telemetry.count(metricNames.handlerFailures);
    if (thrown instanceof MusterError) return;
    const error = errorOf(thrown);
    telemetry.log("error", "request-handler-failed", {
      server: target.name,
      type: target.type,
      message: error.message,
      stack: error.stack ?? "",
    });
  }
}

function nameOf(table: string, instance: string): string {
  return `${table}/${instance}`;
}

function idleOrAborted(service: ServedService, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const abort = () => resolve();
    signal?.addEventListener("abort", abort, { once: true });
    void service.idle().then(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
  });
}
