import { type Scenario, at, cut, hearing, mend, noHostAccused, noRouteAccused, noServerAccused, noneFails, turn } from "../scenario.ts";
import { reads, sixHostsWithRelays } from "./fleets.ts";

const children = ["HOST4", "HOST5", "HOST6"];
const top = { peer: "HOST1" } as const;

export const relayCutFromTheTop: Scenario = {
  name: "relay-cut-from-the-top",
  about: "A relay lives and reaches its children, but not the directory: they go on with another parent, and nobody is accused.",
  fleet: sixHostsWithRelays,
  load: reads,
  roundMs: 12_000,
  steps: (round) => {
    const relay = turn(["HOST3", "HOST2"], round);
    return [
      at(2000, cut(relay, top), hearing([relay], sixHostsWithRelays, false, 2500)),
      at(9000, mend(relay, top), hearing([relay], sixHostsWithRelays, true, 2500)),
    ];
  },
  expect: [
    noneFails,
    noHostAccused,
    noServerAccused,
    ...noRouteAccused(children),
    { expect: "hears", maxMs: 3000, except: ["HOST2", "HOST3"] },
  ],
};
