import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { FleetHandle, Operation } from "../fleet/index.ts";
import { formatRevision } from "../kernel/index.ts";
import { groupEpochBlock, groupRowValue, groupsTable, primaryOf, readGroupRow } from "../tables/index.ts";
import { SimFleet } from "../testing/index.ts";
import { memoryDirectory } from "../testing/memory-directory.ts";

const key = "metadata/MDS.1";
const replica = "00000000000000aa";

/** A row of `groups`; the members by the last parts of their keys, the synchronising one first. */
function row(epoch: number, servers: readonly (string | number)[], instance = "MDS.1") {
  const members = servers.map((server) => ({ server: `${instance}.${server}`, replica }));
  return groupRowValue({ epoch, members, synchronising: members[0]?.server ?? "", copiesMin: 1 });
}

function put(value: ReturnType<typeof row>, place = key): Operation {
  return { op: "add", table: groupsTable, key: place, value };
}

/** "epoch: members in their order", the synchronising one with a star. */
function shown(fleet: FleetHandle, place = key): string {
  const group = readGroupRow(fleet.get(groupsTable, place)?.value ?? null);
  if (group === undefined) return "none";
  return `${group.epoch}: ${group.members.map(({ server }) => (server === group.synchronising ? `${server}*` : server)).join(" ")}`;
}

