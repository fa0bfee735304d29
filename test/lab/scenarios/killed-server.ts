import { type Scenario, at, kill, known, noneFails, start, turn } from "../scenario.ts";
import { reads, servers, sixHosts } from "./fleets.ts";

export const killedServer: Scenario = {
  name: "killed-server",
  about: "A server is killed (SIGKILL) and started again: every host knows within milliseconds, and no caller notices.",
  fleet: sixHosts,
  load: reads,
  roundMs: 6000,
  steps: (round) => [at(2000, kill(turn(servers, round)), known(turn(servers, round), 100)), at(4000, start(turn(servers, round)))],
  expect: [noneFails],
};
