import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type GroupRow, anyReplica, groupEpochBlock } from "../tables/index.ts";
import { Scene, type SceneOptions, type SceneServer } from "./group-scene.ts";
import { History, type PartingName, decodeHistory, lostByJoining } from "./history.ts";
import type { Opening } from "./openings.ts";

const epochBlock = groupEpochBlock;

/** Servers of one group that all have an "a", which the first has ordered. */
async function begun(options: SceneOptions = {}) {
  const scene = new Scene({ servers: 2, ...options });
  await scene.start();
  const [first, second] = [scene.at(1), scene.at(2)];
  await scene.finish(scene.submit(first, 1, "a"));
  await scene.untilEqual();
  return { scene, first, second };
}

/** One is gone, the roll gives it up, and the other one orders. */
async function leave(scene: Scene, gone: SceneServer, successor: SceneServer): Promise<void> {
  scene.crash(gone);
  scene.expire(gone.name);
  await scene.until(() => scene.leader() === successor);
}

/** It begins again, as the only one that the roll names. */
async function restartAlone(scene: Scene, server: SceneServer): Promise<void> {
  await scene.restart(server);
  await scene.until(() => scene.leader() === server);
}

function rowOf(scene: Scene): GroupRow {
  const { row } = scene.roll;
  assert.ok(row);
  return row;
}

/** Somebody accepts the loss of what the others have. */
function nameAlone(scene: Scene, { name }: SceneServer): void {
  const row = rowOf(scene);
  scene.roll.set({ ...row, epoch: row.epoch + 1, members: [{ server: name, replica: anyReplica }], synchronising: name });
}

async function promote(scene: Scene, server: SceneServer): Promise<void> {
  nameAlone(scene, server);
  await scene.until(() => scene.leader() === server);
}

const value = (scene: Scene, server: SceneServer) => scene.valueAt(server, "all");

/** What it says of why it stays outside. */
const troubleOf = ({ member }: SceneServer) => member.status().trouble?.code;

/**
 * The first server is given up, the second alone answers three more writes. Then an older roll is put back, which names the first:
 * it goes on in another block of epochs, and answers a write of its own.
 */
async function putBack() {
  const { scene, first, second } = await begun();
  await leave(scene, first, second);
  for (const number of [2, 3, 4]) await scene.finish(scene.submit(second, number, "b"));
  // Until what is installed is on the disk.
  await scene.world.runFor(200);
  scene.crash(second);
  const members = [{ server: first.name, replica: first.member.status().replica }];
  const older: GroupRow = { epoch: 7 * epochBlock, members, synchronising: first.name, copiesMin: 1 };
  scene.roll.set(older);
  await restartAlone(scene, first);
  await scene.finish(scene.submit(first, 1, "x", { lease: "new" }));
  await scene.restart(second);
  return { scene, first, second };
}

/** The first server, alone; then both; then the second alone, which answers two more writes. The row is put back in the same block. */
async function sameBlock() {
  const { scene, first, second } = await begun({ limits: { logEntriesMax: 8 } });
  await leave(scene, second, first);
  await scene.world.runFor(300);
  const older = scene.roll.row;
  await scene.restart(second);
  await scene.until(() => scene.roll.row?.members.length === 2);
  await scene.world.runFor(300);
  await leave(scene, first, second);
  for (const number of [2, 3]) await scene.finish(scene.submit(second, number, "b"));
  await scene.world.runFor(300);
  scene.crash(second);
  scene.roll.set(older);
  await restartAlone(scene, first);
  return { scene, first, second };
}

