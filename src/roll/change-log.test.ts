import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ChangeLog } from "./change-log.ts";

const record = (sequence: number, bytes = 10) => ({ epoch: 1, sequence, bytes: new Uint8Array(bytes) });

describe("the ring of changes", () => {
  test("it keeps the newest within both bounds and says from where on it is complete", () => {
    const log = new ChangeLog({ changesMax: 3, bytesMax: 100 });
    log.reset(4);
    for (let sequence = 5; sequence <= 9; sequence++) log.append(record(sequence));
    assert.deepEqual([log.length, log.floor], [3, 6]);
    log.append(record(10, 95));
    assert.deepEqual([log.length, log.floor, log.bytes], [1, 9, 95]);
    assert.ok(log.reaches(9));
    assert.ok(!log.reaches(8));
  });

  test("one without room serves nobody who is not up to date", () => {
    const log = new ChangeLog({ changesMax: 0, bytesMax: 100 });
    assert.ok(log.keepsNothing);
    log.reset(4);
    assert.ok(log.reaches(4));
    log.skip(5);
    assert.deepEqual([log.length, log.reaches(4), log.reaches(5)], [0, false, true]);
  });
});
