import { type Scenario, at, kill, loop, noneFails, start, turn } from "../scenario.ts";
import { reads, servers, sixHosts } from "./fleets.ts";

export const endlessLoop: Scenario = {
  name: "endless-loop",
  about:
    "A server's main thread computes for ever while its heartbeats leave from another thread: it is stalled and avoided, later invalid.",
  fleet: { ...sixHosts, maxPeriodMs: 300 },
  load: reads,
  roundMs: 10_000,
  steps: (round) => {
    const server = turn(servers, round);
    return [
      at(2000, loop(server), {
        facts: [
          { table: "states", key: `metadata/${server}`, state: "stalled" },
          { table: "metadata", key: server, valid: false },
        ],
        withinMs: 700,
      }),
      at(7000, kill(server)),
      at(7200, start(server)),
    ];
  },
  expect: [noneFails],
  // A simulated program has one thread.
  runsIn: ["namespaces"],
};
