import { type Server, createServer } from "node:net";
import { MusterError, errorOf } from "../kernel/index.ts";

/** A port that is kept for a process that is about to start: nobody else gets it until it is handed over. */
export interface ReservedPort {
  readonly port: number;
  /** True when the port that was asked for was taken. */
  readonly replaced: boolean;
  /** Lets go of it; the process that it is for binds it next. Idempotent. */
  handOver(): Promise<void>;
}

export type Bind = (address: string, port: number) => Promise<Server>;

const attemptsMax = 20;

function systemCode(thrown: unknown): string {
  return thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
}

export function bindPort(address: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    // Whoever calls here is early: a connection that stayed open would keep the port from being handed over.
    const server = createServer((socket) => socket.destroy());
    server.once("error", reject);
    server.listen({ port, host: address, exclusive: true }, () => resolve(server));
  });
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function release(servers: readonly Server[]): Promise<unknown> {
  return Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
}

/** The same port on every address, or undefined when one of them refuses it. */
async function bindAll(addresses: readonly string[], wanted: number, bind: Bind): Promise<{ port: number; servers: Server[] } | undefined> {
  const servers: Server[] = [];
  let port = wanted;
  try {
    for (const address of addresses) {
      const server = await bind(address, port);
      servers.push(server);
      port = portOf(server);
    }
    return { port, servers };
  } catch (thrown) {
    await release(servers);
    if (["EADDRINUSE", "EACCES"].includes(systemCode(thrown))) return undefined;
    throw thrown;
  }
}

/** Finds a port that is free on all of a host's addresses: the wanted one, else any. */
export async function reservePort(addresses: readonly string[], wanted: number, bind: Bind = bindPort): Promise<ReservedPort> {
  const unique = Array.from(new Set(addresses));
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const asked = attempt === 0 ? wanted : 0;
    const bound = await bindAll(unique, asked, bind);
    if (bound === undefined) continue;
    let handedOver: Promise<unknown> | undefined;
    return {
      port: bound.port,
      replaced: wanted !== 0 && bound.port !== wanted,
      handOver: async () => {
        handedOver ??= release(bound.servers);
        await handedOver;
      },
    };
  }
  throw new MusterError("main/no-port", `no port is free on all of ${unique.join(", ")}`, {
    next: "end some of the programs that listen there",
  });
}

/**
 * The addresses that the hosts really get. Where the system has one loopback address only (127.1.2.1 cannot be bound on macOS),
 * every host falls back to it, and ports tell the servers apart.
 */
export async function usableHosts(
  hosts: ReadonlyMap<string, readonly string[]>,
  bind: Bind = bindPort,
): Promise<{ readonly hosts: ReadonlyMap<string, readonly string[]>; readonly fellBack: boolean }> {
  for (const [host, routes] of hosts)
    for (const route of routes)
      try {
        await release([await bind(route, 0)]);
      } catch (thrown) {
        if (systemCode(thrown) === "EADDRNOTAVAIL" && route.startsWith("127."))
          return { hosts: new Map(Array.from(hosts.keys(), (name) => [name, ["127.0.0.1"]])), fellBack: true };
        throw new MusterError(
          "main/foreign-address",
          `${host} has the route ${route}, which is not of this machine: ${errorOf(thrown).message}`,
          {
            next: "muster up runs a whole fleet on one machine: use its own addresses",
          },
        );
      }
  return { hosts, fellBack: false };
}

/** "127.1.2.1:8080" or "[::1]:8080" */
export function formatAddress(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
