import { type Scenario, at, hearing, noHostAccused, noRouteAccused, noServerAccused, noneFails } from "../scenario.ts";
import { reads, sixHosts } from "./fleets.ts";

const children = ["HOST2", "HOST3", "HOST4", "HOST5", "HOST6"];
/** Longer than four silent ticks and the grace of a host at `lan`, 7 s. */
const downMs = 10_000;

export const parentOffTheNetwork: Scenario = {
  name: "parent-off-the-network",
  about: "The parent of all agents has all its interfaces down for 10 s, longer than any grace: it hears nobody, and gives nobody up.",
  fleet: sixHosts,
  load: reads,
  roundMs: 18_000,
  steps: () => [
    at(2000, { do: "unplug", host: "HOST1", network: 1 }),
    at(2000, { do: "unplug", host: "HOST1", network: 2 }, hearing(children, sixHosts, false, 3000)),
    at(2000 + downMs, { do: "plug", host: "HOST1", network: 1 }),
    at(2000 + downMs, { do: "plug", host: "HOST1", network: 2 }, hearing(children, sixHosts, true, 3000)),
  ],
  expect: [noneFails, noHostAccused, noServerAccused, ...noRouteAccused(children)],
};
