import { type FleetPlan, type Scenario, at, everyHost, never, noHostAccused, noServerAccused, noneFails } from "../scenario.ts";
import { reads } from "./fleets.ts";

/** The fewest hosts on which all rules hold: enough to be asked about a silent route, and for the guard of mass failures. */
const fourHosts: FleetPlan = {
  networks: 2,
  hosts: [
    { name: "HOST1", node: "directory" },
    { name: "HOST2", node: "agent", servers: ["MDS.1.1"] },
    { name: "HOST3", node: "agent", servers: ["MDS.2.1"] },
    { name: "HOST4", node: "agent", caller: true },
  ],
};

const loss = { do: "lossy", host: everyHost, percent: 10, of: "datagrams" } as const;

export const lossyProbes: Scenario = {
  name: "lossy-probes",
  about: "Every path of both networks loses 10 % of its datagrams, and so of the probes, from the beginning to the end: nobody is accused.",
  fleet: fourHosts,
  load: { ...reads, requestsPerSecond: 10 },
  roundMs: 10_000,
  // The loss ends with the run.
  simulatedMs: 600_000,
  steps: (round) => (round === 0 ? [at(0, { ...loss, network: 1 }), at(0, { ...loss, network: 2 })] : []),
  expect: [
    noneFails,
    noHostAccused,
    noServerAccused,
    never({ table: "host-route", key: "*", valid: false }, "all routes work"),
    { expect: "hears", maxMs: 0 },
  ],
};
