import { type StateName, instanceOfServer } from "../../src/tables/index.ts";
import type { WorkKind } from "./histories/work.ts";

/**
 * The language in which a fault experiment is written down: a fleet, a load, rounds of steps with times, and what is expected.
 * A scenario is plain data apart from `steps`, which makes the steps of one round; it does not know whether its hosts are
 * network namespaces (`namespaces/`) or simulated machines (`simulated/`).
 */
export interface Scenario {
  readonly name: string;
  /** One sentence: what is broken, and what must not be seen of it. */
  readonly about: string;
  readonly fleet: FleetPlan;
  readonly load: LoadPlan;
  /** How long a round lasts. A run repeats rounds while a whole one fits. */
  readonly roundMs: number;
  /** How long a run on virtual time lasts, where a round shows too little. Default one round. */
  readonly simulatedMs?: number;
  /** The same for a run of real processes. */
  readonly namespacesMs?: number;
  /** The steps of round 0, 1, 2 …, in order of time; times count from the beginning of the round. */
  readonly steps: (round: number) => readonly Step[];
  readonly expect: readonly Expectation[];
  /** Default both. */
  readonly runsIn?: readonly RunnerName[];
}

export type RunnerName = "namespaces" | "simulated";

export interface FleetPlan {
  /** Separate networks that join all hosts; network 1 is 10.77.1.0/24. */
  readonly networks: number;
  /** The longest time between two heartbeats of a server, after which it is hung. Default 1,000. */
  readonly maxPeriodMs?: number;
  readonly hosts: readonly HostPlan[];
}

/**
 * One machine and the programs on it. Each machine has one node of the roll that its programs talk to: the directory, a relay, or
 * (usually) an agent; and, usually, one observer, which writes down what it is told of the roll.
 */
export interface HostPlan {
  readonly name: string;
  readonly node: "directory" | "relay" | "agent";
  /** What the agent calls its host; default the machine's name. */
  readonly as?: string;
  /** Hosts that its node tries as parents, in order. Default: see `parentsOf`. */
  readonly parents?: readonly string[];
  /** Keys in the table `metadata`; each is a server process of that name. */
  readonly servers?: readonly string[];
  /** Keys of servers that one process here serves, each with its copy of the state of its instance: `members HOST2`. */
  readonly members?: readonly string[];
  /** Whether callers run here. The load is shared among all callers. */
  readonly caller?: boolean;
  /** Default true. In a crowd a few observers tell what all would, and leave the machine to the others. */
  readonly observed?: boolean;
  /** The machine is there, its programs are started by a step. */
  readonly idle?: boolean;
}

export interface LoadPlan {
  /** What callers ask for. */
  readonly service: string;
  /** All callers together, evenly spread, whether or not earlier requests are answered. */
  readonly requestsPerSecond: number;
  readonly serviceTimeMs: number;
  readonly deadlineMs: number;
  /**
   * `request` (default): by `fleet.request`. `once`: looked up by `find` and asked once over HTTP, never again: what a fault does to
   * callers without Muster's requests, and so the proof that it does something.
   */
  readonly asking?: "request" | "once";
  /** Instead: operations on the state of all ordering groups of the fleet, written down for the checkers of histories. */
  readonly work?: WorkPlan;
  /** Every answer is written down, for `tail`. */
  readonly keepsAnswers?: boolean;
}

export interface WorkPlan {
  readonly keysPerGroup: number;
  /** Of the load. They add up to 1. */
  readonly shares: Readonly<Record<WorkKind, number>>;
}

/** Programs are called "directory", "relay HOST2", "agent HOST3", "observer HOST3", "caller HOST6", "members HOST2", servers by their keys. */
export type ProcessName = string;

export type Direction = "both" | "out" | "in";

/** What a cut severs, seen from `host`. Without a network: all; without a peer: all others. */
export interface Cut {
  readonly host: string;
  readonly network?: number;
  readonly direction?: Direction;
  readonly peer?: string;
}

