import { type Scenario, at, cut, mend, noneFails, turn } from "../scenario.ts";
import { reads, serverHosts, sixHosts } from "./fleets.ts";

export const cutHost: Scenario = {
  name: "cut-host",
  about: "A server's host falls silent on both networks at once: it is given up everywhere within 1 s, and returns when it is heard again.",
  fleet: sixHosts,
  load: reads,
  roundMs: 12_000,
  steps: (round) => {
    const host = turn(serverHosts, round);
    const row = { table: "hosts", key: host };
    return [
      at(2000, cut(host), { facts: [{ ...row, valid: false }], withinMs: 1000, except: [host] }),
      at(6000, mend(host), { facts: [{ ...row, valid: true }], withinMs: 4000, except: [host] }),
    ];
  },
  expect: [
    noneFails,
    { expect: "rarely", fact: { table: "hosts", key: "HOST6", valid: false }, why: "the callers' host was never cut" },
    { expect: "rarely", fact: { table: "hosts", key: "HOST1", valid: false }, why: "the directory's host was never cut" },
  ],
};
