import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ByteWriter } from "../wire/index.ts";
import { Scene } from "./group-scene.ts";
import { type CarriedRow, decodeGroupMessage, encodeGroupMessage } from "./messages.ts";

/** A server that has knocked at a founder whose answers do not reach it. */
async function knocking() {
  const scene = new Scene({ servers: 2, limits: { logEntriesMax: 4 } });
  const [founder, joiner] = [scene.at(1), scene.at(2)];
  await scene.open(founder);
  await scene.until(() => scene.leader() === founder);
  for (let number = 1; number <= 10; number++) await scene.finish(scene.submit(founder, number, `${number};`, { low: number }));
  let attempt = 0;
  scene.tap = (from, message) => {
    const { word } = decodeGroupMessage(message);
    if (from === joiner.name && word.kind === "join") ({ attempt } = word);
  };
  scene.cut.add(`${founder.name} *`);
  await scene.open(joiner);
  await scene.until(() => attempt > 0);
  const part = (feed: number, index: number, rows: readonly CarriedRow[], epoch = 1): Uint8Array =>
    encodeGroupMessage(new ByteWriter(), {
      epoch: 1,
      fromReplica: founder.member.status().replica,
      toReplica: joiner.member.status().replica,
      word: { kind: "part", attempt, feed, number: 0, isLast: true, at: { epoch, index }, rows },
    });
  const state = (value: string): CarriedRow => ({ table: 1, key: "all", bytes: Buffer.from(value) });
  const take = async (message: Uint8Array): Promise<void> => {
    joiner.member.receive(founder.name, message);
    await scene.world.runFor(5);
  };
  return { scene, founder, joiner, part, state, take };
}

describe("joining", () => {
  test("[I17] a copy of the state that was begun earlier never replaces a later one, however late it comes", async () => {
    const { scene, joiner, part, state, take } = await knocking();
    await take(part(7, 20, [state("new")]));
    // A copy of other parts, as if of another history, so that only its number tells.
    await take(part(6, 9, [state("old")], 2));
    await take(part(7, 20, [state("doubled")]));
    assert.deepEqual([joiner.member.position().index, scene.valueAt(joiner, "all")], [20, "new"]);
  });

  test("[I17] a copy that is older than what is installed is not taken; one of a later history is", async () => {
    const { scene, joiner, part, state, take } = await knocking();
    await take(part(1, 20, [state("new")]));
    await take(part(2, 20, [state("same")]));
    await take(part(3, 12, [state("old")], 3));
    assert.deepEqual([joiner.member.position(), scene.valueAt(joiner, "all")], [{ epoch: 3, index: 12 }, "old"]);
    await take(part(4, 11, [state("older")], 3));
    assert.deepEqual([joiner.member.position(), scene.valueAt(joiner, "all")], [{ epoch: 3, index: 12 }, "old"]);
  });

  test("rows that cannot be read are dropped, nothing has changed, and the server joins all the same", async () => {
    const { scene, founder, joiner, part, state, take } = await knocking();
    for (const bad of [
      { table: 3, key: "x", bytes: Buffer.alloc(0) },
      { table: 9, key: "x", bytes: Buffer.alloc(1) },
      { table: 1, key: "x".repeat(1025), bytes: Buffer.alloc(1) },
    ]) {
      await take(part(1, 20, [state("bad"), bad]));
      assert.deepEqual([joiner.member.position().index, joiner.state.size], [0, 0]);
    }
    scene.cut.clear();
    await scene.until(() => joiner.member.status().role === "member");
    await scene.untilEqual();
    assert.equal(scene.valueAt(joiner, "all"), scene.valueAt(founder, "all"));
  });
});
