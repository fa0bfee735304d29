import { type Scenario, at, noHostAccused, noServerAccused, noneFails, routeKnown, turn } from "../scenario.ts";
import { reads, serverHosts, sixHosts } from "./fleets.ts";

export const pulledCable: Scenario = {
  name: "pulled-cable",
  about: "A server's host has its first cable pulled: its interface loses the carrier, so its own agent can tell at once.",
  fleet: sixHosts,
  load: reads,
  roundMs: 10_000,
  steps: (round) => {
    const host = turn(serverHosts, round);
    return [
      at(2000, { do: "unplug", host, network: 1 }, routeKnown(host, 0, false, 300)),
      at(6000, { do: "plug", host, network: 1 }, routeKnown(host, 0, true, 3000)),
    ];
  },
  expect: [noneFails, noHostAccused, noServerAccused],
  // A simulated machine has addresses, no interfaces; there it is a cut like any other.
  runsIn: ["namespaces"],
};
