import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { digestOf } from "./entry.ts";
import { groupLimits } from "./options.ts";
import { Outcomes } from "./outcomes.ts";

const bytes = (text: string) => Buffer.from(text);
const digest = (text: string) => digestOf("put", bytes(text));

function outcomesOf(limits = {}) {
  const outcomes = new Outcomes({ ...groupLimits, ...limits });
  let index = 0;
  const record = (lease: string, sequence: number, low = 1, answer = "done") =>
    outcomes.install(
      { epoch: 1, index: ++index },
      {
        kind: "request",
        id: { lease, sequence },
        low,
        leaseRevision: "1.1",
        digest: digest(String(sequence)),
        outcome: { kind: "answer", bytes: bytes(answer) },
        delta: bytes(""),
      },
    );
  const end = (lease: string) => outcomes.install({ epoch: 1, index: ++index }, { kind: "lease-ended", lease });
  const kind = (lease: string, sequence: number, low = 1, body = String(sequence)) =>
    outcomes.judge({ lease, sequence }, low, digest(body)).kind;
  return { outcomes, record, end, kind };
}

describe("outcomes that are kept", () => {
  test("a request is fresh once; later it is recorded, or reused when its body is another one", () => {
    const { outcomes, record, kind } = outcomesOf();
    assert.equal(kind("c", 1), "fresh");
    record("c", 1);
    assert.deepEqual([kind("c", 1), kind("c", 1, 1, "other"), kind("c", 2)], ["recorded", "reused", "fresh"]);
    assert.equal(outcomes.judge({ lease: "c", sequence: 1 }, 1, undefined).kind, "recorded");
  });

  test("the lowest open request of a caller drops what is below, at each member by the same entry", () => {
    const { outcomes, record, kind } = outcomesOf();
    for (let sequence = 1; sequence <= 5; sequence++) record("c", sequence);
    const deleted = record("c", 6, 5).filter(({ bytes: one }) => one === undefined);
    assert.equal(deleted.length, 4);
    assert.deepEqual([outcomes.count, kind("c", 4), kind("c", 5)], [2, "expired", "recorded"]);
    record("c", 1_000_000_000, 999_999_999);
    assert.equal(outcomes.count, 1);
  });

  test("of an ended lease nothing is kept but its end, and of ends only so many", () => {
    const { outcomes, record, end, kind } = outcomesOf({ endedMax: 2 });
    record("c", 1);
    end("c");
    assert.deepEqual([outcomes.leases, outcomes.count, kind("c", 1), kind("c", 2)], [0, 0, "expired", "expired"]);
    end("d");
    end("e");
    assert.deepEqual([kind("c", 1), kind("d", 1), kind("e", 1)], ["fresh", "expired", "expired"]);
  });

  test("what is ordered and not committed counts until it is taken back", () => {
    const { outcomes, kind } = outcomesOf();
    outcomes.orderedAhead("c", 4, "1.1");
    outcomes.endedAhead("d");
    assert.deepEqual([kind("c", 3), kind("d", 1)], ["expired", "ending"]);
    outcomes.forgetAhead();
    assert.deepEqual([kind("c", 3), kind("d", 1)], ["fresh", "fresh"]);
  });

  test("[I28] windows, callers and bytes have limits", () => {
    const { outcomes, record, kind } = outcomesOf({ windowMax: 3, leasesMax: 2, outcomeBytesMax: 500 });
    assert.deepEqual([kind("c", 3), kind("c", 4), kind("c", 4, 2)], ["fresh", "window-full", "fresh"]);
    record("c", 1);
    outcomes.orderedAhead("d", 1, "1.1");
    assert.deepEqual([kind("e", 1), kind("d", 1)], ["too-many-leases", "fresh"]);
    record("c", 2, 1, "x".repeat(400));
    assert.equal(kind("c", 3), "outcomes-full");
    record("c", 3, 3, "");
    assert.equal(kind("c", 4, 3), "fresh");
  });

  test("[I28] when outcomes have no room, what a request frees counts, and asking needs none", () => {
    const { outcomes, record, kind } = outcomesOf({ outcomeBytesMax: 1000 });
    record("c", 1, 1, "x".repeat(400));
    record("c", 2, 1, "x".repeat(400));
    assert.deepEqual([kind("c", 3), kind("c", 3, 3), kind("d", 1)], ["outcomes-full", "fresh", "outcomes-full"]);
    assert.equal(outcomes.judge({ lease: "d", sequence: 1 }, 1, undefined).kind, "fresh");
    record("d", 1, 1, "x".repeat(2000));
    assert.deepEqual([kind("c", 3, 2), kind("d", 2)], ["outcomes-full-yet", "outcomes-full"]);
    outcomes.orderedAhead("c", 2, "1.1");
    assert.deepEqual([kind("c", 4, 2), kind("c", 4, 3), kind("d", 2, 2)], ["outcomes-full", "outcomes-full-yet", "outcomes-full-yet"]);
  });

  test("rows that cannot be read change nothing", () => {
    const { outcomes, record } = outcomesOf();
    record("c", 1);
    const before = [...outcomes.rows()];
    const [lease, recorded] = before;
    assert.ok(lease && recorded);
    for (const bad of [
      { table: 3, key: "x", bytes: bytes("") },
      { table: 3, key: "x", bytes: Buffer.of(2, 1) },
      { table: 2, key: "c/none", bytes: recorded.bytes },
      { table: 2, key: "c/2", bytes: recorded.bytes.subarray(1) },
      recorded,
      lease,
    ])
      assert.throws(() => outcomes.load([...before, bad]), /groups|wire|MusterError/);
    assert.deepEqual([...outcomes.rows()], before);
  });

  test("rows are the same outcomes again", () => {
    const first = outcomesOf();
    for (const sequence of [1, 2, 3]) first.record("c", sequence, 2);
    first.record("d/e", 1);
    first.end("f");
    first.end("a");
    const second = outcomesOf();
    second.outcomes.load([...first.outcomes.rows()]);
    assert.deepEqual([...second.outcomes.rows()], [...first.outcomes.rows()]);
    for (const [lease, sequence] of [
      ["c", 1],
      ["c", 2],
      ["c", 4],
      ["d/e", 1],
      ["f", 1],
      ["a", 1],
    ] as const)
      assert.equal(second.kind(lease, sequence), first.kind(lease, sequence));
    assert.equal(second.kind("c", 3), "recorded");
  });
});
