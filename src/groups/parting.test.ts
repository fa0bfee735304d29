import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type GroupRow, anyReplica, groupEpochBlock } from "../tables/index.ts";
import { Scene, type SceneServer } from "./group-scene.ts";
import { type Parting, lostByJoining } from "./history.ts";

const epochBlock = groupEpochBlock;

/**
 * The first server is given up, the second alone answers three more writes. Then an older roll is put back, which names the first:
 * it goes on in another block of epochs, and answers a write of its own.
 */
async function putBack() {
  const scene = new Scene({ servers: 2 });
  await scene.start();
  const [first, second] = [scene.at(1), scene.at(2)];
  await scene.finish(scene.submit(first, 1, "a"));
  await scene.untilEqual();
  scene.crash(first);
  scene.expire(first.name);
  await scene.until(() => scene.leader() === second);
  for (const number of [2, 3, 4]) await scene.finish(scene.submit(second, number, "b"));
  // Until what is installed is on the disk.
  await scene.world.runFor(200);
  scene.crash(second);
  const members = [{ server: first.name, replica: first.member.status().replica }];
  const older: GroupRow = { epoch: 7 * epochBlock, members, synchronising: first.name, copiesMin: 1 };
  scene.roll.set(older);
  await scene.restart(first);
  await scene.until(() => scene.leader() === first);
  await scene.finish(scene.submit(first, 1, "x", { lease: "new" }));
  await scene.restart(second);
  return { scene, first, second };
}

const value = (scene: Scene, server: SceneServer) => scene.valueAt(server, "all");

async function promote(scene: Scene, server: SceneServer): Promise<void> {
  const { row } = scene.roll;
  assert.ok(row);
  scene.roll.set({ ...row, epoch: row.epoch + 1, members: [{ server: server.name, replica: anyReplica }], synchronising: server.name });
  await scene.until(() => scene.leader() === server);
}

describe("a server that holds what its group lacks", () => {
  test("[I17] keeps its copy and says so, whatever the members that an older roll names have written since", async () => {
    const { scene, first, second } = await putBack();
    for (let number = 2; number <= 12; number++) await scene.finish(scene.submit(first, number, "x", { lease: "new" }));
    await scene.world.runFor(5000);
    assert.deepEqual([value(scene, second), second.member.status().role], ["abbb", "outside"]);
    const { trouble } = second.member.status();
    assert.equal(trouble?.code, "groups/parted");
    assert.match(trouble?.next ?? "", /promote .*--accept-loss.*empty directory/);
    assert.equal(second.telemetry.lines.filter(({ event }) => event === "group-join-denied").length, 1, "said once");
    assert.equal(first.telemetry.lines.filter(({ event }) => event === "group-joiner-denied").length, 1);
    // Also after it was started again.
    scene.crash(second);
    await scene.restart(second);
    await scene.until(() => second.member.status().trouble?.code === "groups/parted");
    assert.equal(value(scene, second), "abbb");
    assert.equal(scene.roll.row?.members.length, 1);
  });

  test("goes on with its copy when somebody gives up the other one, which is replaced then", async () => {
    const { scene, first, second } = await putBack();
    await scene.until(() => second.member.status().trouble !== undefined);
    await promote(scene, second);
    await scene.until(() => first.member.status().role === "member");
    await scene.untilEqual();
    assert.deepEqual([value(scene, first), value(scene, second)], ["abbb", "abbb"]);
    assert.equal(second.member.status().trouble, undefined);
    assert.equal(scene.textOf(await scene.finish(scene.submit(second, 4, "b"))), "abbb");
  });

  test("comes in when its data was given up for an empty directory, or by a promotion of those that the roll names", async () => {
    const emptied = await putBack();
    await emptied.scene.until(() => emptied.second.member.status().trouble !== undefined);
    emptied.scene.crash(emptied.second);
    emptied.second.disk.lose();
    await emptied.scene.restart(emptied.second);
    await emptied.scene.until(() => emptied.second.member.status().role === "member");
    const promoted = await putBack();
    await promoted.scene.until(() => promoted.second.member.status().trouble !== undefined);
    await promote(promoted.scene, promoted.first);
    await promoted.scene.until(() => promoted.second.member.status().role === "member");
    await promoted.scene.untilEqual();
    assert.equal(value(promoted.scene, promoted.second), "ax");
    assert.equal(promoted.second.member.status().trouble, undefined);
  });

  test("what was given up is known also when the server that was promoted begins twice", async () => {
    const { scene, first, second } = await putBack();
    await scene.until(() => second.member.status().trouble !== undefined);
    const { row } = scene.roll;
    assert.ok(row);
    // Its own identity is in the row, and it is gone before it has said anything in that epoch.
    second.disk.slow(0);
    scene.roll.set({ ...row, epoch: row.epoch + 1, members: [{ server: second.name, replica: anyReplica }], synchronising: second.name });
    await scene.until(() => scene.roll.row?.epoch === row.epoch + 2);
    scene.crash(second);
    await scene.restart(second);
    await scene.until(() => first.member.status().role === "member");
    await scene.untilEqual();
    assert.equal(value(scene, first), "abbb");
  });

  test("[I17] is not overwritten by one that makes the group's row again", async () => {
    const scene = new Scene({ servers: 2 });
    await scene.start();
    const [first, second] = [scene.at(1), scene.at(2)];
    await scene.finish(scene.submit(first, 1, "a"));
    await scene.untilEqual();
    scene.crash(second);
    scene.expire(second.name);
    await scene.finish(scene.submit(first, 2, "b"));
    await scene.world.runFor(200);
    scene.crash(first);
    scene.roll.set(undefined);
    await scene.restart(second);
    await scene.until(() => scene.leader() === second);
    await scene.restart(first);
    await scene.until(() => first.member.status().trouble?.code === "groups/parted");
    assert.equal(value(scene, first), "ab");
  });

  test("members that an older roll names take over from the longest of their logs; others that hold no more join as ever", async () => {
    const scene = new Scene({ servers: 3 });
    await scene.start();
    const [first, second, third] = [scene.at(1), scene.at(2), scene.at(3)];
    await scene.finish(scene.submit(first, 1, "a"));
    await scene.untilEqual();
    const { row } = scene.roll;
    assert.ok(row);
    scene.crash(third);
    scene.expire(third.name);
    await scene.finish(scene.submit(first, 2, "b"));
    scene.crash(first);
    scene.expire(first.name);
    await scene.until(() => scene.leader() === second);
    await scene.finish(scene.submit(second, 3, "c"));
    const members = row.members.filter(({ server }) => server !== third.name);
    scene.roll.set({ ...row, members, epoch: 3 * epochBlock });
    await scene.restart(first);
    await scene.restart(third);
    await scene.until(() => scene.roll.row?.members.length === 3);
    await scene.untilEqual();
    assert.deepEqual(
      scene.servers.map((server) => value(scene, server)),
      ["abc", "abc", "abc"],
    );
  });
});

