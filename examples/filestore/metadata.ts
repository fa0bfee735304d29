import { MetadataStore } from "./metadata-store.ts";
import { metadataHandler } from "./metadata-server.ts";
import { runServer } from "./server-process.ts";

await runServer({
  table: "metadata",
  idleMs: 120_000,
  start: async ({ key, folder, fleet }) => {
    const store = new MetadataStore(folder.path);
    return { handler: metadataHandler(store, fleet, key), close: () => store.close() };
  },
});
