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