describe("what would be lost by joining", () => {
  const at = (epoch: number, index: number) => ({ epoch, index });
  const parting = (epoch: number, index: number, last: { epoch: number; index: number }, isAccepted = false): Parting => ({
    epoch,
    index,
    by: "a".repeat(16),
    isAccepted,
    last,
  });
  const founded = parting(1, 1, at(0, 0));
  const begun = { epoch: 1, by: founded.by };
  const nothing = () => undefined;

  test("nothing of a server that has nothing, or that was there before the parting; all behind it, unless somebody accepted that", () => {
    const own = [founded, parting(5, 10, at(3, 9))];
    const shown = at(5, 20);
    assert.equal(lostByJoining({ committed: at(0, 0), last: at(0, 0), partings: [] }, own, shown, nothing), undefined);
    assert.equal(lostByJoining({ committed: at(2, 8), last: at(3, 9), partings: [begun] }, own, shown, nothing), undefined);
    assert.deepEqual(lostByJoining({ committed: at(3, 9), last: at(3, 10), partings: [begun] }, own, shown, nothing), at(3, 9));
    assert.deepEqual(lostByJoining({ committed: at(4, 9), last: at(4, 9), partings: [begun] }, own, shown, nothing), at(3, 9));
    const accepted = [...own, parting(6, 12, at(5, 11), true)];
    assert.equal(lostByJoining({ committed: at(4, 99), last: at(4, 99), partings: [begun] }, accepted, shown, nothing), undefined);
    const before = [founded, parting(2, 5, at(1, 4), true), parting(5, 10, at(3, 9))];
    const since = { committed: at(4, 99), last: at(4, 99), partings: [begun, { epoch: 2, by: founded.by }] };
    assert.deepEqual(lostByJoining(since, before, shown, nothing), at(3, 9), "that was accepted before is another loss");
  });

  test("all of a server with a parting that this history never had, and of one that shows what is not here", () => {
    const elsewhere = { committed: at(7, 5), last: at(7, 5), partings: [begun, { epoch: 7, by: "b".repeat(16) }] };
    assert.deepEqual(lostByJoining(elsewhere, [founded], at(8, 20), nothing), at(8, 20));
    const ahead = { committed: at(2, 30), last: at(2, 30), partings: [begun] };
    assert.deepEqual(lostByJoining(ahead, [founded], at(8, 20), nothing), at(8, 20));
    assert.deepEqual(
      lostByJoining({ ...ahead, committed: at(2, 10) }, [founded], at(8, 20), () => 3),
      at(8, 20),
    );
    assert.equal(
      lostByJoining({ ...ahead, committed: at(2, 10) }, [founded], at(8, 20), () => 2),
      undefined,
    );
  });
});
