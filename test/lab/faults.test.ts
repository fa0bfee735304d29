import assert from "node:assert/strict";
import { test } from "node:test";
import { Faults } from "./faults.ts";
import type { FleetPlan } from "./scenario.ts";

const fleet: FleetPlan = { networks: 2, hosts: ["A", "B", "C"].map((name) => ({ name, node: "agent" })) };

function blocked(...actions: readonly Parameters<Faults["note"]>[0][]): readonly string[] {
  const faults = new Faults(fleet);
  for (const action of actions) assert.equal(faults.note(action), true);
  return faults.blockedPaths().map(({ from, to, network }) => `${from}>${to}@${network}`);
}

test("a cut host is cut on all networks in both directions, the others go on", () => {
  assert.deepEqual(blocked({ do: "cut", cut: { host: "A" } }), ["A>B@1", "A>C@1", "B>A@1", "C>A@1", "A>B@2", "A>C@2", "B>A@2", "C>A@2"]);
});

test("a cut can be of one network, one direction and one peer", () => {
  assert.deepEqual(blocked({ do: "cut", cut: { host: "A", network: 2, direction: "in" } }), ["B>A@2", "C>A@2"]);
  assert.deepEqual(blocked({ do: "cut", cut: { host: "A", network: 1, direction: "out", peer: "C" } }), ["A>C@1"]);
});

test("a mend takes back the cut of the same words and no other", () => {
  const whole = { host: "A", network: 1 } as const;
  const part = { host: "A", network: 1, direction: "in" } as const;
  assert.deepEqual(blocked({ do: "cut", cut: whole }, { do: "cut", cut: part }, { do: "mend", cut: whole }), ["B>A@1", "C>A@1"]);
  assert.throws(() => new Faults(fleet).note({ do: "mend", cut: whole }), /was not cut/);
});

test("a broken switch parts a group from the rest on its network", () => {
  const split = { do: "split", network: 1, group: ["C"] } as const;
  assert.deepEqual(blocked(split), ["A>C@1", "B>C@1", "C>A@1", "C>B@1"]);
  assert.deepEqual(blocked(split, { do: "join", network: 1 }), []);
});

test("a pulled cable blocks, but is not a cut", () => {
  const faults = new Faults(fleet);
  faults.note({ do: "unplug", host: "B", network: 2 });
  assert.deepEqual(faults.cutPaths(), []);
  assert.equal(faults.blockedPaths().length, 4);
});

test("losses are kept until they are 0", () => {
  const faults = new Faults(fleet);
  faults.note({ do: "lossy", host: "B", network: 2, percent: 10 });
  assert.deepEqual(
    faults.losses.map(({ host, percent }) => [host, percent]),
    [["B", 10]],
  );
  faults.note({ do: "lossy", host: "B", network: 2, percent: 0 });
  assert.deepEqual(faults.losses, []);
});

test("what is done to a process or a clock is not noted", () => {
  assert.equal(new Faults(fleet).note({ do: "jump", host: "A", byMs: 1 }), false);
  assert.equal(new Faults(fleet).note({ do: "kill", process: "directory" }), false);
});
