import { type Scenario, at, cut, flap, mend, noHostAccused, noServerAccused, noneFails, routeKnown, turn } from "../scenario.ts";
import { reads, serverHosts, sixHosts } from "./fleets.ts";

/** Long enough to be found out each time, and to look well again each time. */
const periodMs = 1600;

export const flappingRoute: Scenario = {
  name: "flapping-route",
  about:
    "A server's host loses and finds its first network five times in 8 s: the route is given up and not trusted again until it is steady.",
  fleet: sixHosts,
  load: reads,
  roundMs: 20_000,
  steps: (round) => {
    const host = turn(serverHosts, round);
    return [
      at(2000, cut(host, { network: 1 }), routeKnown(host, 0, false, 1000)),
      at(2800, mend(host, { network: 1 })),
      ...flap(host, { network: 1 }, periodMs, 3, 3600),
      at(8400, cut(host, { network: 1 })),
      at(9200, mend(host, { network: 1 }), routeKnown(host, 0, true, 10_000)),
    ];
  },
  expect: [
    noneFails,
    noHostAccused,
    noServerAccused,
    {
      expect: "rarely",
      fact: { table: "host-route", key: "HOST2.0", valid: true },
      why: "a route that comes back is not trusted at once",
      timesMax: 3,
    },
  ],
};