/** The first goes on alone; then somebody promotes the second, which has less, and it goes on alone. */
async function halves() {
  const { scene, first, second } = await begun();
  await leave(scene, second, first);
  for (const number of [2, 3, 4]) await scene.finish(scene.submit(first, number, "x"));
  await scene.world.runFor(300);
  scene.crash(first);
  nameAlone(scene, second);
  await restartAlone(scene, second);
  await scene.finish(scene.submit(second, 2, "y", { lease: "other" }));
  await scene.world.runFor(300);
  scene.crash(second);
  return { scene, first, second };
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
    await scene.until(() => troubleOf(second) === "groups/parted");
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
    const row = rowOf(scene);
    // Its own identity is in the row, and it is gone before it has said anything in that epoch.
    second.disk.slow(0);
    nameAlone(scene, second);
    await scene.until(() => scene.roll.row?.epoch === row.epoch + 2);
    scene.crash(second);
    await scene.restart(second);
    await scene.until(() => first.member.status().role === "member");
    await scene.untilEqual();
    assert.equal(value(scene, first), "abbb");
  });

  test("[I17] is not overwritten by one that makes the group's row again", async () => {
    const { scene, first, second } = await begun();
    await leave(scene, second, first);
    await scene.finish(scene.submit(first, 2, "b"));
    await scene.world.runFor(200);
    scene.crash(first);
    scene.roll.set(undefined);
    await restartAlone(scene, second);
    await scene.restart(first);
    await scene.until(() => troubleOf(first) === "groups/parted");
    assert.equal(value(scene, first), "ab");
  });

  test("[I17] the same in epochs of one block: an older roll that nobody knows to be older is told by who ordered them", async () => {
    for (const entries of [4, 30]) {
      const { scene, first, second } = await sameBlock();
      for (let number = 1; number <= entries; number++) await scene.finish(scene.submit(first, number, "x", { lease: "new" }));
      await scene.world.runFor(500);
      await scene.restart(second);
      await scene.until(() => troubleOf(second) === "groups/parted");
      assert.deepEqual([value(scene, second), second.member.status().role], ["abb", "outside"]);
      assert.equal(value(scene, first), `a${"x".repeat(entries)}`);
    }
  });

  test("[I17] two halves that a row names together are taken apart again, whichever of them it lets order", async () => {
    for (const number of [1, 2]) {
      const { scene, first, second } = await halves();
      const members = [first, second].map(({ name, member }) => ({ server: name, replica: member.status().replica }));
      scene.roll.set({ ...rowOf(scene), members, epoch: 7 * epochBlock, synchronising: scene.at(number).name });
      await scene.restart(first);
      await scene.restart(second);
      await scene.until(() => scene.leader() === second);
      const { trouble } = first.member.status();
      assert.ok(trouble === undefined || trouble.code === "groups/parted");
      assert.equal(scene.textOf(await scene.finish(scene.submit(second, 9, "z", { lease: "third" }))), "ayz");
      // Its copy was given up by the promotion, so it takes the other one's.
      await scene.until(() => first.member.status().role === "member");
      await scene.untilEqual();
      assert.equal(value(scene, first), "ayz");
    }
  });

  test("[I17] a server that has promised a higher block than the row says why it is outside, and can be promoted", async () => {
    const { scene, first, second } = await begun();
    await leave(scene, second, first);
    scene.roll.set({ ...rowOf(scene), epoch: 7 * epochBlock });
    await scene.until(() => scene.leader() === first && first.member.status().epoch === 7 * epochBlock);
    await scene.finish(scene.submit(first, 2, "b"));
    await scene.world.runFor(300);
    scene.crash(first);
    scene.roll.set(undefined);
    await restartAlone(scene, second);
    await scene.finish(scene.submit(second, 1, "y", { lease: "other" }));
    await scene.restart(first);
    await scene.until(() => troubleOf(first) === "groups/parted");
    assert.equal(value(scene, first), "ab");
    await promote(scene, first);
    assert.equal(scene.roll.row?.epoch, 8 * epochBlock);
    await scene.until(() => second.member.status().role === "member");
    await scene.untilEqual();
    assert.deepEqual([value(scene, first), value(scene, second)], ["ab", "ab"]);
  });

  test("a row that is older than what its host has promised goes on in the next block, as a parting", async () => {
    const { scene, first } = await sameBlock();
    assert.equal(scene.roll.row?.epoch, epochBlock);
    assert.equal(first.telemetry.lines.filter(({ event }) => event === "group-history-parts").length, 1);
  });

  test("members that an older roll names take over from the longest of their logs; others that hold no more join as ever", async () => {
    const { scene, first, second } = await begun({ servers: 3 });
    const third = scene.at(3);
    const row = rowOf(scene);
    await leave(scene, third, first);
    await scene.finish(scene.submit(first, 2, "b"));
    await leave(scene, first, second);
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
  const [one, other] = ["a".repeat(16), "b".repeat(16)];
  const parting = (epoch: number, index: number, last: { epoch: number; index: number }, isAccepted = false) => ({
    epoch,
    index,
    by: one,
    isAccepted,
    last,
  });
  const opened = (epoch: number, index: number, last: { epoch: number; index: number }, by = one) => ({ epoch, index, by, last });
  const founded = parting(1, 1, at(0, 0));
  const begun = { epoch: 1, by: one };
  const nothing = () => undefined;
  const here = (
    openings: readonly Opening[],
    shown: { epoch: number; index: number },
    epochAt: (index: number) => number | undefined = nothing,
  ) => ({
    openings,
    shown,
    epoch: shown.epoch,
    epochAt,
  });
  const holds = (committed: { epoch: number; index: number }, last = committed, partings: readonly PartingName[] = [begun], by = one) => ({
    committed: { at: committed, by },
    last: { at: last, by },
    partings,
  });

  test("nothing of a server that has nothing, or that was there before the parting; all behind it, unless somebody accepted that", () => {
    const own = [founded, parting(5, 10, at(3, 9))];
    const shown = at(5, 20);
    assert.equal(lostByJoining(holds(at(0, 0), at(0, 0), []), here(own, shown)), undefined);
    assert.equal(lostByJoining(holds(at(2, 8), at(3, 9)), here(own, shown)), undefined);
    assert.deepEqual(lostByJoining(holds(at(3, 9), at(3, 10)), here(own, shown)), at(3, 9));
    assert.deepEqual(lostByJoining(holds(at(4, 9)), here(own, shown)), at(3, 9));
    const accepted = [...own, parting(6, 12, at(5, 11), true)];
    assert.equal(lostByJoining(holds(at(4, 99)), here(accepted, at(6, 20))), undefined);
    const before = [founded, parting(2, 5, at(1, 4), true), parting(5, 10, at(3, 9))];
    const since = holds(at(4, 99), at(4, 99), [begun, { epoch: 2, by: one }]);
    assert.deepEqual(lostByJoining(since, here(before, shown)), at(3, 9), "that was accepted before is another loss");
  });

  test("what was accepted covers nothing that was answered in later epochs", () => {
    const own = [founded, parting(7009, 20, at(4, 19), true), parting(12_000, 30, at(7009, 29))];
    const names = [1, 7000, 9000].map((epoch) => ({ epoch, by: one }));
    assert.deepEqual(lostByJoining(holds(at(9000, 60), at(9000, 60), names), here(own, at(12_000, 40))), at(4, 19));
    const alone = [founded, parting(7, 20, at(4, 19), true)];
    assert.equal(lostByJoining(holds(at(4, 30)), here(alone, at(9, 40))), undefined);
    assert.deepEqual(lostByJoining(holds(at(8, 60)), here(alone, at(9, 40))), at(4, 19));
  });

  test("all of a server with a parting that this history never had, and of one that shows what is not here", () => {
    const elsewhere = holds(at(7, 5), at(7, 5), [begun, { epoch: 7, by: other }]);
    assert.deepEqual(lostByJoining(elsewhere, here([founded], at(8, 20))), at(8, 20));
    const ahead = holds(at(2, 30));
    assert.deepEqual(lostByJoining(ahead, here([founded], at(8, 20))), at(8, 20));
    const kept = (epoch: number) => here([founded], at(8, 20), () => epoch);
    assert.deepEqual(lostByJoining(holds(at(2, 10)), kept(3)), at(8, 20));
    assert.equal(lostByJoining(holds(at(2, 10)), kept(2)), undefined);
  });

  test("all of a server whose last entries somebody else ordered, also where the log here does not reach back", () => {
    const own = [founded, opened(2, 5, at(1, 4)), opened(4, 9, at(2, 8))];
    const shown = at(5, 20);
    for (const epochAt of [nothing, () => 4]) {
      assert.equal(lostByJoining(holds(at(4, 12)), here(own, shown, epochAt)), undefined);
      assert.deepEqual(lostByJoining(holds(at(4, 12), at(4, 12), [begun], other), here(own, shown, epochAt)), shown);
    }
    const only = { ...holds(at(4, 12), at(5, 13)), committed: { at: at(4, 12), by: other } };
    assert.deepEqual(lostByJoining(only, here(own, shown)), shown, "also if it has taken in a later entry from here");
    assert.deepEqual(lostByJoining(holds(at(3, 7)), here(own, shown)), shown, "none of this history was ordered there in that epoch");
    assert.equal(lostByJoining(holds(at(2, 7)), here(own, shown)), undefined);
    // It is not marked there as committed, and may have been answered all the same.
    const tail = (last: { epoch: number; index: number }, by: string) => ({ ...holds(at(2, 8)), last: { at: last, by } });
    assert.deepEqual(lostByJoining(tail(at(4, 11), other), here(own, shown)), shown);
    assert.deepEqual(lostByJoining(tail(at(6, 11), other), here(own, shown)), shown, "an epoch that is still to come");
    assert.equal(lostByJoining(tail(at(3, 9), other), here(own, shown)), undefined, "what is left of an epoch that came to nothing");
  });

  test("of very many takeovers the oldest are forgotten, and whoever was away since then cannot show that it was there", () => {
    const history = new History();
    history.install(at(1, 1), at(0, 0), { kind: "opened", parting: { by: one, isAccepted: false } });
    const forgotten = [];
    for (let epoch = 2; epoch <= 520; epoch++)
      for (const { key, bytes } of history.install(at(epoch, epoch), at(epoch - 1, epoch - 1), { kind: "opened", by: one }))
        if (bytes === undefined) forgotten.push(key);
    assert.deepEqual(forgotten, ["2", "3", "4", "5", "6", "7", "8"]);
    assert.deepEqual(decodeHistory(history.rows()), history.openings);
    const own = here(history.openings, at(520, 520));
    assert.equal(lostByJoining(holds(at(9, 9)), own), undefined);
    assert.deepEqual(lostByJoining(holds(at(7, 7)), own), at(520, 520));
  });
});
