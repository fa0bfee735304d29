import { storeConformance } from "../testing/store-conformance.ts";
import { MemoryStore } from "./memory-store.ts";

storeConformance("memory", () => {
  const store = new MemoryStore();
  return Promise.resolve({
    // The object is the place: its contents outlive close().
    store: () => store,
    close: () => Promise.resolve(),
  });
});
