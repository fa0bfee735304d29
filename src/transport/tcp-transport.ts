import { chmodSync } from "node:fs";
import { type ListenOptions, type NetConnectOpts, type Server, type Socket, connect, createServer } from "node:net";
import { errorOf } from "../kernel/index.ts";
import type { Address } from "./address.ts";
import { connectError, connectTimeout, listenError } from "./errors.ts";
import { TcpConnection } from "./tcp-connection.ts";
import type { ConnectOptions, Connection, Listener, Transport } from "./transport.ts";
import { prepareSocketFolder, removeStaleSocket } from "./unix-socket.ts";

export interface TcpTransportOptions {
  /** Connections that one listener holds at a time; what comes above is closed at once. Default 10,000. */
  readonly connectionsMax?: number;
  /** Silence after which the system asks whether the peer still exists. Default 15,000. */
  readonly keepAliveMs?: number;
}

/** Long enough for every child of a restarted parent to come back in the same instant; the system may cut it. */
const backlog = 4096;
const connectTimeoutMsDefault = 3000;

/** With a mark this low the socket tells of every backlog that has gone, however small; it is no limit. */
const highWaterMark = 1;

/** TCP over IPv4 and IPv6, and unix sockets. Nagle's delay is off: the link joins what belongs together itself. */
export class TcpTransport implements Transport {
  readonly #connectionsMax: number;
  readonly #socketOptions: { readonly noDelay: true; readonly keepAlive: true; readonly keepAliveInitialDelay: number };

  constructor(options: TcpTransportOptions = {}) {
    this.#connectionsMax = options.connectionsMax ?? 10_000;
    this.#socketOptions = { noDelay: true, keepAlive: true, keepAliveInitialDelay: options.keepAliveMs ?? 15_000 };
  }

  /**
   * A unix socket is made with mode 0600, its folder (when missing) with 0700; a file left behind by a killed process is
   * replaced, one behind which somebody answers is not. Closing the listener leaves accepted connections alone.
   */
  async listen(address: Address, accept: (connection: Connection) => void): Promise<Listener> {
    if (address.kind === "tcp") return this.#bind(address, accept);
    await prepareSocketFolder(address.path);
    if (!(await removeStaleSocket(address.path))) throw listenError(address, inUse());
    return this.#bind(address, accept);
  }

  connect(address: Address, options: ConnectOptions = {}): Promise<Connection> {
    const timeoutMs = options.timeoutMs ?? connectTimeoutMsDefault;
    return new Promise((resolve, reject) => {
      const socket = connect(this.#connectOptions(address, options.localHost));
      const fail = (error: Error) => {
        clearTimeout(timer);
        socket.destroy();
        reject(error);
      };
      const onError = (error: Error) => fail(connectError(address, error));
      const timer = setTimeout(() => fail(connectTimeout(address, timeoutMs)), timeoutMs);
      // Also after a timeout: an error that comes late must not become an uncaught one.
      socket.on("error", onError);
      socket.once("connect", () => {
        clearTimeout(timer);
        socket.off("error", onError);
        resolve(new TcpConnection(socket, address.kind === "unix" ? address : remoteOf(socket, address), localOf(socket, address)));
      });
    });
  }

  #connectOptions(address: Address, localHost: string | undefined): NetConnectOpts {
    const socketOptions = { ...this.#socketOptions, writableHighWaterMark: highWaterMark };
    if (address.kind === "unix") return { path: address.path, ...socketOptions };
    const { host, port } = address;
    return { host, port, ...socketOptions, ...(localHost === undefined ? {} : { localAddress: localHost }) };
  }

  #bind(address: Address, accept: (connection: Connection) => void): Promise<Listener> {
    return new Promise((resolve, reject) => {
      const server = createServer({ highWaterMark, ...(address.kind === "tcp" ? this.#socketOptions : {}) });
      server.maxConnections = this.#connectionsMax;
      const onError = (error: Error) => reject(listenError(address, error));
      server.once("error", onError);
      server.on("connection", (socket) => {
        // A peer that is gone again before it was accepted has no address any more.
        if (address.kind === "tcp" && socket.remoteAddress === undefined) socket.destroy();
        else accept(new TcpConnection(socket, remoteOf(socket, address), localOf(socket, address)));
      });
      server.once("listening", () => {
        server.off("error", onError);
        // From now on an error means a connection that could not be accepted (no descriptors left): the listener goes on.
        server.on("error", () => {});
        resolve({ address: boundAddress(server, address), close: () => closeServer(server) });
      });
      server.listen(listenOptions(address));
      if (address.kind === "unix") protect(address.path, server, (error) => onError(error));
    });
  }
}

function listenOptions(address: Address): ListenOptions {
  return address.kind === "unix" ? { path: address.path, backlog } : { host: address.host, port: address.port, backlog };
}

/** Node binds a path before `listen` returns, so nobody gets in between the two calls. */
function protect(file: string, server: Server, fail: (error: Error) => void): void {
  if (!server.listening) return;
  try {
    chmodSync(file, 0o600);
  } catch (error) {
    server.close();
    fail(errorOf(error));
  }
}

/** Resolves once nobody new gets in; Node's own callback would wait for the accepted connections too. */
function closeServer(server: Server): Promise<void> {
  if (server.listening) server.close();
  return new Promise((resolve) => setImmediate(resolve));
}

function boundAddress(server: Server, asked: Address): Address {
  const bound = server.address();
  return asked.kind === "tcp" && typeof bound === "object" && bound !== null ? { ...asked, port: bound.port } : asked;
}

function remoteOf(socket: Socket, fallback: Address): Address {
  const { remoteAddress, remotePort } = socket;
  return fallback.kind === "tcp" && remoteAddress !== undefined && remotePort !== undefined
    ? { kind: "tcp", host: plainHost(remoteAddress), port: remotePort }
    : fallback;
}

function localOf(socket: Socket, fallback: Address): Address {
  const { localAddress, localPort } = socket;
  return fallback.kind === "tcp" && localAddress !== undefined && localPort !== undefined
    ? { kind: "tcp", host: plainHost(localAddress), port: localPort }
    : fallback;
}

/** An IPv4 peer of a listener on `::` is written as IPv4. */
function plainHost(host: string): string {
  return host.startsWith("::ffff:") && host.includes(".") ? host.slice(7) : host;
}

function inUse(): NodeJS.ErrnoException {
  return Object.assign(new Error("somebody answers there"), { code: "EADDRINUSE" });
}
