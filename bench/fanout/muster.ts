import { FleetHandle } from "../../src/fleet/index.ts";
import { SystemClock, SystemRandom, silentTelemetry } from "../../src/kernel/index.ts";
import { type NodeOptions, type NodePorts, RollNode } from "../../src/roll/index.ts";
import { LmdbStore, MemoryStore } from "../../src/storage/index.ts";
import { TcpTransport, formatAddress, parseAddress } from "../../src/transport/index.ts";
import { type OpenWatcher, type Source, valueOf } from "./source.ts";

const clock = new SystemClock();
const table = "watched";
const key = "svc.1";

function nodeOf(options: NodeOptions, ports: Partial<NodePorts> = {}): FleetHandle {
  const all = { clock, random: new SystemRandom(), transport: new TcpTransport(), telemetry: {...silentTelemetry, observe: (_n: string, v: number) => { (globalThis as any).commits = ((globalThis as any).commits ?? 0) + 1; (globalThis as any).commitMs = ((globalThis as any).commitMs ?? 0) + v; } }, ...ports };
  return new FleetHandle(new RollNode(options, all), silentTelemetry);
}

/** A directory in this process; it writes through its own handle, as the floor's writer is the server itself. */
export async function musterSource(folder: string | undefined): Promise<Source> {
  const store = folder === undefined ? new MemoryStore() : new LmdbStore({ directory: folder });
  const directory = nodeOf({ role: "directory", name: "directory", periods: { foundingMs: 1 } }, { store });
  await directory.node.start();
  const listener = await directory.node.listen(parseAddress("127.0.0.1:0"));
  await directory.node.ready();
  await directory.addTable(table);
  await directory.add(table, key, valueOf(0));
  return {
    place: formatAddress(listener.address),
    write: async (number) => (await directory.add(table, key, valueOf(number))).sequence,
    close: () => directory.close(),
  };
}

/** A client node with a link and a replica of its own. What it is told of is known by the revision of the entry. */
export const openMuster: OpenWatcher = async (place, told) => {
  const client = nodeOf({ role: "client", name: "watcher", parents: [parseAddress(place)] });
  await client.node.start();
  await client.node.ready();
  client.subscribe({ tables: [table] }, ({ entry }) => {
    if (entry !== undefined) told(entry.revision.sequence);
  });
};
