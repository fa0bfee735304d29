import { MusterError } from "../kernel/index.ts";
import type { Finder } from "../find/index.ts";
import {
  type GatherOptions,
  type Gathered,
  Gatherer,
  type RequestBody,
  RequestCaller,
  type RequestMetrics,
  RequestServer,
  type ServedService,
  type ServedType,
  type Tracer,
  checkServedTypes,
  noRequests,
} from "../requests/index.ts";
import { type RollNode, presets } from "../roll/index.ts";
import type { Store } from "../storage/index.ts";
import { tableNumbers } from "../tables/index.ts";
import { declareTypes } from "./declaring.ts";
import type { ServeOptions, ServedEntry } from "./fleet.ts";
import { FleetGroups } from "./group-serving.ts";
import type { GroupRequestOptions, GroupServeOptions, ServedMember, WriteOutcome } from "./group.ts";
import { HostAddresses } from "./host-addresses.ts";

/** What `serve` becomes once the port is known. */
type PlainServe = Omit<ServeOptions, "types" | "listen" | "concurrency"> & { readonly port: number };

/** What the program around the requests gives. */
export interface RequestSurroundings {
  /** Where servers keep the state of their ordering groups, by directory. */
  readonly openStore: ((directory: string) => Store) | undefined;
  readonly tracer: Tracer | undefined;
  /** The host that this program runs on, as far as it is known. */
  readonly host: () => string | undefined;
}

/** A program's requests, in both directions: made when it first asks or answers, so that others pay nothing. */
export class FleetRequests {
  readonly #node: RollNode;
  readonly #finder: Finder;
  readonly #servers = new Map<number, RequestServer>();
  /** Ports on which something begins to listen, or ends. */
  readonly #busy = new Map<number, Promise<void>>();
  readonly #addresses: HostAddresses;
  /** Servers that answer on whatever routes their host has. */
  readonly #followers = new Map<RequestServer, string>();
  #unobserve: (() => void) | undefined;
  readonly #surroundings: RequestSurroundings;
  #caller: RequestCaller | undefined;
  #gatherer: Gatherer | undefined;
  #groups: FleetGroups | undefined;
  #closed = false;

  constructor(node: RollNode, finder: Finder, surroundings: RequestSurroundings) {
    this.#node = node;
    this.#finder = finder;
    this.#surroundings = surroundings;
    this.#addresses = new HostAddresses(node.replica, node.ports.clock);
  }

