import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MemoryStore } from "../storage/index.ts";
import { GroupStore } from "./group-store.ts";

const record = (text: string) => Buffer.from(text);

describe("the directory of a group's member", () => {
  test("belongs to the server that wrote to it first, and shows its member only what that wrote", async () => {
    const inner = new MemoryStore();
    const first = new GroupStore(inner, "dir", "metadata/MDS.1.1");
    await first.prepare();
    assert.equal((await first.open()).meta.size, 0);
    await first.commit({ meta: [["group", record("1")]] });
    await first.commit({ meta: [["group", record("2")]] });
    await first.close();
    await assert.rejects(new GroupStore(inner, "dir", "metadata/MDS.1.2").prepare(), { code: "fleet/foreign-data" });
    const again = new GroupStore(inner, "dir", "metadata/MDS.1.1");
    const { meta } = await again.open();
    assert.deepEqual(
      [...meta].map(([name, bytes]) => [name, Buffer.from(bytes).toString()]),
      [["group", "2"]],
    );
  });

  test("one that holds something else, such as a roll, is refused and left as it was", async () => {
    const inner = new MemoryStore();
    await inner.open();
    await inner.commit({ meta: [["fleet", record("x")]] });
    await inner.close();
    await assert.rejects(new GroupStore(inner, "dir", "metadata/MDS.1.1").prepare(), { code: "fleet/foreign-data" });
    assert.deepEqual([...(await inner.open()).meta.keys()], ["fleet"]);
  });
});