/** Where packets are lost at random. */
export interface Loss {
  /** To and from this host; `everyHost`: once on each path of the network. */
  readonly host: string;
  readonly network: number;
  readonly percent: number;
  /** On virtual time connections know no loss, whatever stands here. Default all packets. */
  readonly of?: "datagrams";
}

export const everyHost = "*";

/** What a strike is aimed at: the server that synchronises this service instance's ordering group at that moment, or the one on this host. */
export type Aim = { readonly leaderOf: string } | { readonly membersOn: string };

/**
 * A server process of ordering groups is killed, stopped, or its host is cut off from everything, and `forMs` later it is started, goes on, is mended.
 * If what it is aimed at is struck already, the next process that keeps the same state is hit.
 */
export interface Strike {
  readonly do: "strike";
  readonly aim: Aim;
  readonly how: "kill" | "stop" | "cut";
  readonly forMs: number;
  /** Waits, and everything after it, until every group has so many members, at most 30 s: how fast programs start is the machine's affair. */
  readonly membersMin: number;
}

export type Action =
  | Strike
  /** SIGKILL. */
  | { readonly do: "kill"; readonly process: ProcessName }
  /** SIGSTOP and SIGCONT. */
  | { readonly do: "stop"; readonly process: ProcessName }
  | { readonly do: "continue"; readonly process: ProcessName }
  | { readonly do: "start"; readonly process: ProcessName }
  /** SIGKILL, and a new process at once. */
  | { readonly do: "restart"; readonly process: ProcessName }
  /** The server's main thread computes and never comes back; its other threads live. */
  | { readonly do: "loop"; readonly process: ProcessName }
  /** Nothing passes any more; nobody is told. Mended with the same words. */
  | { readonly do: "cut"; readonly cut: Cut }
  | { readonly do: "mend"; readonly cut: Cut }
  /** The cable is pulled: the host's interface loses its carrier. */
  | { readonly do: "unplug"; readonly host: string; readonly network: number }
  | { readonly do: "plug"; readonly host: string; readonly network: number }
  /** The switch of a network breaks in two: this group of hosts, and the rest. */
  | { readonly do: "split"; readonly network: number; readonly group: readonly string[] }
  | { readonly do: "join"; readonly network: number }
  /** Packets are lost at random; 0 ends it. */
  | ({ readonly do: "lossy" } & Loss)
  /** One-way delay of all packets to and from a host on a network; 0 ends it. */
  | { readonly do: "slow"; readonly host: string; readonly network: number; readonly delayMs: number }
  /** Connections from this host to any server are refused by its own system, as by a wrong firewall rule; all else works. */
  | { readonly do: "refuse"; readonly host: string }
  | { readonly do: "accept"; readonly host: string }
  /** The wall clock of a host jumps, for all its programs, those that are started later too. */
  | { readonly do: "jump"; readonly host: string; readonly byMs: number }
  /** The host gets another address on that network: the last number of 10.77.NETWORK.x, above 100. Its agent has to be restarted. */
  | { readonly do: "readdress"; readonly host: string; readonly network: number; readonly last: number };

/** Something that a node can be told. */
export type Fact = RowFact | HearingFact;

/** Something of the roll. Everything that is named must hold. */
export interface RowFact {
  readonly table: string;
  /** "*" is any. */
  readonly key: string;
  /** Of an entry that is there. */
  readonly valid?: boolean;
  /** Of a row of `states`. */
  readonly state?: StateName;
  /** Stands in the value's JSON. */
  readonly value?: string;
  readonly deleted?: boolean;
}

/** That it hears the directory again, or no longer. */
export interface HearingFact {
  readonly hears: boolean;
}

/** "After this step every host's observer is told, in so many milliseconds." */
export interface Knowledge {
  /** Any of these will do. */
  readonly facts: readonly Fact[];
  readonly withinMs: number;
  /** Hosts that cannot know. */
  readonly except?: readonly string[];
}

export interface Step {
  readonly atMs: number;
  readonly action: Action;
  readonly known?: Knowledge;
}

