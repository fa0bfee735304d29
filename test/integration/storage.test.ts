import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LmdbStore } from "../../src/storage/index.ts";
import { storeConformance } from "../../src/testing/store-conformance.ts";

storeConformance("LMDB", () => {
  const root = mkdtempSync(join(tmpdir(), "muster-storage-"));
  return Promise.resolve({
    store: () => new LmdbStore({ directory: join(root, "roll") }),
    close: () => Promise.resolve(rmSync(root, { recursive: true })),
  });
});
