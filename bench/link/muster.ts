import { SystemClock } from "../../src/kernel/index.ts";
import { type Link, openLink } from "../../src/link/index.ts";
import { type Connection, TcpTransport } from "../../src/transport/index.ts";

const clock = new SystemClock();
const versions = { min: 1, max: 1 };

function open(connection: Connection): Promise<Link> {
  return openLink({
    connection,
    clock,
    versions,
    hello: { name: "bench" },
    accept: () => ({ call: (_method, body) => body, message: () => {}, close: () => {} }),
  });
}

/** Echoes every call on every link. */
export async function serveLink(port: number): Promise<void> {
  await new TcpTransport().listen({ kind: "tcp", host: "127.0.0.1", port }, (connection) => {
    open(connection).catch((error: unknown) => console.error(error));
  });
}

export async function connectLink(port: number): Promise<Link> {
  return open(await new TcpTransport().connect({ kind: "tcp", host: "127.0.0.1", port }));
}
