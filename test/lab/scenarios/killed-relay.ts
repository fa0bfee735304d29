import { type Scenario, at, kill, noHostAccused, noServerAccused, noneFails, start, turn } from "../scenario.ts";
import { reads, sixHostsWithRelays } from "./fleets.ts";

export const killedRelay: Scenario = {
  name: "killed-relay",
  about: "A relay is killed: its children go on with another parent, and its death says nothing about them.",
  fleet: sixHostsWithRelays,
  load: reads,
  roundMs: 8000,
  steps: (round) => {
    const relay = turn(["relay HOST2", "relay HOST3"], round);
    return [at(2000, kill(relay)), at(5000, start(relay))];
  },
  expect: [noneFails, noHostAccused, noServerAccused],
};
