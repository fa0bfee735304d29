import { SeededRandom, randomBelow } from "../../../src/kernel/index.ts";
import {
  type Aim,
  type Expectation,
  type FleetPlan,
  type LoadPlan,
  type Scenario,
  type Step,
  at,
  noneFails,
  strike,
  turn,
} from "../scenario.ts";

const memberHosts = ["HOST2", "HOST3", "HOST4", "HOST5"] as const;
const groups = ["MDS.1", "MDS.2", "MDS.3", "MDS.4"] as const;

/**
 * Four metadata servers on four hosts, each the first server of its own instance and a further one of the two instances before it, as in a ring: so
 * each process that dies synchronises some states and backs up others. Two observers leave the processors to the servers.
 */
function ring(callers: readonly string[]): FleetPlan {
  const members = (host: number) => [0, 1, 2].map((copy) => `${groups[(host - copy + groups.length) % groups.length]}.${copy + 1}`);
  const isCaller = (name: string) => ({ caller: callers.includes(name) });
  return {
    networks: 2,
    hosts: [
      { name: "HOST1", node: "directory", ...isCaller("HOST1") },
      ...memberHosts.map((name, number) => ({
        name,
        node: "agent" as const,
        members: members(number),
        observed: false,
        ...isCaller(name),
      })),
      { name: "HOST6", node: "agent", ...isCaller("HOST6") },
    ],
  };
}

/** The file store's patience. */
const work: LoadPlan = {
  service: "MDS",
  requestsPerSecond: 60,
  serviceTimeMs: 1,
  deadlineMs: 10_000,
  work: { keysPerGroup: 24, shares: { writes: 0.4, "session reads": 0.4, "latest reads": 0.2 } },
};

/** Far above what is seen: a fault must never look like an outage. */
const gaps: readonly Expectation[] = [
  { expect: "gap", work: "writes", maxMs: 5000 },
  { expect: "gap", work: "session reads", maxMs: 5000 },
  { expect: "gap", work: "latest reads", maxMs: 5000 },
];

const killsInRound = 4;
const betweenKillsMs = 2000;
/** Of the kills; the others hit any server. */
const primaryShare = 0.75;

/** Each waits until every state has its three copies: with one of them a state takes no writes, which is another experiment. */
function kills(round: number): readonly Step[] {
  const random = new SeededRandom(round + 1);
  return Array.from({ length: killsInRound }, (_, number) => {
    const atMs = 500 + (number + 0.6 * random.fraction()) * betweenKillsMs;
    const aim: Aim =
      random.fraction() < primaryShare
        ? { leaderOf: groups[randomBelow(random, groups.length)] ?? groups[0] }
        : { membersOn: memberHosts[randomBelow(random, memberHosts.length)] ?? memberHosts[0] };
    return at(atMs, strike(aim, "kill", 50 + 1500 * random.fraction() ** 2, 3));
  });
}

export const killedMetadataServers: Scenario = {
  name: "killed-metadata-servers",
  about:
    "Metadata servers are killed at random, most of them primaries, and come back: each acknowledged write is there once, reads are as promised, none fails.",
  fleet: ring(["HOST1", "HOST5", "HOST6"]),
  load: work,
  roundMs: 9000,
  // Fifty kills and two.
  namespacesMs: 13 * 9000,
  simulatedMs: 3 * 9000,
  steps: kills,
  expect: [noneFails, ...gaps],
};

const pausesMs = [300, 900, 1800, 3000] as const;

export const stoppedMetadataServer: Scenario = {
  name: "stopped-metadata-server",
  about:
    "A primary of metadata is stopped (SIGSTOP), shorter or longer than it takes to give it up, and goes on without knowing: nobody sees anything of it.",
  fleet: ring(["HOST1", "HOST5", "HOST6"]),
  load: work,
  roundMs: 8000,
  namespacesMs: 4 * 8000,
  simulatedMs: 4 * 8000,
  steps: (round) => [at(1500, strike({ leaderOf: turn(groups, round) }, "stop", turn(pausesMs, round), 3))],
  expect: [noneFails, ...gaps],
};

export const cutMetadataHost: Scenario = {
  name: "cut-metadata-host",
  about:
    "The host of a primary of metadata is cut off from everything for 3 s, and comes back with what it knew: nobody sees anything of it.",
  fleet: ring(["HOST1", "HOST6"]),
  load: work,
  roundMs: 10_000,
  namespacesMs: 4 * 10_000,
  simulatedMs: 4 * 10_000,
  steps: (round) => [at(1500, strike({ leaderOf: turn(groups, round) }, "cut", 3000, 3))],
  expect: [noneFails, ...gaps],
};
