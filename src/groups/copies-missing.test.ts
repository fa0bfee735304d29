import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Settled } from "./index.ts";
import { others, started } from "./group-scene.ts";

/** A write that the other member has not confirmed when it is given up. */
async function inFlight() {
  const { scene, leader } = await started({ servers: 2, copiesMin: 2 });
  const [second] = others(scene, leader);
  assert.ok(second);
  await scene.until(() => leader.member.status().promised === scene.roll.row?.epoch);
  assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 1, "a"))), "a");
  scene.cut.add(`* ${second.name}`);
  const settled: Settled[] = [];
  void scene.submit(leader, 2, "b", { leftMs: 30_000 }).then((one) => settled.push(one));
  await scene.world.runFor(100);
  scene.crash(second);
  scene.expire(second.name);
  scene.cut.clear();
  return { scene, leader, second, settled };
}

describe("a write that was in flight when members were given up", () => {
  test("is answered when as many members hold it as the group's writes need", async () => {
    const { scene, leader, second, settled } = await inFlight();
    await scene.world.runFor(1000);
    // A copy of it, and a question, learn no more.
    const again = [scene.submit(leader, 2, "b", { leftMs: 30_000 }), scene.ask(leader, 2)];
    void Promise.all(again).then((ends) => settled.push(...ends));
    await scene.world.runFor(1000);
    assert.deepEqual(settled, []);
    assert.equal(leader.member.status().trouble?.code, "groups/too-few-copies");
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 3, "c"))), "groups/too-few-copies");
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 1, "a"))), "a", "what had enough copies is told");
    await scene.restart(second);
    await scene.until(() => settled.length === 3, 3000);
    assert.deepEqual(
      settled.map((one) => scene.textOf(one)),
      ["ab", "ab", "ab"],
    );
    assert.equal(scene.roll.row?.members.length, 2);
    assert.equal(scene.executed.get("b"), 1);
  });

  test("ends as unknown at its deadline, and can be asked for when there are enough again, also at another life", async () => {
    const { scene, leader, second } = await inFlight();
    await scene.world.runFor(1000);
    assert.equal((await scene.finish(scene.submit(leader, 2, "b", { leftMs: 300 }))).kind, "elsewhere");
    scene.crash(leader);
    await scene.restart(leader);
    await scene.until(() => scene.leader() === leader);
    const asked = scene.ask(leader, 2);
    let isOpen = true;
    void asked.then(() => (isOpen = false));
    await scene.world.runFor(500);
    assert.ok(isOpen, "one copy is not enough");
    await scene.restart(second);
    assert.equal(scene.textOf(await scene.finish(asked)), "ab");
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 2, "b"))), "ab");
    assert.equal(scene.executed.get("b"), 1);
  });

  test("is not told by a member that does not know yet how few there are", async () => {
    const { scene, leader } = await started({ servers: 3, copiesMin: 3 });
    const [second, third] = others(scene, leader);
    assert.ok(second && third);
    await scene.until(() => leader.member.status().promised === scene.roll.row?.epoch);
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 1, "a"))), "a");
    await scene.untilEqual();
    // It reaches the others, and is committed nowhere before its host is gone.
    scene.cut.add(`* ${leader.name}`);
    void scene.submit(leader, 2, "b");
    await scene.world.runFor(60);
    scene.crash(leader);
    // The third one's copy of the roll is late.
    const late = [...scene.roll.observers][scene.servers.indexOf(third)];
    assert.ok(late);
    scene.roll.observers.delete(late);
    scene.expire(leader.name);
    await scene.until(() => scene.leader() === second);
    await scene.until(() => third.member.position().index === second.member.position().index);
    assert.equal(third.member.status().epoch, (scene.roll.row?.epoch ?? 0) - 1);
    const told = async () => scene.textOf(await scene.finish(scene.submit(third, 2, "b", { leftMs: 300 })));
    assert.equal(await told(), "elsewhere");
    assert.equal(scene.textOf(await scene.finish(scene.submit(third, 1, "a"))), "a", "what had enough copies is told");
    late();
    scene.roll.observers.add(late);
    await scene.world.runFor(50);
    assert.equal(await told(), "elsewhere");
    assert.equal(scene.textOf(await scene.finish(scene.submit(third, 1, "a"))), "a");
  });

  test("that nobody has begun is abandoned all the same when it is asked for", async () => {
    const { scene, leader } = await inFlight();
    await scene.world.runFor(1000);
    assert.equal(scene.textOf(await scene.finish(scene.ask(leader, 9, "other"))), "abandoned");
  });
});
