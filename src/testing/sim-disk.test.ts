import { SimDisk } from "./sim-disk.ts";
import { SimNode } from "./sim-node.ts";
import { SimWorld } from "./sim-world.ts";
import { storeConformance } from "./store-conformance.ts";
import type { Store } from "../storage/index.ts";

/** Lets virtual time pass whenever a commit is under way, so that the suite's plain awaits work. */
function driven(world: SimWorld, store: Store): Store {
  return {
    open: () => store.open(),
    close: () => store.close(),
    commit: async (batch) => {
      const outcome = store.commit(batch);
      outcome.catch(() => {});
      await world.runFor(10);
      await outcome;
    },
  };
}

storeConformance("simulated disk", () => {
  const world = new SimWorld({ seed: 3 });
  const disk = new SimDisk(world);
  return Promise.resolve({
    store: () => driven(world, disk.store(new SimNode(world, { name: "A" }).life)),
    close: () => Promise.resolve(),
  });
});
