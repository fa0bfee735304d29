import { FleetHandle, QueryAnswers } from "../src/fleet/index.ts";
import { SystemClock, SystemRandom, silentTelemetry } from "../src/kernel/index.ts";
import { type NodeOptions, type NodePorts, RollNode } from "../src/roll/index.ts";
import { TcpTransport, formatAddress, parseAddress } from "../src/transport/index.ts";

const clock = new SystemClock();

/** A node with real sockets that logs nothing and answers the queries of its children. */
export function nodeOf(options: NodeOptions, ports: Partial<NodePorts> = {}): FleetHandle {
  const answers = new QueryAnswers(() => handle);
  const handle: FleetHandle = new FleetHandle(
    new RollNode(options, {
      clock,
      random: new SystemRandom(),
      transport: new TcpTransport(),
      telemetry: silentTelemetry,
      queryBytes: (verb, args) => answers.answer(verb, args),
      ...ports,
    }),
    silentTelemetry,
  );
  return handle;
}

/** Starts a directory with this store; it founds its fleet at once. */
export async function directoryOf(store: NonNullable<NodePorts["store"]>): Promise<FleetHandle> {
  const directory = nodeOf({ role: "directory", name: "directory", periods: { foundingMs: 1 } }, { store });
  await directory.node.start();
  await directory.node.ready();
  return directory;
}

/** Where a node takes links: `address` is `H:P` or the path of a socket. */
export async function listenAt(handle: FleetHandle, address = "127.0.0.1:0"): Promise<string> {
  return formatAddress((await handle.node.listen(parseAddress(address))).address);
}

/** A client of the node at `place`, once its replica is whole. */
export async function clientOf(place: string, options: Partial<NodeOptions> = {}): Promise<FleetHandle> {
  const client = nodeOf({ role: "client", name: "bench", parents: [parseAddress(place)], ...options });
  await client.node.start();
  await client.node.ready();
  return client;
}
