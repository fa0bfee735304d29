import { rm, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { abandonLostServers } from "./abandon.ts";
import { BitfileClient } from "./bitfile-client.ts";
import { GatewayFiles } from "./gateway-files.ts";
import { gatewayHandler } from "./gateway-server.ts";
import { ServerCalls } from "./http-client.ts";
import { MetadataClient } from "./metadata-client.ts";
import { httpService } from "./http-service.ts";
import { runServer } from "./server-process.ts";
import { SpoolMemory } from "./spool.ts";

const mebibyte = 1024 * 1024;

await runServer(
  httpService({
    table: "gateway",
    idleMs: 60_000,
    start: async ({ key, folder, fleet }) => {
      const spoolFolder = join(folder.path, "spool");
      await rm(spoolFolder, { recursive: true, force: true });
      await mkdir(spoolFolder, { recursive: true });
      const calls = new ServerCalls();
      const watch = abandonLostServers(fleet, calls, ["bitfile"]);
      const metadata = new MetadataClient(fleet);
      const files = new GatewayFiles({
        metadata,
        bitfiles: new BitfileClient(fleet, calls),
        spool: { folder: spoolFolder, memory: new SpoolMemory(64 * mebibyte), memoryBytesMax: 8 * mebibyte },
        finishWithinMs: 20 * 60_000,
      });
      return {
        handler: gatewayHandler(files, metadata, fleet, key),
        close: async () => {
          watch.cancel();
          calls.close();
        },
      };
    },
  }),
);
