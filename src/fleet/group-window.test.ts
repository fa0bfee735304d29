import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { GroupWindow } from "./group-window.ts";
import { GroupWrite } from "./group-write.ts";

function write(): GroupWrite {
  return new GroupWrite(
    { scope: { within: "metadata/MDS.1", slot: undefined }, table: "metadata", type: "add" },
    new Uint8Array(),
    0,
    "copy",
    undefined,
    () => {},
  );
}

function admitted(window: GroupWindow, count: number): GroupWrite[] {
  return Array.from({ length: count }, () => {
    const one = write();
    window.admit(one);
    return one;
  });
}

describe("the numbers of a caller's writes in one group", () => {
  test("count from 1; the lowest open one is told, so that members forget what lies below", () => {
    const window = new GroupWindow("lease", "metadata/MDS.1");
    assert.equal(window.low, 1);
    const [first, second, third] = admitted(window, 3);
    assert.ok(first && second && third);
    assert.deepEqual(third.id, { lease: "lease", sequence: 3 });
    window.close(second, true);
    assert.equal(window.low, 1);
    window.close(first, true);
    assert.equal(window.low, 3);
    window.close(third, true);
    assert.equal(window.low, 4);
    assert.ok(window.isIdle);
  });

  test("what would pass the window waits until the oldest has ended", () => {
    const window = new GroupWindow("lease", "metadata/MDS.1");
    const open = admitted(window, 1000);
    const [late, later] = admitted(window, 2);
    const [first, second] = open;
    assert.ok(first && second && late && later);
    assert.equal(late.id, undefined);
    window.close(second, true);
    assert.deepEqual(window.admit(), []);
    window.close(first, true);
    assert.deepEqual(window.admit(), [late, later]);
    assert.equal(later.id?.sequence, 1002);
  });

  test("one that ended while it waited takes no number", () => {
    const window = new GroupWindow("lease", "metadata/MDS.1");
    const [first] = admitted(window, 1000);
    const [gone, next] = admitted(window, 2);
    assert.ok(first && gone && next);
    gone.end({ kind: "committed", outcome: { kind: "abandoned" } });
    window.close(gone, true);
    window.close(first, true);
    assert.deepEqual(window.admit(), [next]);
    assert.equal(next.id?.sequence, 1001);
  });

  test("an unknown outcome can be asked for as long as its place is not needed, or until it is known", () => {
    const window = new GroupWindow("lease", "metadata/MDS.1");
    const [first, second] = admitted(window, 2);
    assert.ok(first && second);
    window.close(first, false);
    window.close(second, true);
    assert.equal(window.low, 1);
    window.known(1);
    assert.equal(window.low, 3);
    const [third] = admitted(window, 1);
    assert.ok(third);
    window.close(third, false);
    const more = admitted(window, 1000);
    assert.equal(more.at(-1)?.id?.sequence, 1003);
    assert.equal(window.low, 4);
  });
});
