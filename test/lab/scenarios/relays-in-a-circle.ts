import {
  type FleetPlan,
  type Scenario,
  at,
  cut,
  hearing,
  mend,
  noHostAccused,
  noRouteAccused,
  noServerAccused,
  noneFails,
} from "../scenario.ts";
import { reads } from "./fleets.ts";

/** Each relay would follow the other, which it tries before the directory; two agents have no other parents than these. */
const fleet: FleetPlan = {
  networks: 2,
  hosts: [
    { name: "HOST1", node: "directory" },
    { name: "HOST2", node: "relay", parents: ["HOST3", "HOST1"] },
    { name: "HOST3", node: "relay", parents: ["HOST2", "HOST1"] },
    { name: "HOST4", node: "agent", servers: ["MDS.1.1", "MDS.2.1"], parents: ["HOST2", "HOST3"] },
    { name: "HOST5", node: "agent", servers: ["MDS.3.1"], parents: ["HOST3", "HOST2"] },
    { name: "HOST6", node: "agent", caller: true },
  ],
};

const relays = ["HOST2", "HOST3"];
const below = [...relays, "HOST4", "HOST5"];
const top = { peer: "HOST1" } as const;

export const relaysInACircle: Scenario = {
  name: "relays-in-a-circle",
  about:
    "Two relays list each other and lose the directory: neither takes the other for it, nobody is accused, and afterwards all hear it again.",
  fleet,
  load: reads,
  roundMs: 12_000,
  steps: () => [
    at(2000, cut("HOST2", top)),
    at(2000, cut("HOST3", top), hearing(below, fleet, false, 3000)),
    at(7500, mend("HOST2", top)),
    at(7500, mend("HOST3", top), hearing(below, fleet, true, 4000)),
  ],
  expect: [
    noneFails,
    noHostAccused,
    noServerAccused,
    ...noRouteAccused(["HOST4", "HOST5", "HOST6"]),
    {
      expect: "rarely",
      fact: { hears: true },
      why: "who follows a circle never takes it for the directory",
      timesMax: 1,
    },
    { expect: "hears", maxMs: 3000, except: below },
  ],
};
