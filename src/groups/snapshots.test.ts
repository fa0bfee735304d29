import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Scene, type SceneServer, type SceneOptions } from "./group-scene.ts";
import type { KeyedTransaction } from "./index.ts";

const rowBytes = 256 * 1024;

/** A group of one whose state is larger than any commit may be, and a server that joins it. */
async function large(rows: number, options: Partial<SceneOptions> = {}) {
  const fill = (body: Uint8Array, state: KeyedTransaction): Uint8Array => {
    state.put(`row${Buffer.from(body).toString()}`, new Uint8Array(rowBytes).fill(rows));
    return new Uint8Array();
  };
  const scene = new Scene({
    servers: 2,
    ...options,
    limits: { logEntriesMax: 4, ...options.limits },
    handlers: { fill, ...options.handlers },
  });
  const [founder, joiner] = [scene.at(1), scene.at(2)];
  await scene.open(founder);
  await scene.until(() => scene.leader() === founder);
  for (let number = 1; number <= rows; number++)
    await scene.finish(scene.submit(founder, number, String(number), { low: number, type: "fill" }));
  return { scene, founder, joiner };
}

const isNamed = (scene: Scene, server: SceneServer): boolean => scene.roll.row?.members.some((one) => one.server === server.name) === true;

describe("a copy of a large state", () => {
  test("is written in many commits, on a slow disk for longer than a silent server is waited for, and the joiner is not given up", async () => {
    const { scene, founder, joiner } = await large(40);
    joiner.disk.slow(300);
    const { commits } = joiner.disk;
    const startedMs = scene.world.nowMs;
    await scene.open(joiner);
    await scene.until(() => isNamed(scene, joiner), 30_000);
    assert.ok(joiner.disk.commits - commits >= 10, `${joiner.disk.commits - commits} commits`);
    assert.ok(scene.world.nowMs - startedMs > 3000);
    await scene.untilEqual();
    assert.equal(joiner.state.size, 40);
    const lives = founder.telemetry.lines.filter(({ event }) => event === "group-row-asked");
    assert.equal(lives.length, 2, "founded and joined");
  });

  test("a server that is gone in the middle of it has what it had before, and joins afresh; nothing is left of the first try", async () => {
    for (const crashMs of [400, 1000, 1600]) {
      const { scene, founder, joiner } = await large(12);
      // It has been a member, and was left out when it had one row less.
      await scene.open(joiner);
      await scene.until(() => isNamed(scene, joiner));
      await scene.untilEqual();
      await scene.world.runFor(200);
      scene.crash(joiner);
      scene.expire(joiner.name);
      for (let number = 13; number <= 24; number++)
        await scene.finish(scene.submit(founder, number, String(number), { low: number, type: "fill" }));
      joiner.disk.slow(300);
      await scene.restart(joiner);
      await scene.world.runFor(crashMs);
      assert.equal(isNamed(scene, joiner), false);
      scene.crash(joiner);
      joiner.disk.slow(0.2);
      // Whoever goes on with it by hand goes on with a whole state.
      scene.cut.add(`${founder.name} *`);
      await scene.restart(joiner);
      assert.equal(joiner.state.size, 12, `after ${crashMs} ms`);
      scene.cut.clear();
      await scene.until(() => isNamed(scene, joiner));
      await scene.untilEqual();
      assert.equal(joiner.state.size, 24);
      await scene.world.runFor(1000);
      scene.crash(joiner);
      const rows = (await joiner.disk.copy()).batch.entries?.length ?? 0;
      assert.ok(rows >= 24 && rows <= 30, `${rows} rows are left`);
    }
  });

  test("a state that is larger than anybody takes in is said so at both sides; the joiner asks now and then, the state is not summed up each time, and it comes in when it is smaller", async () => {
    const clear = (_body: Uint8Array, state: KeyedTransaction): Uint8Array => {
      for (const { key } of state.list("row")) state.delete(key);
      return new Uint8Array();
    };
    const { scene, founder, joiner } = await large(10, { limits: { stateBytesMax: 8 * rowBytes }, handlers: { clear } });
    await scene.open(joiner);
    await scene.until(() => joiner.member.status().trouble?.code === "groups/state-too-large");
    const { messages } = scene;
    let copies = 0;
    const snapshot = founder.state.snapshot.bind(founder.state);
    founder.state.snapshot = () => {
      copies++;
      return snapshot();
    };
    await scene.world.runFor(10_000);
    assert.ok(scene.messages - messages < 20, `${scene.messages - messages} messages`);
    assert.equal(copies, 0);
    assert.equal(founder.telemetry.lines.filter(({ event }) => event === "group-joiner-denied").length, 1);
    await scene.finish(scene.submit(founder, 11, "", { low: 11, type: "clear" }));
    await scene.until(() => isNamed(scene, joiner), 90_000);
    assert.equal(joiner.member.status().trouble, undefined);
  });
});