describe("the directory and ordering groups", () => {
  let fleet: FleetHandle;

  beforeEach(async () => {
    fleet = await memoryDirectory({ host: "HOST1" });
    await fleet.add("hosts", "HOST2", {});
    await fleet.add("host-route", "HOST2.0", "127.0.0.2");
    const server = (number: number, host = "HOST1"): Operation => ({
      op: "add",
      table: "metadata",
      key: `MDS.1.${number}`,
      value: { host, port: 1870 + number },
    });
    await fleet.change([server(1), server(2), server(3, "HOST2"), put(row(1, [1, 2, 3]))]);
  });

  afterEach(() => fleet.close());

  const change = (...operations: readonly Operation[]) => fleet.change(operations);
  const refused = (code: string, ...operations: readonly Operation[]) => assert.rejects(change(...operations), { code, effect: "none" });

  test("epochs go up one by one; another row is refused and nothing has changed", async () => {
    await change(put(row(2, [2, 1, 3])));
    for (const epoch of [1, 2, 4, 1000, groupEpochBlock + 1]) await refused("roll/group-epoch", put(row(epoch, [1])));
    assert.equal(shown(fleet), "2: MDS.1.2* MDS.1.1 MDS.1.3");
    await change(put(row(3, [1])), put(row(4, [2])));
    assert.equal(shown(fleet), "4: MDS.1.2*", "two steps of one change");
    await change(put(row(3 * groupEpochBlock, [2])));
    assert.equal(shown(fleet), `${3 * groupEpochBlock}: MDS.1.2*`, "the first epoch of a later block");
    for (const block of [2, 3]) await refused("roll/group-epoch", put(row(block * groupEpochBlock, [2])));
  });

  test("a row that is none, or that names another instance's servers, nobody, or servers that are not valid, is refused", async () => {
    await refused("tables/bad-group", { op: "add", table: groupsTable, key, value: { epoch: 2 } });
    await refused("tables/bad-group", { op: "add", table: groupsTable, key, value: "x" });
    await change({ op: "add", table: "metadata", key: "MDS.2.1", value: { host: "HOST1", port: 1 } });
    await refused(
      "roll/group-member",
      put({ ...Object(row(2, [1])), members: [{ server: "MDS.2.1", replica }], synchronising: "MDS.2.1" }),
    );
    await refused("roll/group-member", put(row(2, [1, 9])));
    await refused("roll/group-member", put(row(1, [1]), "MDS.1"));
    await refused("roll/group-member", put(row(1, [1]), "nowhere/MDS.1"));
    await refused("roll/group-member", put(row(1, [1]), "DSD_MTID_METADATA/MDS.1"));
    await change({ op: "set-valid", table: "metadata", key: "MDS.1.3", valid: false });
    await refused("roll/group-member", put(row(3, [1, 2, 3])));
    assert.equal(shown(fleet), "2: MDS.1.1* MDS.1.2");
  });

  test("a row is not deleted, bound or invalidated in passing; by force it is deleted", async () => {
    await refused("roll/group-stays", { op: "delete", table: groupsTable, key });
    await refused("roll/group-stays", { op: "set-valid", table: groupsTable, key, valid: false });
    await refused("roll/group-stays", { op: "add", table: groupsTable, key, value: row(2, [1]), valid: false });
    await assert.rejects(fleet.heartbeat(groupsTable, key, { maxPeriodMs: 1000 }), { code: "roll/group-stays" });
    await change({ op: "delete", table: groupsTable, key, force: true });
    await change(put(row(7, [2])));
    assert.equal(shown(fleet), "7: MDS.1.2*", "a new group begins in any epoch");
  });

  const endings: readonly (readonly [name: string, ...operations: Operation[]])[] = [
    ["set invalid", { op: "set-valid", table: "metadata", key: "MDS.1.1", valid: false }],
    ["written as invalid", { op: "add", table: "metadata", key: "MDS.1.1", value: { host: "HOST1", port: 1 }, valid: false }],
    ["deleted", { op: "delete", table: "metadata", key: "MDS.1.1" }],
    ["given up with its host", { op: "set-valid", table: "hosts", key: "HOST2", valid: false }],
    [
      "moved to a host that is gone",
      { op: "add", table: "hosts", key: "HOST9", value: {}, valid: false },
      { op: "add", table: "metadata", key: "MDS.1.1", value: { host: "HOST9", port: 1 } },
    ],
  ];
  for (const [name, ...operations] of endings)
    test(`a server that is ${name} is out of its group, and followed, in the same change`, async () => {
      const onHost2 = operations[0]?.key === "HOST2";
      if (onHost2) await change(put(row(2, [3, 1, 2])));
      const seen: string[] = [];
      fleet.subscribe({ tables: ["metadata", "hosts", groupsTable] }, () => {
        const primary = primaryOf(fleet, "metadata", "MDS.1");
        const found = fleet.find("metadata", "MDS.1");
        assert.equal(found?.instance, primary);
        assert.equal(found?.group?.epoch, onHost2 ? 3 : 2);
        seen.push(`${primary} ${fleet.get(groupsTable, key)?.revision.sequence}`);
      });
      const revision = await change(...operations);
      assert.deepEqual([...new Set(seen)], [`${onHost2 ? "MDS.1.1" : "MDS.1.2"} ${revision.sequence}`]);
      assert.equal(shown(fleet), onHost2 ? "3: MDS.1.1* MDS.1.2" : "2: MDS.1.2* MDS.1.3");
    });

  test("stalled, suspect and draining evict nobody", async () => {
    for (const state of ["stalled", "suspect", "draining"])
      await change({ op: "add", table: "states", key: "metadata/MDS.1.1", value: { state, reason: "", by: "test", sinceUnixMs: 0 } });
    assert.equal(shown(fleet), "1: MDS.1.1* MDS.1.2 MDS.1.3");
  });

  test("the last member keeps its place: there is no primary, although other servers of the instance live, until it is back", async () => {
    const valid = (number: number, isValid: boolean): Operation => ({
      op: "set-valid",
      table: "metadata",
      key: `MDS.1.${number}`,
      valid: isValid,
    });
    await change(valid(1, false), valid(2, false));
    await change(valid(3, false));
    await change(valid(1, true));
    assert.equal(shown(fleet), "2: MDS.1.3*");
    assert.equal(primaryOf(fleet, "metadata", "MDS.1"), undefined);
    assert.equal(fleet.find("metadata", "MDS.1"), undefined);
    assert.deepEqual(fleet.findAll("metadata", "MDS.1"), []);
    await refused("roll/group-member", put(row(3, [3, 1])));
    await change(valid(3, true));
    assert.equal(fleet.find("metadata", "MDS.1")?.instance, "MDS.1.3");
    assert.deepEqual(
      fleet.findAll("metadata", "MDS.1").map(({ instance }) => instance),
      ["MDS.1.3"],
      "members only",
    );
  });

  test("when all end in one change, the synchronising one keeps its place", async () => {
    await change(put(row(2, [2, 3, 1])));
    await change(...[1, 2, 3].map((number): Operation => ({ op: "delete", table: "metadata", key: `MDS.1.${number}` })));
    assert.equal(shown(fleet), "3: MDS.1.2*");
  });

  test("of two changes decided before either is durable, the one that does not know the other is refused", async () => {
    const known = fleet.get(groupsTable, key);
    assert.ok(known !== undefined);
    const ifRevision = [{ table: groupsTable, key, revision: formatRevision(known.revision) }];
    const evicted = change({ op: "set-valid", table: "metadata", key: "MDS.1.1", valid: false });
    const late = fleet.change([put(row(2, [1, 2]))], { ifRevision });
    await assert.rejects(late, { code: "roll/condition-failed" });
    await evicted;
    assert.equal(shown(fleet), "2: MDS.1.2* MDS.1.3");
    const second = fleet.get(groupsTable, key);
    assert.ok(second !== undefined);
    const now = [{ table: groupsTable, key, revision: formatRevision(second.revision) }];
    const [first, other] = await Promise.allSettled([
      fleet.change([put(row(3, [2]))], { ifRevision: now }),
      fleet.change([put(row(3, [3]))], { ifRevision: now }),
    ]);
    assert.deepEqual([first.status, other.status], ["fulfilled", "rejected"], "the first one wins");
  });

  test("a table and a group of which nothing is durable yet obey the same rules", async () => {
    const value = { host: "HOST1", port: 1 };
    const all = [
      fleet.addTable("cache"),
      change({ op: "add", table: "cache", key: "C.1.1", value }, { op: "add", table: "cache", key: "C.1.2", value }),
      change(put(row(1, [1, 2], "C.1"), "cache/C.1")),
      change({ op: "delete", table: "cache", key: "C.1.1" }),
    ];
    await Promise.all(all);
    assert.equal(shown(fleet, "cache/C.1"), "2: C.1.2*");
  });
});

