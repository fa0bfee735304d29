import { type Scenario, at, cut, mend, noHostAccused, noServerAccused, noneFails, turn } from "../scenario.ts";
import { reads, sixHosts } from "./fleets.ts";

const pair = { network: 1, peer: "HOST6" } as const;

export const asymmetricCut: Scenario = {
  name: "asymmetric-cut",
  about:
    "A server's host hears the callers' host on network 1 but is not heard by it, then the reverse: a fact of that pair, accused by nobody.",
  fleet: sixHosts,
  load: reads,
  roundMs: 8000,
  steps: (round) => {
    const way = { ...pair, direction: turn(["out", "in"] as const, round) };
    return [at(2000, cut("HOST2", way)), at(5000, mend("HOST2", way))];
  },
  expect: [noneFails, noHostAccused, noServerAccused],
};
