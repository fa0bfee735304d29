import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { anyReplica, groupEpochBlock } from "../tables/index.ts";
import { Scene, others, started } from "./group-scene.ts";
import { decodeGroupMessage } from "./messages.ts";

describe("members of an ordering group", () => {
  test("[I17] a takeover keeps what was answered, and runs what was queued", async () => {
    const { scene, leader } = await started();
    await scene.finish(scene.submit(leader, 1, "a"));
    const [second] = others(scene, leader);
    assert.ok(second);
    // A copy that only this member has.
    const waits = scene.submit(second, 2, "b");
    scene.crash(leader);
    scene.expire(leader.name);
    assert.equal(scene.textOf(await scene.finish(waits)), "ab");
    await scene.restart(leader);
    await scene.until(() => scene.roll.row?.members.length === 3);
    await scene.untilEqual();
    assert.equal(scene.valueAt(leader, "all"), "ab");
  });

  test("[I17] nothing is answered while a member of the epoch lacks it", async () => {
    const { scene, leader } = await started();
    const [second] = others(scene, leader);
    assert.ok(second);
    scene.cut.add(`* ${second.name}`);
    let isSettled = false;
    void scene.submit(leader, 1, "a").then(() => (isSettled = true));
    await scene.world.runFor(500);
    assert.equal(isSettled, false);
    // Its silence ends in an epoch without it.
    await scene.until(() => isSettled);
    assert.deepEqual(scene.roll.row?.members.map(({ server }) => server).includes(second.name), false);
    scene.cut.clear();
    await scene.until(() => scene.roll.row?.members.length === 3);
    await scene.untilEqual();
  });

  test("[I19] a host that was deposed without noticing commits nothing", async () => {
    const { scene, leader } = await started();
    scene.cut.add(`${leader.name} *`);
    scene.cut.add(`* ${leader.name}`);
    const waits = scene.submit(leader, 1, "old", { leftMs: 3000 });
    leader.node.pause();
    scene.expire(leader.name);
    await scene.until(() => scene.servers.some((one) => one !== leader && one.member.status().role === "serving"));
    const next = others(scene, leader).find(({ member }) => member.status().role === "serving");
    assert.ok(next);
    assert.equal(scene.textOf(await scene.finish(scene.submit(next, 1, "new", { lease: "other" }))), "new");
    scene.cut.clear();
    leader.node.resume();
    assert.equal((await scene.finish(waits)).kind, "elsewhere");
    await scene.until(() => scene.roll.row?.members.length === 3);
    await scene.untilEqual();
    assert.equal(scene.valueAt(leader, "all"), "new");
  });

  test("a server that lost its disk comes back with a copy of the state", async () => {
    const { scene, leader } = await started({ limits: { logEntriesMax: 4 } });
    for (let number = 1; number <= 30; number++) await scene.finish(scene.submit(leader, number, "x", { low: number }));
    const [second] = others(scene, leader);
    assert.ok(second);
    scene.crash(second);
    scene.expire(second.name);
    second.disk.lose();
    await scene.restart(second);
    await scene.until(() => second.member.status().role === "member");
    await scene.untilEqual();
    assert.equal(scene.valueAt(second, "all"), "x".repeat(30));
    assert.equal(scene.textOf(await scene.finish(scene.submit(second, 30, "x", { low: 30 }))), "x".repeat(30));
  });

  test("the last member without its disk says so and runs nothing; the row stays", async () => {
    const { scene, leader } = await started({ servers: 1 });
    await scene.finish(scene.submit(leader, 1, "a"));
    scene.crash(leader);
    leader.disk.lose();
    await scene.restart(leader);
    await scene.world.runFor(2000);
    assert.equal(leader.member.status().role, "lost");
    assert.equal(leader.member.status().trouble?.code, "groups/lost");
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 1, "a"))), "groups/lost");
  });

  test("a synchronising host that returns within its epoch begins another one", async () => {
    const { scene, leader } = await started();
    await scene.finish(scene.submit(leader, 1, "a"));
    const epoch = scene.roll.row?.epoch ?? 0;
    scene.crash(leader);
    await scene.restart(leader);
    await scene.until(() => leader.member.status().role === "serving");
    assert.equal(scene.roll.row?.epoch, epoch + 1);
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 1, "a"))), "a");
    assert.equal(scene.executed.get("a"), 1);
  });

  test("[I19] nothing is said in an epoch before its promise is durable, also by a host that goes on in its office", async () => {
    const { scene, leader } = await started();
    const [second] = others(scene, leader);
    assert.ok(second);
    await scene.until(() => leader.member.status().promised === scene.roll.row?.epoch);
    const epochs = new Set<number>();
    scene.tap = (from, message) => from === leader.name && epochs.add(decodeGroupMessage(message).epoch);
    leader.disk.slow(200);
    scene.crash(second);
    scene.expire(second.name);
    const epoch = scene.roll.row?.epoch ?? 0;
    const write = scene.submit(leader, 1, "a");
    await scene.until(() => leader.member.status().epoch === epoch);
    await scene.world.runFor(150);
    assert.deepEqual([...epochs], [epoch - 1]);
    assert.equal(scene.textOf(await scene.finish(write)), "a");
    assert.ok(epochs.has(epoch) && leader.member.status().promised === epoch);
  });

  test("a full disk at a member costs it its place, one at the synchronising host its office", async () => {
    const { scene, leader } = await started();
    const [second] = others(scene, leader);
    assert.ok(second);
    second.disk.full = true;
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 1, "a"))), "a");
    assert.equal(
      scene.roll.row?.members.some(({ server }) => server === second.name),
      false,
    );
    second.disk.full = false;
    await scene.until(() => scene.roll.row?.members.length === 3);
    leader.disk.full = true;
    const waits = scene.submit(leader, 2, "b");
    await scene.until(() => scene.roll.row?.synchronising !== leader.name);
    assert.equal((await scene.finish(waits)).kind, "elsewhere");
    await scene.until(() => scene.leader() !== undefined);
    const next = scene.leader();
    assert.ok(next);
    assert.match(scene.textOf(await scene.finish(scene.submit(next, 2, "b"))), /^ab$/);
    leader.disk.full = false;
    await scene.until(() => scene.roll.row?.members.length === 3);
    await scene.untilEqual();
  });

  test("with fewer copies than the group wants, writes are refused with effect none", async () => {
    const { scene, leader } = await started({ servers: 1, copiesMin: 2 });
    const settled = await scene.finish(scene.submit(leader, 1, "a"));
    assert.equal(scene.textOf(settled), "groups/too-few-copies");
    assert.equal(settled.kind === "refused" && settled.error.effect, "none");
  });

  test("when the last member is gone nobody takes its place; what is given up by hand is replaced where it comes back", async () => {
    const { scene, leader } = await started({ servers: 2 });
    const [second] = others(scene, leader);
    assert.ok(second);
    await scene.finish(scene.submit(leader, 1, "a"));
    await scene.untilEqual();
    scene.crash(second);
    scene.expire(second.name);
    await scene.until(() => leader.member.status().epoch === scene.roll.row?.epoch);
    for (const number of [2, 3, 4]) await scene.finish(scene.submit(leader, number, "b"));
    scene.crash(leader);
    await scene.restart(second);
    await scene.world.runFor(8000);
    assert.equal(second.member.status().role, "outside");
    const { row } = scene.roll;
    assert.ok(row);
    const members = [{ server: second.name, replica: anyReplica }];
    scene.roll.set({ ...row, epoch: row.epoch + 1, members, synchronising: second.name });
    await scene.until(() => second.member.status().role === "serving");
    for (const number of [2, 3]) await scene.finish(scene.submit(second, number, "c", { lease: "other" }));
    await scene.restart(leader);
    await scene.until(() => leader.member.status().role === "member");
    await scene.untilEqual();
    assert.deepEqual([scene.valueAt(second, "all"), scene.valueAt(leader, "all")], ["acc", "acc"]);
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 1, "a"))), "a");
  });

  test("whoever is chosen with whatever it has writes its own identity as the next epoch, and only then serves", async () => {
    const { scene, leader } = await started({ servers: 2 });
    const [second] = others(scene, leader);
    assert.ok(second);
    await scene.finish(scene.submit(leader, 1, "a"));
    await scene.untilEqual();
    scene.crash(leader);
    const { row } = scene.roll;
    assert.ok(row);
    scene.roll.away = true;
    const members = [{ server: second.name, replica: anyReplica }];
    scene.roll.set({ ...row, epoch: row.epoch + 1, members, synchronising: second.name });
    await scene.world.runFor(2000);
    assert.deepEqual([second.member.status().role, scene.roll.row?.epoch], ["taking-over", row.epoch + 1]);
    assert.equal(scene.textOf(await scene.finish(scene.submit(second, 9, "x"))), "elsewhere");
    scene.roll.away = false;
    await scene.until(() => second.member.status().role === "serving");
    assert.equal(scene.roll.row?.epoch, row.epoch + 2);
    assert.deepEqual(scene.roll.row?.members, [{ server: second.name, replica: second.member.status().replica }]);
    assert.equal(scene.textOf(await scene.finish(scene.submit(second, 2, "b"))), "ab");
    await scene.restart(leader);
    await scene.until(() => leader.member.status().role === "member");
    await scene.untilEqual();
    assert.equal(scene.valueAt(leader, "all"), "ab");
  });

  test("a synchronising host that is chosen itself does not serve under the mark", async () => {
    const { scene, leader } = await started({ servers: 1 });
    const { row } = scene.roll;
    assert.ok(row);
    scene.roll.away = true;
    scene.roll.set({ ...row, epoch: row.epoch + 1, members: [{ server: leader.name, replica: anyReplica }] });
    await scene.until(() => leader.member.status().epoch === row.epoch + 1);
    await scene.world.runFor(1000);
    assert.equal(leader.member.status().role, "taking-over");
    await assert.rejects(scene.finish(leader.member.readLatest(300)), { code: "groups/not-synchronising" });
    scene.roll.away = false;
    await scene.until(() => leader.member.status().role === "serving");
    assert.deepEqual(scene.roll.row, { ...row, epoch: row.epoch + 2 });
  });

  test("an emptied server that is chosen begins with nothing", async () => {
    const { scene, leader } = await started({ servers: 1 });
    await scene.finish(scene.submit(leader, 1, "a"));
    scene.crash(leader);
    leader.disk.lose();
    await scene.restart(leader);
    await scene.until(() => leader.member.status().role === "lost");
    const { row } = scene.roll;
    assert.ok(row);
    scene.roll.set({ ...row, epoch: row.epoch + 1, members: [{ server: leader.name, replica: anyReplica }] });
    await scene.until(() => leader.member.status().role === "serving");
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 1, "b"))), "b");
  });

  test("a server whose store takes nothing is not the group's, chosen or not", async () => {
    const { scene, leader } = await started({ servers: 2 });
    const [second] = others(scene, leader);
    assert.ok(second);
    second.disk.full = true;
    void scene.submit(leader, 1, "a");
    await scene.until(() => second.member.status().trouble !== undefined);
    scene.crash(leader);
    const { row } = scene.roll;
    assert.ok(row);
    const members = [{ server: second.name, replica: anyReplica }];
    scene.roll.set({ ...row, epoch: row.epoch + 1, members, synchronising: second.name });
    await scene.world.runFor(3000);
    assert.deepEqual([second.member.status().role, scene.roll.row?.epoch], ["taking-over", row.epoch + 1]);
  });

  test("a server that the roll does not take for valid keeps nobody else out, and no write waits for it", async () => {
    const scene = new Scene({ servers: 4, limits: { joinersMax: 1 } });
    const [first, bad] = [scene.at(1), scene.at(2)];
    const names = (): string[] => (scene.roll.row?.members ?? []).map(({ server }) => server).sort();
    let refusals = 0;
    scene.roll.refuses = ({ members }) => {
      const isBad = members.some(({ server }) => server === bad.name);
      if (isBad) refusals++;
      return isBad;
    };
    await scene.open(first);
    await scene.until(() => scene.leader() === first);
    for (const server of [bad, scene.at(3), scene.at(4)]) await scene.open(server);
    await scene.until(() => names().length === 3, 5000);
    assert.deepEqual(names(), [first.name, scene.at(3).name, scene.at(4).name]);
    refusals = 0;
    await scene.world.runFor(5000);
    assert.equal(refusals >= 2 && refusals <= 5, true, `${refusals} times`);
    // It is away again and again, for less than what costs a joiner its place.
    for (let number = 1; number <= 20; number++) {
      bad.node.pause();
      await scene.finish(scene.submit(first, number, "a", { low: number }), 300);
      bad.node.resume();
      await scene.world.runFor(90);
    }
    scene.roll.refuses = () => false;
    await scene.until(() => names().length === 4);
    await scene.untilEqual();
    assert.equal(scene.valueAt(bad, "all"), "a".repeat(20));
  });

  test("a row that somebody deleted is made again, in the next block of epochs", async () => {
    const { scene, leader } = await started({ servers: 1 });
    await scene.finish(scene.submit(leader, 1, "a"));
    const { promised } = leader.member.status();
    scene.roll.set(undefined);
    await scene.until(() => scene.roll.row !== undefined);
    assert.deepEqual([promised, scene.roll.row?.epoch], [1, groupEpochBlock]);
    await scene.until(() => leader.member.status().role === "serving");
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 1, "a"))), "a");
  });

  test("a member that was itself away accuses nobody", async () => {
    const { scene, leader } = await started();
    const epoch = scene.roll.row?.epoch;
    for (const server of others(scene, leader)) server.node.pause();
    await scene.world.runFor(900);
    for (const server of others(scene, leader)) server.node.resume();
    leader.node.pause();
    await scene.world.runFor(900);
    leader.node.resume();
    await scene.world.runFor(3000);
    assert.equal(scene.roll.row?.epoch, epoch);
  });

  test("a member that stumbles every two seconds still notices who is silent", async () => {
    const { scene, leader } = await started({ servers: 2 });
    const [second] = others(scene, leader);
    assert.ok(second);
    let stumbles = 0;
    const stumble = (): void => {
      stumbles++;
      leader.node.pause();
      scene.world.after(160, () => {
        leader.node.resume();
        scene.world.after(1500, stumble);
      });
    };
    stumble();
    second.node.pause();
    const write = scene.submit(leader, 1, "a", { leftMs: 60_000 });
    assert.equal(scene.textOf(await scene.finish(write, 6000)), "a");
    assert.deepEqual([stumbles >= 2, scene.roll.row?.members.map(({ server }) => server)], [true, [leader.name]]);
  });
});
