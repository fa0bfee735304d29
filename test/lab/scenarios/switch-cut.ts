import { type FleetPlan, type Scenario, at, noHostAccused } from "../scenario.ts";
import { reads } from "./fleets.ts";

/** The smaller half is large enough to be a mass failure: four hosts, more than 30 % of the fleet. */
const eightHosts: FleetPlan = {
  networks: 2,
  hosts: [
    { name: "HOST1", node: "directory" },
    { name: "HOST2", node: "agent", servers: ["MDS.1.1"] },
    { name: "HOST3", node: "agent", servers: ["MDS.2.1"] },
    { name: "HOST4", node: "agent", caller: true },
    { name: "HOST5", node: "agent", servers: ["MDS.3.1"] },
    { name: "HOST6", node: "agent", servers: ["MDS.4.1"] },
    { name: "HOST7", node: "agent" },
    { name: "HOST8", node: "agent" },
  ],
};

const group = ["HOST5", "HOST6", "HOST7", "HOST8"];

export const switchCut: Scenario = {
  name: "switch-cut",
  about: "The switches of both networks break in two, so half of the fleet is silent at once: suspect and avoided, not expired.",
  fleet: eightHosts,
  load: reads,
  roundMs: 14_000,
  steps: () => [
    at(2000, { do: "split", network: 1, group }),
    at(
      2000,
      { do: "split", network: 2, group },
      {
        facts: [
          { table: "states", key: "hosts/HOST5", state: "suspect" },
          { table: "hosts", key: "HOST5", valid: false },
        ],
        withinMs: 1500,
        except: group,
      },
    ),
    at(8000, { do: "join", network: 1 }),
    at(8000, { do: "join", network: 2 }),
  ],
  expect: [{ expect: "failed", max: 0 }, noHostAccused],
};
