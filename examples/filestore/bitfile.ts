import { bitfileHandler } from "./bitfile-server.ts";
import { messageOf } from "./errors.ts";
import { httpService } from "./http-service.ts";
import { MetadataClient } from "./metadata-client.ts";
import { referencesMax } from "./metadata-types.ts";
import { ObjectStore } from "./object-store.ts";
import { runServer } from "./server-process.ts";
import { Sweep } from "./sweep.ts";

await runServer(
  httpService({
    table: "bitfile",
    idleMs: 120_000,
    options: { "orphan-after-minutes": "60" },
    start: async ({ folder, fleet, log, options }) => {
      const store = await ObjectStore.open(folder.path);
      const metadata = new MetadataClient(fleet);
      const orphanAfterMs = Math.max(30, Number(options["orphan-after-minutes"]) || 60) * 60_000;
      const sweep = new Sweep(store, (objects) => metadata.references(objects), { orphanAfterMs, batch: referencesMax });
      const sweepNow = () =>
        sweep.round(performance.now()).then(
          (deleted) => (deleted > 0 ? log(`swept ${deleted} objects of unfinished uploads`) : undefined),
          (thrown: unknown) => log(`the sweep is put off: ${messageOf(thrown)}`),
        );
      void sweepNow();
      const timer = setInterval(() => void sweepNow(), orphanAfterMs / 4);
      return {
        handler: bitfileHandler(store),
        close: async () => clearInterval(timer),
      };
    },
  }),
);
