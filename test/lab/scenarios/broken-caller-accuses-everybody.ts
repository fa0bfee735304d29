import { type FleetPlan, type Scenario, at, noHostAccused, noServerAccused } from "../scenario.ts";
import { reads, sixHosts } from "./fleets.ts";

const withBrokenCaller: FleetPlan = {
  networks: 2,
  hosts: sixHosts.hosts.map((host) => (host.name === "HOST5" ? { name: "HOST5", node: "agent", caller: true } : host)),
};

export const brokenCaller: Scenario = {
  name: "broken-caller-accuses-everybody",
  about:
    "A caller cannot reach any server, by its own host's fault, and accuses them all: no server is given up, and other callers notice nothing.",
  fleet: withBrokenCaller,
  load: reads,
  roundMs: 8000,
  steps: () => [at(2000, { do: "refuse", host: "HOST5" }), at(5000, { do: "accept", host: "HOST5" })],
  expect: [{ expect: "failed", max: 0, hosts: ["HOST6"] }, noHostAccused, noServerAccused],
};