export type Expectation =
  /** Requests without an answer, of all callers together. `hosts` limits it to callers there. */
  | { readonly expect: "failed"; readonly max: number; readonly hosts?: readonly string[] }
  /** The slowest answer that any caller got. */
  | { readonly expect: "slowest"; readonly maxMs: number }
  /** The longest time in which a caller that waited for answers of this kind from one ordering group got none. */
  | { readonly expect: "gap"; readonly work: WorkKind; readonly maxMs: number }
  /** The slowest thousandth of what was asked in one part of a round, against that of another part. */
  | { readonly expect: "tail"; readonly of: Span; readonly than: Span; readonly timesMax: number }
  /** No observer outside `except` is without the directory for longer than this at a time. */
  | { readonly expect: "hears"; readonly maxMs: number; readonly except?: readonly string[] }
  /** No observer outside `except` is told this more often than `timesMax` in a round (default never). */
  | {
      readonly expect: "rarely";
      readonly fact: Fact;
      readonly why: string;
      readonly timesMax?: number;
      readonly except?: readonly string[];
    }
  /** A program writes a line with these words. */
  | { readonly expect: "says"; readonly process: ProcessName; readonly words: string; readonly runsIn?: readonly RunnerName[] };

/** A part of each round. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export const kill = (process: ProcessName): Action => ({ do: "kill", process });
export const stop = (process: ProcessName): Action => ({ do: "stop", process });
export const resume = (process: ProcessName): Action => ({ do: "continue", process });
export const start = (process: ProcessName): Action => ({ do: "start", process });
export const restart = (process: ProcessName): Action => ({ do: "restart", process });
export const loop = (process: ProcessName): Action => ({ do: "loop", process });
export const strike = (aim: Aim, how: Strike["how"], forMs: number, membersMin = 1): Action => ({
  do: "strike",
  aim,
  how,
  forMs,
  membersMin,
});
export const cut = (host: string, options: Omit<Cut, "host"> = {}): Action => ({ do: "cut", cut: { host, ...options } });
export const mend = (host: string, options: Omit<Cut, "host"> = {}): Action => ({ do: "mend", cut: { host, ...options } });

export function at(atMs: number, action: Action, known?: Knowledge): Step {
  return { atMs, action, ...(known === undefined ? {} : { known }) };
}

/** A route that comes and goes: cut at `fromMs` and mended half a period later, `times` times. */
export function flap(host: string, options: Omit<Cut, "host">, periodMs: number, times: number, fromMs: number): readonly Step[] {
  return Array.from({ length: times }, (_, index) => [
    at(fromMs + index * periodMs, cut(host, options)),
    at(fromMs + index * periodMs + periodMs / 2, mend(host, options)),
  ]).flat();
}

/** A server is told invalid, or is avoided for one of these states. */
export function known(server: string, withinMs: number, except: readonly string[] = []): Knowledge {
  return {
    facts: [
      { table: "metadata", key: server, valid: false },
      { table: "metadata", key: server, deleted: true },
    ],
    withinMs,
    except,
  };
}

/** Its host hears the directory, or does not any more; all others are not asked. */
export function hearing(hosts: readonly string[], { hosts: all }: FleetPlan, hears: boolean, withinMs: number): Knowledge {
  return { facts: [{ hears }], withinMs, except: all.map(({ name }) => name).filter((name) => !hosts.includes(name)) };
}

/** Route `number` of a host is told valid or not. */
export function routeKnown(host: string, number: number, valid: boolean, withinMs: number, except: readonly string[] = []): Knowledge {
  return { facts: [{ table: "host-route", key: `${host}.${number}`, valid }], withinMs, except };
}

/** No request fails. */
export const noneFails: Expectation = { expect: "failed", max: 0 };

/** Nobody is ever told that of anything. */
export function never(fact: Fact, why: string): Expectation {
  return { expect: "rarely", fact, why };
}

export const noServerAccused = never({ table: "metadata", key: "*", valid: false }, "all servers live");
export const noHostAccused = never({ table: "hosts", key: "*", valid: false }, "all hosts live");

