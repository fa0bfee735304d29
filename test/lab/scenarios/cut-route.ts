import { type Scenario, at, cut, mend, noHostAccused, noServerAccused, noneFails, routeKnown, turn } from "../scenario.ts";
import { reads, serverHosts, sixHosts } from "./fleets.ts";

export const cutRoute: Scenario = {
  name: "cut-route",
  about: "A server's host loses its first network: its second route becomes current everywhere within 1 s; mended, the first returns.",
  fleet: sixHosts,
  load: reads,
  roundMs: 10_000,
  steps: (round) => {
    const host = turn(serverHosts, round);
    return [
      at(2000, cut(host, { network: 1 }), routeKnown(host, 0, false, 1000)),
      at(6000, mend(host, { network: 1 }), routeKnown(host, 0, true, 3000)),
    ];
  },
  expect: [noneFails, noHostAccused, noServerAccused],
};
