import { datagramConformance } from "./datagram-conformance.ts";
import { SimNetwork, SimNode, SimWorld } from "./index.ts";

datagramConformance("simulated", async () => {
  const world = new SimWorld({ seed: 1 });
  const network = new SimNetwork(world, { multicast: true });
  const node = new SimNode(world, { name: "A" });
  return {
    datagrams: network.datagrams(node),
    host: "A",
    group: { host: "239.255.77.1", port: 9 },
    foreign: "10.9.9.9",
    settle: (promise) => promise,
    pass: () => world.runFor(100),
    close: async () => {},
  };
});
