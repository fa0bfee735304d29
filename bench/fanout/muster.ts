import { LmdbStore, MemoryStore } from "../../src/storage/index.ts";
import { clientOf, directoryOf, listenAt } from "../nodes.ts";
import { type OpenWatcher, type Source, valueOf } from "./source.ts";

const table = "watched";
const key = "svc.1";

/** A directory in this process; it writes through its own handle, as the floor's writer is the server itself. */
export async function musterSource(folder: string | undefined): Promise<Source> {
  const directory = await directoryOf(folder === undefined ? new MemoryStore() : new LmdbStore({ directory: folder }));
  const place = await listenAt(directory);
  await directory.addTable(table);
  await directory.add(table, key, valueOf(0));
  return {
    place,
    write: async (number) => (await directory.add(table, key, valueOf(number))).sequence,
    close: () => directory.close(),
  };
}

/** A client node with a link and a replica of its own. What it is told of is known by the revision of the entry. */
export const openMuster: OpenWatcher = async (place, told) => {
  const client = await clientOf(place);
  client.subscribe({ tables: [table] }, ({ entry }) => {
    if (entry !== undefined) told(entry.revision.sequence);
  });
};
