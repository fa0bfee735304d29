import type { BenchContext } from "../bench.ts";

/** What is done, some time into the load. */
export type Fault =
  /** One of the servers gets SIGKILL. */
  | "killed"
  /** One of the servers gets SIGSTOP. */
  | "hung"
  /** What tells callers of servers, or stands between them, gets SIGKILL and is started again. */
  | "directory"
  /** A relay of the directory, to which all hosts are attached, gets SIGKILL. */
  | "relay";

export const serverCount = 3;
export const serviceTimeMs = 20;
export const deadlineMs = 2000;

/** What a contender's child processes need to know; crosses to them as JSON. */
export interface Place {
  /** The address that servers and the caller listen on. */
  readonly listen: string;
  /** H:P of each server. */
  readonly servers: readonly string[];
  /** H:P for what the caller, or something on its host, listens on. */
  readonly caller: string;
  /** Whatever else, in the contender's own order. */
  readonly control: readonly string[];
}

/** What a contender has running besides its servers and its caller. */
export interface Arena {
  readonly place: Place;
  /** What it takes to do faults other than to servers; one that is not there means nothing to this contender. */
  readonly faults: Partial<Record<Fault, () => Promise<void>>>;
  close(): Promise<void>;
}

/** A program that a contender needs on one host when each server and the caller have a host of their own. */
export interface HostProgram {
  readonly host: "directory" | "caller";
  readonly command: readonly string[];
}

/** Hosts on two networks, as a contender sees them. */
export interface Hosts {
  /** An empty folder. */
  readonly folder: string;
  /** Of the directory's host, of each server's host, and of the caller's, on each network. */
  readonly directory: readonly string[];
  readonly servers: readonly (readonly string[])[];
  readonly caller: readonly string[];
}

/** Resolves with an answer or rejects, at the latest after the deadline. */
export type Ask = () => Promise<unknown>;

/** A way to call one of several servers of a service, with what it does when one fails. */
export interface Contender {
  readonly name: string;
  /** False for ours. */
  readonly peer: boolean;
  /** Debian packages that it needs. */
  readonly debian: readonly string[];
  /** Starts what it needs on this host. Runs in the bench's own process. */
  arrange(context: BenchContext, library: string): Promise<Arena>;
  /** The same on hosts of their own, for cut networks; not there when the contender sits that out. */
  settle?(hosts: Hosts): { readonly place: Place; readonly programs: readonly HostProgram[] };
  /** Serves until the process ends. Runs in a process of its own, once for each server. */
  serve(place: Place, index: number): Promise<void>;
  /** Resolves when all servers can be called. Runs in a process of its own. `lost` says that the caller was told of a lost server. */
  call(place: Place, lost: () => void): Promise<Ask>;
}

/** A contender that needs nothing but its servers and its caller. */
export async function arrangeAlone(context: BenchContext): Promise<Arena> {
  return { place: await loopbackPlace(context, []), faults: {}, close: () => Promise.resolve() };
}

/** Everything on loopback, with ports of their own. */
export async function loopbackPlace(context: BenchContext, control: readonly string[]): Promise<Place> {
  const ports = new Set<number>();
  while (ports.size <= serverCount) ports.add(await context.port());
  const [caller = "", ...servers] = [...ports].map((port) => `127.0.0.1:${port}`);
  return { listen: "127.0.0.1", servers, caller, control };
}

const serverPort = 8080;
const callerPort = 8081;

/** A host for each; callers are given the addresses on the first network. */
export function hostsPlace({ servers, caller }: Hosts, control: readonly string[]): Place {
  const first = (addresses: readonly string[], port: number) => `${addresses[0] ?? ""}:${port}`;
  return {
    listen: "0.0.0.0",
    servers: servers.map((addresses) => first(addresses, serverPort)),
    caller: first(caller, callerPort),
    control,
  };
}

export function serverOf({ servers }: Place, index: number): string {
  return itemOf(servers, index);
}

export function controlOf({ control }: Place, index: number): string {
  return itemOf(control, index);
}

export function portOf(place: string): number {
  return Number(place.slice(place.lastIndexOf(":") + 1));
}

function itemOf(items: readonly string[], index: number): string {
  const item = items[index];
  if (item === undefined) throw new Error(`the place has nothing numbered ${index}`);
  return item;
}
