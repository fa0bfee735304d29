import { type Scenario, at, cut, mend, noneFails, routeKnown, turn } from "../scenario.ts";
import { reads, serverHosts, sixHosts } from "./fleets.ts";

export const bothNetworksCut: Scenario = {
  name: "both-networks-cut",
  about: "A server's host loses one network and, once all have moved to the other, that one too; they come back in the same order.",
  fleet: sixHosts,
  load: reads,
  roundMs: 16_000,
  steps: (round) => {
    const host = turn(serverHosts, round);
    const gone = { facts: [{ table: "hosts", key: host, valid: false }], withinMs: 1000, except: [host] };
    return [
      at(2000, cut(host, { network: 1 }), routeKnown(host, 0, false, 1000)),
      at(4000, cut(host, { network: 2 }), gone),
      at(8000, mend(host, { network: 1 }), { facts: [{ table: "hosts", key: host, valid: true }], withinMs: 4000, except: [host] }),
      at(10_000, mend(host, { network: 2 })),
    ];
  },
  expect: [noneFails],
};