  request(key: string, type: string, body?: RequestBody, options?: GroupRequestOptions): Promise<RequestBody> {
    const caller = this.#callerNow();
    if (this.#groups === undefined && this.#node.replica.entryCount(tableNumbers.groups) === 0)
      return caller.request(key, type, body, options);
    try {
      return this.#groupsNow().request(key, type, body, options) ?? caller.request(key, type, body, options);
    } catch (thrown) {
      // What find says about the key.
      return Promise.reject(thrown);
    }
  }

  metrics(): RequestMetrics {
    return this.#caller?.metrics() ?? noRequests;
  }

  async gather(key: string, type: string, body?: RequestBody, options?: GatherOptions): Promise<Gathered> {
    const caller = this.#callerNow();
    this.#gatherer ??= new Gatherer({
      clock: this.#node.ports.clock,
      replica: this.#node.replica,
      askMember: (server, name, encoded, asked) => caller.askMember(server, name, encoded, asked),
      together: (act) => caller.together(act),
    });
    return this.#gatherer.gather(key, type, body, options);
  }

  /** What became of a write of an ordering group. */
  async outcome(requestId: string, options: { readonly deadlineMs?: number }): Promise<WriteOutcome> {
    return this.#groupsNow().outcome(requestId, options);
  }

  /** Serves one server of an ordering group: as `serve`, with the group's own types beside the program's. */
  serveMember(
    table: string,
    key: string,
    host: string,
    options: GroupServeOptions,
    serve: (options: PlainServe) => Promise<ServedEntry>,
  ): Promise<ServedMember> {
    // Members speak to one another: without a replica nothing is begun.
    this.#callerNow();
    const { group: _, ...rest } = options;
    return this.#groupsNow().serve(table, key, options, (types, leave) => this.serve(table, key, host, { ...rest, types, leave }, serve));
  }

  /**
   * Takes callers on the routes of the host, declares the types, and lets `serve` put the entry on the roll. What it returns drains and stops
   * answering when it is closed.
   */
  async serve(
    table: string,
    key: string,
    host: string,
    options: ServeOptions & {
      readonly types: Readonly<Record<string, ServedType>>;
      /** Awaited before it takes nothing new any more. */
      readonly leave?: (signal: AbortSignal) => Promise<void>;
    },
    serve: (options: PlainServe) => Promise<ServedEntry>,
  ): Promise<ServedEntry> {
    const { types, listen, leave, concurrency, ...plain } = options;
    checkServedTypes(types);
    const server = await this.#serverOn(options.port, listen === undefined ? await this.#addresses.whenKnown(host) : [listen]);
    if (listen === undefined) this.#follow(server, host);
    let service: ServedService;
    try {
      service = server.add(table, key, host, types, concurrency);
    } catch (thrown) {
      await this.#leave(server);
      throw thrown;
    }
    try {
      await declareTypes(this.#node, key, types);
      const drain = async (signal: AbortSignal) => {
        await leave?.(signal);
        await Promise.all([server.drain(service, signal), options.drain?.(signal)]);
      };
      const entry = await serve({ ...plain, port: server.port, drain });
      return {
        table: entry.table,
        key: entry.key,
        update: (changes) => entry.update(changes),
        close: async () => {
          try {
            await entry.close();
          } finally {
            await this.#remove(server, service);
          }
        },
      };
    } catch (thrown) {
      await this.#remove(server, service);
      throw thrown;
    }
  }

  /** Ends what is pending and what is served, at once: entries are closed before. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#unobserve?.();
    await this.#groups?.close();
    this.#gatherer?.close();
    this.#caller?.close();
    await Promise.all([...this.#servers.values()].map((server) => server.close()));
  }

  #groupsNow(): FleetGroups {
    this.#groups ??= new FleetGroups({
      node: this.#node,
      finder: this.#finder,
      openStore: this.#surroundings.openStore,
      tracer: this.#surroundings.tracer,
      call: (table, server, type, body, { carried, ...options }) =>
        this.#callerNow().ask(server, type, body, { ...options, table }, carried),
      request: (key, type, body, options, carried) => this.#callerNow().ask(key, type, body, options, carried),
    });
    return this.#groups;
  }

  #callerNow(): RequestCaller {
    this.#caller ??= this.#newCaller();
    return this.#caller;
  }

  #newCaller(): RequestCaller {
    if (this.#node.options.want?.length === 0)
      throw new MusterError("fleet/no-replica", "this handle holds no tables, so it cannot find servers for requests", {
        next: "connect without an empty list of tables",
      });
    const { clock, random, transport, telemetry, datagrams, multicastFrom } = this.#node.ports;
    const { tickMs } = { ...presets.lan, ...this.#node.options.periods };
    return new RequestCaller({
      clock,
      random,
      transport,
      telemetry,
      replica: this.#node.replica,
      finder: this.#finder,
      name: this.#node.options.name,
      host: this.#surroundings.host,
      addIfAbsent: (table, key, value) =>
        this.#node.change([{ op: "add", table, key, value, valid: true }], [{ table, key, revision: "absent" }]),
      limits: { pathTickMs: pathTickMsOf(tickMs) },
      tracer: this.#surroundings.tracer,
      datagrams,
      multicastFrom,
    });
  }

  /** Two that serve on one port at once share it; and nothing is served on a port that is being closed. */
  async #serverOn(port: number, addresses: readonly string[]): Promise<RequestServer> {
    for (let busy = this.#busy.get(port); busy !== undefined; busy = this.#busy.get(port)) await busy;
    return this.#servers.get(port) ?? this.#keepBusy(port, this.#listen(port, addresses));
  }

  #keepBusy<Result>(port: number, work: Promise<Result>): Promise<Result> {
    if (port === 0) return work;
    const busy = Promise.allSettled([this.#busy.get(port), work]).then(() => {
      if (this.#busy.get(port) === busy) this.#busy.delete(port);
    });
    this.#busy.set(port, busy);
    return work;
  }

  async #listen(port: number, addresses: readonly string[]): Promise<RequestServer> {
    const { clock, transport, telemetry, datagrams } = this.#node.ports;
    const { tracer } = this.#surroundings;
    const { replica, options } = this.#node;
    const server = new RequestServer({ clock, transport, telemetry, replica, name: options.name, tracer, datagrams });
    try {
      this.#servers.set(await server.listen(addresses, port), server);
    } catch (thrown) {
      await server.close();
      throw thrown;
    }
    return server;
  }

  #remove(server: RequestServer, service: ServedService): Promise<void> {
    return this.#keepBusy(
      server.port,
      server.remove(service).then(() => this.#leave(server)),
    );
  }

  async #leave(server: RequestServer): Promise<void> {
    if (!server.isEmpty) return;
    if (this.#servers.get(server.port) === server) this.#servers.delete(server.port);
    this.#followers.delete(server);
    await server.close();
  }

  /** A host that comes back with other addresses has its servers there, too. */
  #follow(server: RequestServer, host: string): void {
    this.#followers.set(server, host);
    this.#unobserve ??= this.#addresses.observe((changed) => {
      for (const [one, on] of this.#followers) if (changed === undefined || changed === on) void one.listenAlso(this.#addresses.of(on));
    });
  }
}

/** A caller looks at its own paths ten times as often as nodes say that they live, and not so often that a busy machine looks dead. */
function pathTickMsOf(tickMs: number): number {
  return Math.max(25, tickMs / 10);
}
