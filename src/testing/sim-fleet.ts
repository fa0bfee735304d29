import type { FleetHandle } from "../fleet/index.ts";
import { MusterError, type Telemetry, silentTelemetry } from "../kernel/index.ts";
import { type NodeOptions, type RollLimits, type RollPeriods, presets } from "../roll/index.ts";
import type { ProbePeriods } from "../routes/index.ts";
import { parseAddress } from "../transport/index.ts";
import { SimDisk, type SimDiskOptions } from "./sim-disk.ts";
import { SimMember, SimProcesses } from "./sim-member.ts";
import { SimNetwork, type SimNetworkOptions } from "./sim-network.ts";
import { SimNode, type SimNodeOptions } from "./sim-node.ts";
import { SimWorld } from "./sim-world.ts";

export interface SimFleetOptions {
  /** A whole run follows from it. */
  readonly seed: number;
  readonly network?: SimNetworkOptions;
  /** As `from` of `connect({ multicast })`, for all programs. Default 8. */
  readonly multicastFrom?: number;
  readonly disk?: SimDiskOptions;
  /** Default: the preset `test`, with ticks of 100 ms. */
  readonly periods?: Partial<RollPeriods>;
  readonly limits?: Partial<RollLimits>;
  /** Probes the routes between directory, relays and agents, keyed by a secret of the fleet; default: no probes. */
  readonly probes?: ProbePeriods;
  /** The log of each member; default: keeps nothing. */
  readonly telemetry?: (member: string) => Telemetry;
  /** Told what the start of a member rejected with; default: the run fails with it. */
  readonly startFailed?: (member: SimMember, error: unknown) => void;
}

/** How one member differs from the usual. */
export interface SimMemberOptions
  extends Pick<NodeOptions, "attributes" | "limits" | "mappings" | "periods" | "protocolMax" | "routes" | "want">,
    Pick<SimNodeOptions, "clockRate" | "host" | "timerLatenessMs" | "wallOffsetMs"> {
  /** Names of members, in order of preference. Default: of a relay the directory, of an agent all relays or else the directory. */
  readonly parents?: readonly string[];
  /** What the node calls itself; default the member's name. For an agent it is the name of its host. */
  readonly nodeName?: string;
  /** A program's: its heartbeats come from a thread beside its main loop, as a real one's do. Default false. */
  readonly pulse?: boolean;
}

const port = 7550;
const directoryName = "directory";
/** How long virtual time may pass until members are ready, or a promise settles. */
const patienceMs = 10_000;

/**
 * A whole fleet in one thread on virtual time: a directory, relays, agents and programs, each the real node behind the real
 * handle, on simulated machines that can be paused, crashed and restarted, and a network that can be cut. Equal seeds give
 * equal runs. Time passes only in `start`, `until`, `runFor` and `world.run`.
 *
 * ```ts
 * const fleet = new SimFleet({ seed: 1 });
 * fleet.addDirectory();
 * fleet.addAgent("HOST1");
 * fleet.addClient("web", { agent: "HOST1" });
 * await fleet.start();
 * await fleet.until(fleet.client("web").serve("metadata", "MDS.1", { port: 1872 }));
 * fleet.member("web").crash();
 * await fleet.runFor(50);
 * ```
 */
export class SimFleet {
  readonly world: SimWorld;
  readonly network: SimNetwork;
  /** The directory's. */
  readonly disk: SimDisk;
  readonly #options: SimFleetOptions;
  readonly #processes = new SimProcesses();
  readonly #members = new Map<string, SimMember>();
  readonly #disks = new Map<string, SimDisk>();

  constructor(options: SimFleetOptions) {
    this.#options = options;
    this.world = new SimWorld({ seed: options.seed });
    this.network = new SimNetwork(this.world, options.network);
    this.disk = new SimDisk(this.world, options.disk);
  }

  /** Its name is "directory" unless another is given. One for each fleet. */
  addDirectory(name = directoryName, options: SimMemberOptions = {}): SimMember {
    return this.#add(name, "directory", [], options);
  }

  addRelay(name: string, options: SimMemberOptions = {}): SimMember {
    return this.#add(name, "relay", options.parents ?? this.#named("directory"), options);
  }

