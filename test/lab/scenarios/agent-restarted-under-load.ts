import { type Scenario, at, noHostAccused, noServerAccused, noneFails, restart, turn } from "../scenario.ts";
import { reads, sixHosts } from "./fleets.ts";

export const agentRestarted: Scenario = {
  name: "agent-restarted-under-load",
  about: "Agents are restarted under load, those of servers and that of the callers: nobody else hears anything of it.",
  fleet: sixHosts,
  load: reads,
  roundMs: 8000,
  steps: (round) => [at(2000, restart(turn(["agent HOST2", "agent HOST6", "agent HOST3"], round)))],
  expect: [noneFails, noHostAccused, noServerAccused],
};
