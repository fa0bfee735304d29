import { type Scenario, at, kill, noHostAccused, noServerAccused, noneFails, start, turn } from "../scenario.ts";
import { reads, serverHosts, sixHosts } from "./fleets.ts";

export const agentKilled: Scenario = {
  name: "agent-killed-servers-live",
  about: "An agent is killed while its servers live, and is back within its grace of 5 s: they are unwatched for a while, never invalid.",
  fleet: sixHosts,
  load: reads,
  roundMs: 8000,
  steps: (round) => {
    const host = turn(serverHosts, round);
    return [
      at(2000, kill(`agent ${host}`), {
        facts: [{ table: "states", key: `hosts/${host}`, state: "unwatched" }],
        withinMs: 500,
        except: [host],
      }),
      at(4000, start(`agent ${host}`)),
    ];
  },
  expect: [noneFails, noHostAccused, noServerAccused],
};
