import { type Scenario, at, cut, mend, noHostAccused, noRouteAccused, noServerAccused, noneFails } from "../scenario.ts";
import { reads, sixHosts } from "./fleets.ts";

const children = ["HOST2", "HOST3", "HOST4", "HOST5", "HOST6"];

export const parentsInterfaceDown: Scenario = {
  name: "parents-interface-down",
  about:
    "The parent of all agents has an interface down, later up and deaf: all are silent there at once, it suspects itself, and calls no route of theirs cut.",
  fleet: sixHosts,
  load: reads,
  roundMs: 14_000,
  steps: () => [
    at(2000, { do: "unplug", host: "HOST1", network: 1 }),
    at(5000, { do: "plug", host: "HOST1", network: 1 }),
    at(9000, cut("HOST1", { network: 1 })),
    at(12_000, mend("HOST1", { network: 1 })),
  ],
  expect: [
    noneFails,
    noHostAccused,
    noServerAccused,
    ...noRouteAccused(children),
    { expect: "says", process: "directory", words: "own-interface-suspected" },
    { expect: "hears", maxMs: 3000 },
  ],
};
