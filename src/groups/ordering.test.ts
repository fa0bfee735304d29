import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError } from "../kernel/index.ts";
import { started } from "./group-scene.ts";
import { entryBytesMax } from "./options.ts";

describe("ordering", () => {
  test("what a handler throws is cut to what an entry carries, and the group goes on", async () => {
    const large = "z".repeat(5 * 1024 * 1024);
    const { scene, leader } = await started({
      handlers: {
        next: () => {
          throw new MusterError("x/y", large, { next: large });
        },
        code: () => {
          throw new MusterError(large, "no");
        },
        brim: () => new Uint8Array(entryBytesMax - 4),
      },
    });
    await scene.until(() => leader.member.status().epoch === scene.roll.row?.epoch);
    const { epoch } = leader.member.status();
    assert.match(scene.textOf(await scene.finish(scene.submit(leader, 1, "", { type: "next" }))), /"x\/y".*"next":"z{4096}"/);
    assert.match(scene.textOf(await scene.finish(scene.submit(leader, 2, "", { type: "code" }))), /"code":"z{256}"/);
    // With the caller's name it is too much.
    assert.match(scene.textOf(await scene.finish(scene.submit(leader, 3, "", { type: "brim" }))), /groups\/entry-too-large/);
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 4, "x"))), "x");
    assert.equal(leader.member.status().epoch, epoch);
  });

  test("a lease that ends while its first request is being executed is ended in the log as well", async () => {
    let release = (): void => {};
    const slow = () => new Promise<Uint8Array>((resolve) => (release = () => resolve(Uint8Array.of(1))));
    const { scene, leader } = await started({ servers: 2, handlers: { slow } });
    const write = scene.submit(leader, 1, "", { type: "slow" });
    await scene.world.runFor(20);
    scene.roll.endLease("caller");
    await scene.world.runFor(200);
    release();
    assert.equal((await scene.finish(write)).kind, "committed");
    await scene.until(() => scene.servers.every(({ member }) => member.status().leases === 0), 1000);
    assert.equal(leader.member.status().outcomes, 0);
  });

  test("[I28] the ends of many leases are entries that wait for room like all others", async () => {
    const { scene, leader } = await started({ servers: 2, limits: { aheadMax: 8 } });
    for (let number = 1; number <= 40; number++) await scene.finish(scene.submit(leader, 1, "a", { lease: `caller${number}` }));
    let most = 0;
    scene.tap = () => {
      const { logEnd, committed } = leader.member.status();
      most = Math.max(most, logEnd - committed.index);
    };
    for (let number = 1; number <= 40; number++) scene.roll.endLease(`caller${number}`);
    await scene.until(() => scene.servers.every(({ member }) => member.status().leases === 0));
    assert.ok(most > 0 && most <= 8, `${most} entries ahead`);
  });

  test("what is no outcome is an outcome that says so, its changes are void, and the group goes on", async () => {
    const { scene, leader } = await started({ servers: 2 });
    const unlikely: readonly unknown[] = [
      undefined,
      null,
      "text",
      {},
      { outcome: Uint8Array.of(1) },
      { outcome: 1, delta: Uint8Array.of(1) },
    ];
    const execute = leader.state.execute.bind(leader.state);
    let sequence = 0;
    for (const isLate of [false, true])
      for (const result of unlikely) {
        let isFirst = true;
        leader.state.execute = (request) => {
          const executed = execute(request);
          if (!isFirst) return executed;
          isFirst = false;
          // The types forbid it; a program without types does it all the same.
          return isLate ? Promise.resolve(JSON.parse("null") ?? result) : (JSON.parse("[]").at(0) ?? result);
        };
        const settled = await scene.finish(scene.submit(leader, ++sequence, "void;"));
        assert.match(scene.textOf(settled), /groups\/bad-result.*changed nothing/);
        assert.equal(scene.textOf(await scene.finish(scene.submit(leader, ++sequence, "a"))), "a".repeat(sequence / 2));
      }
    await scene.untilEqual();
    for (const server of scene.servers) assert.equal(scene.valueAt(server, "all"), "a".repeat(sequence / 2));
  });

  test("[I28] callers that have their answers make room for outcomes, one alone and many together", async () => {
    const { scene, leader } = await started({
      servers: 2,
      limits: { outcomeBytesMax: 1000 },
      handlers: { big: () => new Uint8Array(4000), small: () => new Uint8Array(200) },
    });
    const write = async (lease: string, sequence: number, low: number, type = "small") =>
      scene.textOf(await scene.finish(scene.submit(leader, sequence, "", { lease, low, type })));
    await write("a", 1, 1);
    await write("b", 1, 1);
    await write("c", 1, 1, "big");
    assert.equal(await write("a", 2, 1), "groups/outcomes-full");
    assert.match(await write("a", 2, 2), /groups\/outcomes-full/);
    assert.equal((await write("c", 2, 2)).length, 200);
    assert.equal((await write("a", 3, 3)).length, 200);
    assert.equal(leader.member.status().outcomes, 3);
  });
});
