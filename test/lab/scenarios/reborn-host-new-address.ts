import { type Scenario, at, kill, noneFails, start, turn } from "../scenario.ts";
import { reads, serverHosts, servers, sixHosts } from "./fleets.ts";

export const rebornHost: Scenario = {
  name: "reborn-host-new-address",
  about: "A host is rebuilt: its agent and its server are gone, and come back under the same names with another address on network 1.",
  fleet: sixHosts,
  load: reads,
  roundMs: 12_000,
  steps: (round) => {
    const host = turn(serverHosts, round);
    const server = turn(servers, round);
    const last = 102 + round;
    // The reborn agent gives what its former life watched 5 s to come back before it gives it up.
    const claimedWithinMs = 6000;
    return [
      at(2000, kill(server)),
      at(2000, kill(`agent ${host}`)),
      at(2500, { do: "readdress", host, network: 1, last }),
      at(3000, start(`agent ${host}`), {
        facts: [{ table: "host-route", key: `${host}.0`, value: `10.77.1.${last}` }],
        withinMs: 3000,
        except: [host],
      }),
      at(4500, start(server), { facts: [{ table: "metadata", key: server, valid: true }], withinMs: claimedWithinMs }),
    ];
  },
  expect: [noneFails],
};
