import { type Expectation, type Scenario, at, never, noHostAccused, noServerAccused, noneFails } from "../scenario.ts";
import { reads, sixHosts } from "./fleets.ts";

const hourMs = 3_600_000;
const hosts = sixHosts.hosts.map(({ name }) => name);

/** Hosts whose clocks jump in turn, so that they differ by up to two hours, and then back. */
const jumps = hosts.map((host, index) => ({ host, byMs: index % 2 === 0 ? hourMs : -hourMs }));

function jumped(process: string, words: string): Expectation {
  return { expect: "says", process, words: `the wall clock jumped by ${words} s`, runsIn: ["namespaces"] };
}

export const clockJumps: Scenario = {
  name: "clock-jumps",
  about: "The wall clocks of all hosts jump by an hour, forwards on one and backwards on the next, and later back: callers notice nothing.",
  fleet: { ...sixHosts, maxPeriodMs: 300 },
  load: reads,
  roundMs: 10_000,
  steps: () => [
    ...jumps.map(({ host, byMs }, index) => at(2000 + 300 * index, { do: "jump", host, byMs })),
    ...jumps.map(({ host, byMs }, index) => at(6000 + 300 * index, { do: "jump", host, byMs: -byMs })),
  ],
  expect: [
    noneFails,
    noHostAccused,
    noServerAccused,
    never({ table: "host-route", key: "*", valid: false }, "all routes work"),
    // A clock that was set looks as if the machine had slept: it takes the next tick to be sure that it is up to date.
    { expect: "hears", maxMs: 1500 },
    { expect: "slowest", maxMs: 1000 },
    jumped("directory", "3600"),
    jumped("agent HOST2", "-3600"),
    jumped("MDS.2.1", "3600"),
    jumped("caller HOST6", "-3600"),
  ],
};
