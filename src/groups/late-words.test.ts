import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ByteWriter } from "../wire/index.ts";
import { Scene, type SceneServer, others, started } from "./group-scene.ts";
import { type GroupWord, encodeGroupMessage } from "./messages.ts";

const strange = "f".repeat(16);

/** Something that a server says, as if it had been under way for long. */
function says(from: SceneServer, to: SceneServer, word: GroupWord, replica = from.member.status().replica): void {
  const { epoch } = to.member.status();
  const message = { epoch, fromReplica: replica, toReplica: to.member.status().replica, word };
  to.member.receive(from.name, encodeGroupMessage(new ByteWriter(), message));
}

function second(scene: Scene, leader: SceneServer): SceneServer {
  const [one] = others(scene, leader);
  assert.ok(one);
  return one;
}

describe("words that come late", () => {
  test("a report of being behind from before the kept log costs a member that has confirmed more since nothing", async () => {
    const { scene, leader } = await started({ servers: 2, limits: { logEntriesMax: 4 } });
    const member = second(scene, leader);
    for (let number = 1; number <= 20; number++) await scene.finish(scene.submit(leader, number, "a", { low: number }));
    await scene.untilEqual();
    await scene.world.runFor(300);
    const { epoch, logBase } = leader.member.status();
    assert.ok(logBase > 5);
    // What was sent is still under way to it.
    scene.cut.add(`* ${member.name}`);
    void scene.submit(leader, 21, "b", { low: 21 });
    await scene.world.runFor(5);
    says(member, leader, { kind: "behind", previous: 3, hint: 2 });
    says(member, leader, { kind: "behind", previous: logBase + 1, hint: 2 });
    scene.cut.clear();
    await scene.untilEqual();
    await scene.world.runFor(3000);
    assert.deepEqual([scene.roll.row?.epoch, scene.roll.row?.members.length], [epoch, 2]);
  });

  test("only those whom the synchronising host speaks to can tell it that it is refused", async () => {
    const { scene, leader } = await started({ servers: 2 });
    const member = second(scene, leader);
    await scene.until(() => leader.member.status().promised === scene.roll.row?.epoch);
    await scene.world.runFor(100);
    const epoch = scene.roll.row?.epoch ?? 0;
    says(member, leader, { kind: "refused", promised: 99 }, strange);
    leader.member.receive(
      "MDS.1.9",
      encodeGroupMessage(new ByteWriter(), {
        epoch,
        fromReplica: strange,
        toReplica: leader.member.status().replica,
        word: { kind: "refused", promised: 99 },
      }),
    );
    await scene.world.runFor(4000);
    assert.equal(scene.roll.row?.epoch, epoch);
    says(member, leader, { kind: "refused", promised: epoch + 1 });
    await scene.until(() => scene.roll.row?.epoch === epoch + 1, 4000);
  });
});

describe("a server that was counted on and is named while it is given a copy of the state", () => {
  test("follows as a member, and is not left without entries", async () => {
    const scene = new Scene({ servers: 2, limits: { logEntriesMax: 4 } });
    const [leader, joiner] = [scene.at(1), scene.at(2)];
    await scene.open(leader);
    await scene.until(() => scene.leader() === leader);
    for (let number = 1; number <= 10; number++) await scene.finish(scene.submit(leader, number, "a", { low: number }));
    // The row that names it is under way when it begins again, as one that has nothing.
    let isNamed = false;
    scene.roll.refuses = ({ members }) => {
      if (members.length < 2 || isNamed) return false;
      isNamed = true;
      const none = { at: { epoch: 0, index: 0 }, by: "" };
      const word = { kind: "join", attempt: 77, committed: none, last: none, partings: [] } as const;
      says(joiner, leader, word);
      return false;
    };
    await scene.open(joiner);
    await scene.until(() => scene.roll.row?.members.length === 2);
    const { row } = scene.roll;
    const write = scene.submit(leader, 11, "b", { low: 11 });
    assert.equal(scene.textOf(await scene.finish(write, 1000)), `${"a".repeat(10)}b`);
    await scene.untilEqual();
    await scene.world.runFor(10_000);
    assert.deepEqual(scene.roll.row, row, "nobody was left out");
    assert.equal(isNamed, true);
  });
});

describe("a member that was stopped", () => {
  test("[I20] shows nothing in the instant when it wakes, before it has heard who synchronises; then it does again", async () => {
    const { scene, leader } = await started();
    const member = second(scene, leader);
    await scene.finish(scene.submit(leader, 1, "a"));
    await scene.untilEqual();
    const before = member.member.position();
    assert.equal(member.member.readSession(before), "here");
    member.node.pause();
    await scene.world.runFor(3000);
    assert.equal(
      scene.roll.row?.members.some(({ server }) => server === member.name),
      false,
    );
    await scene.finish(scene.submit(leader, 2, "b"));
    const shown: string[] = [];
    const look = (): void => {
      if (member.member.readSession(before) === "here") shown.push(scene.valueAt(member, "all") ?? "");
    };
    member.node.resume();
    for (let step = 0; step < 2000; step++) {
      look();
      await scene.world.runFor(1);
    }
    assert.deepEqual([...new Set(shown)], ["ab"]);
  });

  test("shows what it has again soon after it stumbled, and so does the one that synchronises; one that is alone always does", async () => {
    const { scene, leader } = await started({ servers: 2 });
    const member = second(scene, leader);
    await scene.finish(scene.submit(leader, 1, "a"));
    await scene.untilEqual();
    for (const one of [member, leader]) {
      one.node.pause();
      await scene.world.runFor(200);
      one.node.resume();
      assert.equal(one.member.readSession({ epoch: 1, index: 1 }), "here", "nobody is left out so soon");
      one.node.pause();
      await scene.world.runFor(700);
      one.node.resume();
      assert.equal(one.member.readSession({ epoch: 1, index: 1 }), "behind", "before its timers have fired, too");
      await scene.until(() => one.member.readSession({ epoch: 1, index: 1 }) === "here", 500);
    }
    scene.crash(member);
    scene.expire(member.name);
    await scene.world.runFor(300);
    leader.node.pause();
    await scene.world.runFor(300);
    leader.node.resume();
    assert.equal(leader.member.readSession({ epoch: 1, index: 1 }), "here");
  });
});