describe("ordering groups and the ends of programs and hosts", () => {
  /** Two hosts with a server each of every instance; those on HOST1 are synchronising. */
  async function fleetOf(groups: number): Promise<SimFleet> {
    const fleet = new SimFleet({ seed: 11 });
    fleet.addDirectory();
    for (const host of ["HOST1", "HOST2", "HOST3"]) fleet.addAgent(host);
    fleet.addClient("caller", { agent: "HOST3" });
    await fleet.start();
    const caller = fleet.client("caller");
    for (let group = 1; group <= groups; group++) {
      const instance = `MDS.${group}`;
      const servers = [1, 2].map((number): Operation => {
        const value = { host: `HOST${number}`, port: 1000 + number };
        return { op: "add", table: "metadata", key: `${instance}.${number}`, value };
      });
      await fleet.until(caller.change([...servers, put(row(1, [1, 2], instance), `metadata/${instance}`)]));
    }
    return fleet;
  }

  test("a program that dies, and one that leaves in good order, are out of their group with the change that says so", async () => {
    const fleet = new SimFleet({ seed: 12 });
    fleet.addDirectory();
    fleet.addAgent("HOST1");
    for (const name of ["one", "two", "three", "caller"]) fleet.addClient(name, { agent: "HOST1" });
    fleet.addClient("partial", { agent: "HOST1", want: [{ table: "metadata", prefix: "" }] });
    await fleet.start();
    const served = [];
    for (const [index, name] of ["one", "two", "three"].entries())
      served.push(await fleet.until(fleet.client(name).serve("metadata", `MDS.1.${index + 1}`, { port: index + 1 })));
    const caller = fleet.client("caller");
    await fleet.until(caller.change([put(row(1, [1, 2, 3]))]));
    fleet.member("one").crash();
    await fleet.runFor(1000);
    assert.equal(shown(caller), "2: MDS.1.2* MDS.1.3");
    const found = fleet.client("partial").find("metadata", "MDS.1");
    assert.deepEqual(found?.group, { epoch: 2, synchronising: "MDS.1.2" }, "who holds one table knows its groups");
    assert.equal(caller.get("metadata", "MDS.1.1")?.revision.sequence, caller.get(groupsTable, key)?.revision.sequence);
    await fleet.until(served[1]?.close() ?? Promise.resolve());
    await fleet.runFor(50);
    assert.equal(shown(caller), "3: MDS.1.3*");
    assert.equal(caller.get("metadata", "MDS.1.2"), undefined);
  });

  test("a host that is given up takes all its groups along, many or few; never is there an invalid primary beside a valid member", async () => {
    for (const groups of [3, 130]) {
      const fleet = await fleetOf(groups);
      const caller = fleet.client("caller");
      const revisions = new Set<string>();
      const looked = caller.subscribe({ tables: ["metadata", "hosts", groupsTable] }, ({ table, entry }) => {
        if (entry !== undefined && table !== "metadata") revisions.add(formatRevision(entry.revision));
        for (let group = 1; group <= groups; group++)
          assert.equal(caller.find("metadata", `MDS.${group}`)?.instance, primaryOf(caller, "metadata", `MDS.${group}`) ?? "a primary");
      });
      await fleet.runFor(100);
      fleet.member("HOST1").crash();
      await fleet.runFor(3000);
      looked.cancel();
      assert.equal(caller.get("hosts", "HOST1")?.valid, false);
      for (let group = 1; group <= groups; group++) assert.equal(shown(caller, `metadata/MDS.${group}`), `2: MDS.${group}.2*`);
      assert.equal(revisions.size, Math.ceil(groups / 50), "at most 50 groups a change, the last ones with the host itself");
      fleet.member("HOST1").restart();
      await fleet.runFor(1000);
      assert.equal(caller.get("metadata", "MDS.1.1")?.valid, true);
      assert.equal(shown(caller, "metadata/MDS.1"), "2: MDS.1.2*", "nobody is a member again by itself");
    }
  });

  test("a roll that may be older than its fleet names epochs beyond any that a member can have promised", async () => {
    const fleet = await fleetOf(2);
    await fleet.runFor(200);
    fleet.member("directory").crash();
    fleet.disk.lose();
    fleet.member("directory").restart();
    await fleet.runFor(3000);
    const raised = String((fleet.member("directory").node.position.epoch ?? 0) * groupEpochBlock);
    assert.equal(shown(fleet.client("caller"), "metadata/MDS.1"), `${raised}: MDS.1.1* MDS.1.2`);
    fleet.member("directory").restart();
    await fleet.runFor(1000);
    assert.equal(shown(fleet.client("caller"), "metadata/MDS.2"), `${raised}: MDS.2.1* MDS.2.2`, "its own roll a directory knows");
  });
});
