import { type FleetPlan, type Scenario, at, kill, never, noHostAccused, noServerAccused, noneFails, restart, start } from "../scenario.ts";
import { reads } from "./fleets.ts";

const agents = 40;

/**
 * One relay that all agents prefer, and the directory; observers on every eighth host. Who is not back within its grace is given up, and all are
 * told. A thousand agents: `test/simulation/thousand-agents.test.ts`.
 */
const crowd: FleetPlan = {
  networks: 1,
  hosts: [
    { name: "HOST1", node: "directory" },
    { name: "HOST2", node: "relay" },
    ...Array.from({ length: agents }, (_, index) => ({
      name: `HOST${index + 3}`,
      node: "agent" as const,
      observed: index % 8 === 0,
      ...(index < 3 ? { servers: [`MDS.${index + 1}.1`] } : {}),
      ...(index === agents - 1 ? { caller: true } : {}),
    })),
  ],
};

export const thunderingReattachment: Scenario = {
  name: "thundering-reattachment",
  about:
    "The only relay of 40 agents is killed, and all fall upon the directory at once; then the directory is restarted: all are back within seconds.",
  fleet: crowd,
  load: { ...reads, requestsPerSecond: 100 },
  roundMs: 14_000,
  steps: () => [at(2000, kill("relay HOST2")), at(6000, restart("directory")), at(10_000, start("relay HOST2"))],
  expect: [
    noneFails,
    noHostAccused,
    noServerAccused,
    never({ table: "states", key: "*", state: "suspect" }, "nobody is missed when the grace ends"),
    { expect: "hears", maxMs: 3000, except: ["HOST2"] },
  ],
};
