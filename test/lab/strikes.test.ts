import assert from "node:assert/strict";
import { test } from "node:test";
import { type FleetPlan, type Strike, cut, kill, mend, resume, start, stop } from "./scenario.ts";
import { type StrikePorts, Strikes } from "./strikes.ts";

const fleet: FleetPlan = {
  networks: 1,
  hosts: [
    { name: "HOST1", node: "directory" },
    { name: "HOST2", node: "agent", members: ["MDS.1.1", "MDS.2.2"] },
    { name: "HOST3", node: "agent", members: ["MDS.2.1", "MDS.1.2"] },
  ],
};
const strike = (aim: Strike["aim"], how: Strike["how"] = "kill"): Strike => ({ do: "strike", aim, how, forMs: 100, membersMin: 2 });

const both = { synchronising: "MDS.1.2", members: ["MDS.1.1", "MDS.1.2"] };
const nobody: StrikePorts = { group: () => undefined, isUp: () => true };

test("a strike hits whoever synchronises at that moment, and says what else was there", () => {
  const strikes = new Strikes(fleet, { ...nobody, group: (instance) => (instance === "MDS.1" ? both : undefined) });
  const blow = strikes.begin(strike({ leaderOf: "MDS.1" }));
  assert.deepEqual(blow?.struck, { host: "HOST3", groups: ["MDS.2", "MDS.1"], leads: ["MDS.1"] });
  assert.deepEqual([blow?.first, blow?.last], [kill("members HOST3"), start("members HOST3")]);
});

test("what is struck already is not struck again until it is back; then the next one is hit, or nobody", () => {
  const strikes = new Strikes(fleet, nobody);
  const first = strikes.begin(strike({ membersOn: "HOST3" }, "stop"));
  assert.deepEqual([first?.first, first?.last], [stop("members HOST3"), resume("members HOST3")]);
  const second = strikes.begin(strike({ membersOn: "HOST3" }, "cut"));
  assert.deepEqual([second?.first, second?.last], [cut("HOST2"), mend("HOST2")]);
  assert.equal(strikes.begin(strike({ leaderOf: "MDS.2" })), undefined);
  assert.ok(first);
  strikes.end(first);
  assert.equal(strikes.begin(strike({ leaderOf: "MDS.2" }))?.struck.host, "HOST3");
});

test("a strike waits until every group has the members that it wants, named and there", () => {
  const up = new Set(["members HOST2", "members HOST3"]);
  let members: readonly string[] = ["MDS.2.1"];
  const strikes = new Strikes(fleet, {
    group: (instance) => (instance === "MDS.1" ? both : { synchronising: "MDS.2.1", members }),
    isUp: (process) => up.has(process),
  });
  const aimed = strike({ leaderOf: "MDS.1" });
  assert.equal(strikes.isTime(aimed), false, "one of two is named");
  members = ["MDS.2.1", "MDS.2.2"];
  assert.equal(strikes.isTime(aimed), true);
  up.delete("members HOST2");
  assert.equal(strikes.isTime(aimed), false, "one of two is named and gone");
  up.add("members HOST2");
  assert.ok(strikes.begin(strike({ membersOn: "HOST2" }, "stop")));
  assert.equal(strikes.isTime(aimed), false, "one of two is struck");
  assert.equal(new Strikes(fleet, nobody).isTime(aimed), false, "a group that is not known");
});
