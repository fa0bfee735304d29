import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Lane } from "./lane.ts";
import { PendingRequest, PendingTable } from "./pending-table.ts";

function request(dueMonoMs: number): PendingRequest {
  return new PendingRequest(
    "MDS.1",
    "stat",
    "null",
    dueMonoMs,
    1000,
    undefined,
    undefined,
    undefined,
    () => {},
    () => {},
  );
}

test("whatever is added and removed, in whatever order, the table holds the rest by number and by deadline", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ add: fc.boolean(), at: fc.nat(200) }), { maxLength: 300 }), (steps) => {
      const table = new PendingTable();
      const model: PendingRequest[] = [];
      for (const { add, at } of steps)
        if (add) {
          const one = request(at);
          table.add(one);
          model.push(one);
        } else {
          const [one] = model.splice(at % Math.max(1, model.length), 1);
          if (one === undefined) continue;
          assert.equal(table.remove(one), true);
          assert.equal(table.remove(one), false);
          assert.equal(table.get(one.id), undefined);
        }
      assert.equal(table.size, model.length);
      assert.equal(new Set(model.map(({ id }) => id)).size, model.length);
      for (const one of model) assert.equal(table.get(one.id), one);
      assert.deepEqual(new Set(table.due(100)), new Set(model.filter(({ dueMonoMs }) => dueMonoMs <= 100)));
      assert.equal(table.earliestDueMonoMs(), Math.min(Number.POSITIVE_INFINITY, ...model.map(({ dueMonoMs }) => dueMonoMs)));
    }),
  );
});

test("a lane lists its requests oldest first, whoever leaves in between", () => {
  const revision = { epoch: 1, sequence: 1 };
  const lane = new Lane("metadata", 5, {
    key: "MDS",
    instance: "MDS.1",
    host: "H",
    address: "h",
    port: 1,
    revision,
    ageMs: 0,
    alternates: [],
  });
  fc.assert(
    fc.property(fc.array(fc.record({ add: fc.boolean(), at: fc.nat(50) }), { maxLength: 100 }), (steps) => {
      for (const one of lane.requests()) lane.remove(one);
      const model: PendingRequest[] = [];
      for (const { add, at } of steps)
        if (add) {
          const one = request(at);
          lane.add(one);
          model.push(one);
        } else {
          const [one] = model.splice(at % Math.max(1, model.length), 1);
          if (one !== undefined) lane.remove(one);
        }
      assert.deepEqual(
        lane.requests().map((one) => one),
        model,
      );
      assert.equal(lane.size, model.length);
      assert.ok(model.every((one) => one.lane === lane));
    }),
  );
});
