import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JsonValue } from "../kernel/index.ts";
import {
  type GroupRow,
  anyReplica,
  groupKey,
  groupRowValue,
  instanceOfServer,
  parseGroupRow,
  targetOfGroupKey,
  withoutMembers,
} from "./index.ts";

const replica = (digit: string) => digit.repeat(16);
const member = (server: string) => ({ server, replica: replica(server.at(-1) ?? "0") });
const row: GroupRow = {
  epoch: 4,
  members: [member("MDS.1.1"), member("MDS.1.2"), member("MDS.1.3")],
  synchronising: "MDS.1.2",
  copiesMin: 2,
};

describe("the row of an ordering group", () => {
  test("is read as it was written, frozen, and what else it holds is dropped", () => {
    const read = parseGroupRow({ ...Object(groupRowValue(row)), note: 1 });
    assert.deepEqual(read, row);
    assert.deepEqual(parseGroupRow(groupRowValue(read)), row);
    assert.ok(Object.isFrozen(read) && Object.isFrozen(read.members) && Object.isFrozen(read.members[0]));
  });

  test("is refused when any part of it cannot be", () => {
    const one = member("MDS.1.1");
    const bad: readonly JsonValue[] = [
      null,
      [],
      { ...row, epoch: 0, members: [one] },
      { ...row, epoch: 1.5, members: [one] },
      { epoch: 1, members: [], synchronising: "MDS.1.1", copiesMin: 1 },
      { epoch: 1, members: [one, one], synchronising: "MDS.1.1", copiesMin: 1 },
      { epoch: 1, members: [one], synchronising: "MDS.1.2", copiesMin: 1 },
      { epoch: 1, members: [one], synchronising: "MDS.1.1", copiesMin: 0 },
      { epoch: 1, members: [one], synchronising: "MDS.1.1", copiesMin: 17 },
      { epoch: 1, members: [{ server: "MDS.1.1", replica: "x" }], synchronising: "MDS.1.1", copiesMin: 1 },
      {
        epoch: 1,
        members: Array.from({ length: 17 }, (_, index) => ({ server: `MDS.1.${index}`, replica: replica("1") })),
        synchronising: "MDS.1.1",
        copiesMin: 1,
      },
      { epoch: 1, members: [one, { server: "MDS.1.2", replica: anyReplica }], synchronising: "MDS.1.1", copiesMin: 1 },
    ];
    for (const value of bad) assert.throws(() => parseGroupRow(value), { code: "tables/bad-group" }, JSON.stringify(value));
    assert.equal(parseGroupRow({ epoch: 9, members: [{ ...one, replica: anyReplica }], synchronising: "MDS.1.1", copiesMin: 2 }).epoch, 9);
  });

  test("without some of its members is the next epoch; the synchronising one is kept, else the first left follows it", () => {
    const without = (...gone: readonly string[]) => {
      const next = withoutMembers(row, (server) => gone.includes(server));
      return next === undefined ? undefined : [next.epoch, next.members.map(({ server }) => server).join(" "), next.synchronising];
    };
    assert.deepEqual(without("MDS.1.1"), [5, "MDS.1.2 MDS.1.3", "MDS.1.2"]);
    assert.deepEqual(without("MDS.1.2"), [5, "MDS.1.1 MDS.1.3", "MDS.1.1"]);
    assert.equal(without("MDS.1.9"), undefined);
    assert.deepEqual(without("MDS.1.1", "MDS.1.2", "MDS.1.3"), [5, "MDS.1.2", "MDS.1.2"], "one keeps its place");
    const last = { ...row, members: [member("MDS.1.2")] };
    assert.equal(
      withoutMembers(last, () => true),
      undefined,
    );
  });

  test("has the key TABLE/INSTANCE", () => {
    assert.equal(groupKey("metadata", "MDS.1"), "metadata/MDS.1");
    assert.equal(groupKey("metadata", "M".repeat(504)), undefined);
    assert.deepEqual(targetOfGroupKey("metadata/MDS.1"), { table: "metadata", instance: "MDS.1" });
    for (const key of ["MDS.1", "/MDS.1", "metadata/"]) assert.equal(targetOfGroupKey(key), undefined);
    assert.equal(instanceOfServer("MDS.1.2"), "MDS.1");
    assert.equal(instanceOfServer("MDS"), undefined);
  });
});
