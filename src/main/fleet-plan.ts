import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { MusterError } from "../kernel/index.ts";
import { type ReservedPort, formatAddress, reservePort } from "./fleet-addresses.ts";
import type { FleetFile, FleetServer } from "./fleet-file.ts";
import type { ProcessSpec } from "./fleet-process.ts";

/** A process with the ports that are kept for it until it starts. */
export interface PlannedProcess {
  readonly spec: ProcessSpec;
  readonly ports: readonly ReservedPort[];
  /** Where programs of its host reach it. */
  readonly socket?: string;
  /** Where people reach it. */
  readonly url?: string;
  /** Said when the fleet serves: a wanted port was taken. */
  readonly note?: string;
}

export interface FleetPlan {
  readonly directory: PlannedProcess;
  readonly agents: readonly PlannedProcess[];
  readonly servers: readonly PlannedProcess[];
  /** The socket of the agent whose host the first reachable server is on: what people are told to use. */
  readonly agentSocket: string;
  readonly directorySocket: string;
}

export interface PlanOptions {
  readonly file: FleetFile;
  readonly filePath: string;
  readonly hosts: ReadonlyMap<string, readonly string[]>;
  readonly dataFolder: string;
  readonly node: string;
  readonly musterFile: string;
  /** Where the first server with a web address listens, instead of what the file says: `H:P`. */
  readonly http?: string;
}

/** Unix socket paths are short (104 bytes on macOS, 108 on Linux); in a deep folder the sockets move to the temporary one. */
const socketPathBytesMax = 100;

function socketFolder(dataFolder: string, names: Iterable<string>): string {
  const longest = Math.max(...Array.from(names, (name) => Buffer.byteLength(join(dataFolder, `${name}.sock`))));
  if (longest <= socketPathBytesMax) return dataFolder;
  return join(tmpdir(), `muster-${createHash("sha256").update(dataFolder).digest("hex").slice(0, 12)}`);
}

/** Decides on every process: its command line, addresses, ports, folders. Reserves the ports. */
export async function planFleet(options: PlanOptions): Promise<FleetPlan> {
  const { file, hosts, dataFolder, node, musterFile } = options;
  const sockets = socketFolder(dataFolder, ["directory", ...hosts.keys()]);
  const socketOf = (name: string) => join(sockets, `${name}.sock`);
  const routesOf = (host: string): readonly string[] => hosts.get(host) ?? [];
  const routeFlags = (host: string) => routesOf(host).flatMap((route) => ["--route", route]);
  const firstRoute = (host: string) => routesOf(host)[0] ?? "127.0.0.1";
  const logOf = (name: string) => join(dataFolder, "log", `${name}.log`);

  const home = file.directory.host;
  const directoryPort = await reservePort([firstRoute(home)], file.directory.port);
  const directoryHttp = await reservePort([firstRoute(home)], 7551);
  const directoryAddress = formatAddress(firstRoute(home), directoryPort.port);
  const directory: PlannedProcess = {
    spec: {
      kind: "directory",
      name: "directory",
      host: home,
      command: [
        ...[node, musterFile, "directory", "--data", join(dataFolder, "directory"), "--listen", directoryAddress],
        ...["--http", formatAddress(firstRoute(home), directoryHttp.port), "--socket", socketOf("directory")],
        ...["--host", home, ...routeFlags(home)],
      ],
      env: {},
      logFile: logOf("directory"),
      http: `http://${formatAddress(firstRoute(home), directoryHttp.port)}`,
    },
    ports: [directoryPort, directoryHttp],
  };

  const agents: PlannedProcess[] = [];
  for (const host of hosts.keys()) {
    if (host === home) continue;
    const http = await reservePort([firstRoute(host)], 7551);
    agents.push({
      spec: {
        kind: "agent",
        name: `agent ${host}`,
        host,
        command: [
          ...[node, musterFile, "agent", "--parent", directoryAddress, "--host", host, ...routeFlags(host)],
          ...["--socket", socketOf(host), "--http", formatAddress(firstRoute(host), http.port)],
        ],
        env: {},
        logFile: logOf(host),
        http: `http://${formatAddress(firstRoute(host), http.port)}`,
      },
      ports: [http],
      socket: socketOf(host),
    });
  }

  const servers: PlannedProcess[] = [];
  const firstDoor = file.servers.find(({ url }) => url !== undefined);
  for (const server of file.servers) {
    const door = server === firstDoor && options.http !== undefined ? splitAddress(options.http) : undefined;
    const addresses =
      door === undefined ? routesOf(server.host) : [door.address, ...routesOf(server.host).filter((one) => one !== door.address)];
    servers.push(await planServer({ ...server, port: door?.port ?? server.port }, options, addresses, socketOf, logOf(server.key)));
  }
  const agentHost = servers.find(({ url }) => url !== undefined)?.spec.host ?? agents[0]?.spec.host ?? home;
  const directorySocket = socketOf("directory");
  return { directory, agents, servers, directorySocket, agentSocket: agentHost === home ? directorySocket : socketOf(agentHost) };
}

function splitAddress(text: string): { address: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535)
    throw new MusterError("main/bad-address", `"${text}" is not an address`, { next: "write ADDRESS:PORT, e.g. 127.0.0.1:8080" });
  return { address: match[1] ?? match[2] ?? "", port };
}

async function planServer(
  server: FleetServer,
  { dataFolder, filePath, node, musterFile, file }: PlanOptions,
  addresses: readonly string[],
  socketOf: (name: string) => string,
  logFile: string,
): Promise<PlannedProcess> {
  const port = await reservePort(addresses, server.port);
  const values: Readonly<Record<string, string>> = {
    here: dirname(resolve(filePath)),
    key: server.key,
    host: server.host,
    address: formatAddress(addresses[0] ?? "", 0).replace(/:0$/, ""),
    port: String(port.port),
    data: join(dataFolder, server.key),
    listen: addresses.map((address) => formatAddress(address, port.port)).join(","),
  };
  const filled = (text: string) => text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
  const [program, ...words] = server.command;
  const socket = socketOf(server.host === file.directory.host ? "directory" : server.host);
  const url = server.url === undefined ? undefined : filled(server.url);
  return {
    spec: {
      kind: "server",
      name: server.key,
      host: server.host,
      table: server.table,
      command: [node, ...(program === "muster" ? [musterFile] : []), ...words.map(filled)],
      env: { MUSTER_AGENT: socket, ...Object.fromEntries(Array.from(server.env, ([name, value]) => [name, filled(value)])) },
      logFile,
      ...(url === undefined ? {} : { http: url }),
    },
    ports: [port],
    ...(url === undefined ? {} : { url }),
    ...(port.replaced ? { note: `port ${server.port} is taken on ${server.host}: ${server.key} uses ${port.port}` } : {}),
  };
}