/** No first or second route of these hosts is ever called cut. */
export function noRouteAccused(hosts: readonly string[]): readonly Expectation[] {
  return hosts.flatMap((host) =>
    [0, 1].map((number) => never({ table: "host-route", key: `${host}.${number}`, valid: false }, `${host} is reached on all networks`)),
  );
}

/** The nth of these, over and over: so that every round hits another. */
export function turn<Item>(items: readonly [Item, ...Item[]], round: number): Item {
  return items[round % items.length] ?? items[0];
}

/** `httpPortOffset`: where a server answers those who ask once, from its port on the roll. */
export const serverAttributes = { table: "metadata", firstPort: 1872, httpPortOffset: 1000, type: "read", maxPeriodMs: 1000 } as const;

/** How long a run of it lasts when nobody says otherwise. */
export function usualMs({ roundMs, simulatedMs = roundMs, namespacesMs = roundMs }: Scenario, runner: RunnerName): number {
  return runner === "simulated" ? simulatedMs : namespacesMs;
}

/** Those on which somebody writes down what is told, from the beginning on. */
export function observedHosts({ hosts }: FleetPlan): readonly string[] {
  return hosts.filter(({ idle, observed }) => idle !== true && observed !== false).map(({ name }) => name);
}

/** The programs of one host, in the order in which they are started. */
export function programsOf(host: HostPlan): readonly ProcessName[] {
  const node = nodeOf(host);
  const observers = host.observed === false ? [] : [`observer ${host.name}`];
  return [node, ...serverProcessesOf(host), ...observers, ...(host.caller === true ? [`caller ${host.name}`] : [])];
}

/** The processes of one host that serve. */
export function serverProcessesOf({ name, servers = [], members = [] }: HostPlan): readonly ProcessName[] {
  return [...servers, ...(members.length === 0 ? [] : [membersProcess(name)])];
}

export function membersProcess(host: string): ProcessName {
  return `members ${host}`;
}

/** All servers of ordering groups, with the service instances whose state they keep. */
export function membersOf({ hosts }: FleetPlan): readonly { readonly group: string; readonly server: string; readonly host: string }[] {
  return hosts.flatMap(({ name, members = [] }) =>
    members.map((server) => ({ group: instanceOfServer(server) ?? "", server, host: name })),
  );
}

/** The node that a host's programs talk to. */
export function nodeOf({ name, node }: HostPlan): ProcessName {
  return node === "directory" ? "directory" : `${node} ${name}`;
}

/** Hosts whose nodes take children, in the order in which this host tries them: relays first, each host with another first. */
export function parentsOf({ hosts }: FleetPlan, host: HostPlan): readonly string[] {
  if (host.parents !== undefined) return host.parents;
  const directory = hosts.filter(({ node }) => node === "directory");
  const relays = host.node === "agent" ? hosts.filter(({ node }) => node === "relay") : [];
  const first = relays.length === 0 ? 0 : hosts.indexOf(host) % relays.length;
  return [...relays.slice(first), ...relays.slice(0, first), ...directory].map(({ name }) => name);
}

/** The servers of each service instance that keeps its state in an ordering group. */
export function groupsOf(members: readonly string[]): ReadonlyMap<string, readonly string[]> {
  return Map.groupBy(members, (server) => instanceOfServer(server) ?? "");
}

/** A host's address when it has never been given another. */
export function addressOf(fleet: FleetPlan, host: string, network: number): string {
  return `10.77.${network}.${fleet.hosts.findIndex(({ name }) => name === host) + 1}`;
}

/** Ports of server processes are counted through the fleet. */
export function portOf(fleet: FleetPlan, server: string): number {
  return serverAttributes.firstPort + fleet.hosts.flatMap(serverProcessesOf).indexOf(server);
}

/** The steps of a whole run, with times from its beginning. At least one round. */
export function plannedSteps(scenario: Scenario, durationMs: number): readonly Step[] {
  const rounds = Math.max(1, Math.floor(durationMs / scenario.roundMs));
  return Array.from({ length: rounds }, (_, round) =>
    scenario.steps(round).map((step) => ({ ...step, atMs: step.atMs + round * scenario.roundMs })),
  ).flat();
}
