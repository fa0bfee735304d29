import { type Scenario, at, known, noneFails, resume, stop, turn } from "../scenario.ts";
import { reads, servers, sixHosts } from "./fleets.ts";

export const hungServer: Scenario = {
  name: "hung-server",
  about:
    "A server is stopped (SIGSTOP) and goes on 2 s later: every host knows within its heartbeat's period of 300 ms, and no caller notices.",
  fleet: { ...sixHosts, maxPeriodMs: 300 },
  load: reads,
  roundMs: 6000,
  steps: (round) => [at(2000, stop(turn(servers, round)), known(turn(servers, round), 350)), at(4000, resume(turn(servers, round)))],
  expect: [noneFails],
};