  /** The agent of a host of that name, with one route: the name itself. */
  addAgent(host: string, options: SimMemberOptions = {}): SimMember {
    const relays = this.#named("relay");
    const parents = options.parents ?? (relays.length > 0 ? relays : this.#named("directory"));
    return this.#add(host, "agent", parents, { routes: [host], ...options });
  }

  /** A program on the host of that agent (another one with `host`, to cut it off from its agent). */
  addClient(name: string, options: SimMemberOptions & { readonly agent: string }): SimMember {
    const { agent, ...rest } = options;
    return this.#add(name, "client", options.parents ?? [agent], { host: this.member(agent).sim.host, ...rest });
  }

  get members(): readonly SimMember[] {
    return [...this.#members.values()];
  }

  /** Throws `testing/no-member` for a name that was not added. */
  member(name: string): SimMember {
    const member = this.#members.get(name);
    if (member === undefined)
      throw new MusterError("testing/no-member", `this fleet has no member "${name}"`, {
        next: `add it first; there are ${[...this.#members.keys()].join(", ")}`,
      });
    return member;
  }

  /** The disk behind a directory on a host: what `serve` with `group` keeps there outlives the programs. */
  diskOf(host: string, directory: string): SimDisk {
    const place = `${host}:${directory}`;
    // What the directory's disk tells is about the roll.
    const { durable: _, ...speed } = this.#options.disk ?? {};
    const disk = this.#disks.get(place) ?? new SimDisk(this.world, speed);
    this.#disks.set(place, disk);
    return disk;
  }

  /** The handle of that program's present life. */
  client(name: string): FleetHandle {
    return this.member(name).handle;
  }

  /** Starts the named members, by default all that were never started, and lets time pass until they are ready (at most 10 s). */
  async start(...names: readonly string[]): Promise<void> {
    const members =
      names.length > 0 ? names.map((name) => this.member(name)) : this.members.filter(({ alive, lives }) => !alive && lives === 1);
    for (const member of members) member.start();
    const ready = await this.world.runUntil(() => members.every(isUp), this.world.nowMs + patienceMs);
    if (ready) return;
    const late = members
      .filter((member) => !isUp(member))
      .map(({ name, node }) => `${name} (${node.lastError?.message ?? "no parent yet"})`);
    throw new MusterError("testing/not-ready", `not ready after ${patienceMs} ms: ${late.join(", ")}`, {
      next: "look at the parents of these members, or at what cuts them off",
    });
  }

  /** Lets so much virtual time pass. */
  async runFor(durationMs: number): Promise<void> {
    await this.world.runFor(durationMs);
  }

  /** Lets time pass until the promise settles, and gives its outcome. Rejects with `testing/unsettled` after `limitMs`. */
  async until<T>(promise: Promise<T>, limitMs = patienceMs): Promise<T> {
    let settled = false;
    const note = () => {
      settled = true;
    };
    promise.then(note, note);
    await this.world.runUntil(() => settled, this.world.nowMs + limitMs);
    if (!settled)
      throw new MusterError("testing/unsettled", `the promise is open after ${limitMs} ms of virtual time`, {
        next: "ask what it waits for: a crashed program's promises never settle",
      });
    return promise;
  }

  #named(role: NodeOptions["role"]): string[] {
    return this.members.filter(({ options }) => options.role === role).map(({ name }) => name);
  }

  #add(name: string, role: NodeOptions["role"], parents: readonly string[], options: SimMemberOptions): SimMember {
    if (this.#members.has(name))
      throw new MusterError("testing/member-exists", `this fleet has a member "${name}" already`, { next: "choose another name" });
    const {
      host = name,
      clockRate,
      timerLatenessMs,
      wallOffsetMs,
      nodeName = name,
      parents: _parents,
      pulse = false,
      periods,
      limits,
      ...node
    } = options;
    const telemetry = this.#options.telemetry?.(name) ?? silentTelemetry;
    const clock = {
      ...(clockRate === undefined ? {} : { clockRate }),
      ...(timerLatenessMs === undefined ? {} : { timerLatenessMs }),
      ...(wallOffsetMs === undefined ? {} : { wallOffsetMs }),
    };
    for (const route of options.routes ?? []) if (route !== host) this.network.addAddress(host, route);
    const secret = role === "directory" && this.#options.probes !== undefined ? { secret: "5ec2e7".padEnd(64, "0") } : {};
    const member = new SimMember(
      name,
      new SimNode(this.world, { name, host, telemetry, ...clock }),
      parseAddress(`${host}:${port}`),
      {
        ...node,
        ...secret,
        role,
        name: nodeName,
        parents: parents.map((parent) => this.#members.get(parent)?.address ?? addressOf(parent)),
        periods: { ...presets.test, ...this.#options.periods, ...periods },
        limits: { ...this.#options.limits, ...limits },
      },
      {
        network: this.network,
        processes: this.#processes,
        telemetry,
        multicastFrom: this.#options.multicastFrom,
        probes: this.#options.probes,
        disk: role === "directory" ? this.disk : undefined,
        disks: (directory) => this.diskOf(host, directory),
        pulse,
        startFailed: this.#options.startFailed ?? ((_member, error) => this.world.fail(error)),
      },
    );
    this.#members.set(name, member);
    return member;
  }
}

/** Ready, heard by the directory, and admitted: what it asks for from now on is counted. */
function isUp({ node }: SimMember): boolean {
  return node.isReady && !node.detached;
}

/** A parent that is added after its child lives on a host of its own name. */
function addressOf(parent: string): ReturnType<typeof parseAddress> {
  return parseAddress(`${parent}:${port}`);
}
