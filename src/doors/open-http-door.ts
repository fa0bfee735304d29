import { createServer } from "node:http";
import { MusterError, errorOf } from "../kernel/index.ts";
import { type Address, formatAddress, isLoopback } from "../transport/index.ts";
import type { HttpAppOptions } from "./http-app.ts";

export interface HttpDoorOptions extends Omit<HttpAppOptions, "loopbackOnly"> {
  /** A TCP address, port 0 picks a free one, or a unix socket. */
  readonly address: Address;
}

export interface HttpDoor {
  /** Where it listens: "127.0.0.1:7551". */
  readonly address: string;
  /** Ends the watches, lets requests under way finish for a moment, and frees the port. Idempotent. */
  close(): Promise<void>;
}

const headerBytesMax = 16 * 1024;
const headersMsMax = 10_000;
const requestMsMax = 60_000;
const connectionsMax = 5000;
const closeMsMax = 500;

/**
 * Opens the HTTP door. The server library is loaded here and not before: an agent is on the roll before its door is open.
 * Rejects with `doors/address-in-use` and `doors/cannot-listen`.
 */
export async function openHttpDoor(options: HttpDoorOptions): Promise<HttpDoor> {
  const { address, clock } = options;
  const [{ httpApp }, { getRequestListener }] = await Promise.all([import("./http-app.ts"), import("@hono/node-server")]);
  const app = httpApp({ ...options, loopbackOnly: address.kind === "tcp" && isLoopback(address) });
  const listener = getRequestListener((request) => app.fetch(request), { overrideGlobalObjects: false });
  const server = createServer({ maxHeaderSize: headerBytesMax, headersTimeout: headersMsMax, requestTimeout: requestMsMax }, listener);
  server.maxConnections = connectionsMax;
  server.maxHeadersCount = 100;
  await new Promise<void>((resolve, reject) => {
    const refuse = (cause: Error) => reject(cannotListen(address, cause));
    server.once("error", refuse);
    const done = () => {
      server.off("error", refuse);
      resolve();
    };
    if (address.kind === "unix") server.listen(address.path, done);
    else server.listen({ host: address.host, port: address.port, exclusive: true }, done);
  });
  server.on("error", (error) => options.telemetry.log("error", "http-door-failed", { reason: error.message }));
  const bound = server.address();
  const where = address.kind === "tcp" && bound !== null && typeof bound === "object" ? { ...address, port: bound.port } : address;
  let closing: Promise<void> | undefined;
  return {
    address: formatAddress(where),
    close: () => {
      closing ??= new Promise((resolve) => {
        app.close();
        const patience = clock.schedule(closeMsMax, () => server.closeAllConnections());
        server.close(() => {
          patience.cancel();
          resolve();
        });
        server.closeIdleConnections();
      });
      return closing;
    },
  };
}

function cannotListen(address: Address, cause: Error): MusterError {
  const text = formatAddress(address);
  const used = "code" in cause && cause.code === "EADDRINUSE";
  const message = used
    ? `HTTP cannot be served at ${text}: the address is in use`
    : `HTTP cannot be served at ${text}: ${errorOf(cause).message}`;
  return new MusterError(used ? "doors/address-in-use" : "doors/cannot-listen", message, {
    next: "choose another address with --http H:P; port 0 picks a free one",
    cause,
  });
}
