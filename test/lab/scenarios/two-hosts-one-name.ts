import { type FleetPlan, type Scenario, at, kill, never, noHostAccused, noServerAccused, noneFails, start } from "../scenario.ts";
import { reads, sixHosts } from "./fleets.ts";

const withDouble: FleetPlan = {
  networks: 2,
  hosts: [...sixHosts.hosts, { name: "HOST7", node: "agent", as: "HOST3", idle: true }],
};

export const twoHostsOneName: Scenario = {
  name: "two-hosts-one-name",
  about: "A second machine calls itself HOST3: it is refused and says so, and the first keeps its name, its routes and its server.",
  fleet: withDouble,
  load: reads,
  roundMs: 8000,
  steps: () => [at(2000, start("agent HOST7")), at(6000, kill("agent HOST7"))],
  expect: [
    noneFails,
    noHostAccused,
    noServerAccused,
    never({ table: "host-route", key: "*", value: "10.77.1.7" }, "the second claimant gets no route"),
    { expect: "says", process: "agent HOST7", words: "roll/host-name-taken", runsIn: ["namespaces"] },
  ],
};
