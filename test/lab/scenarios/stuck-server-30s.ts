import { type FleetPlan, type Scenario, at, noHostAccused, noneFails, resume, stop, turn } from "../scenario.ts";
import { reads, sixHosts } from "./fleets.ts";

const servers = ["MDS.1.1", "MDS.2.1", "MDS.3.1"] as const;

const threeServers: FleetPlan = {
  ...sixHosts,
  hosts: sixHosts.hosts.map((host) => (host.servers?.includes("MDS.4.1") === true ? { name: host.name, node: host.node } : host)),
};

export const stuckServer: Scenario = {
  name: "stuck-server-30s",
  about: "One of three servers stands still for 30 s: the slowest thousandth of the reads takes at most three times as long as before.",
  fleet: threeServers,
  load: { ...reads, keepsAnswers: true },
  roundMs: 46_000,
  steps: (round) => [at(12_000, stop(turn(servers, round))), at(42_000, resume(turn(servers, round)))],
  expect: [
    noneFails,
    noHostAccused,
    { expect: "tail", of: { fromMs: 12_000, toMs: 42_000 }, than: { fromMs: 0, toMs: 12_000 }, timesMax: 3 },
  ],
};
