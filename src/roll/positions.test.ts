import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Attendance } from "./attendance.ts";
import { ChangeLog } from "./change-log.ts";
import { Epochs } from "./epochs.ts";
import { includes, normaliseRanges, touches } from "./interest.ts";
import { prune, turnOf, type Session, decodeSession, encodeSession } from "./sessions.ts";

const record = (sequence: number, bytes = 10) => ({ epoch: 1, sequence, bytes: new Uint8Array(bytes) });

test("the ring forgets the oldest at its count and says which positions it still reaches", () => {
  const log = new ChangeLog({ changesMax: 3, bytesMax: 1000 });
  for (let sequence = 1; sequence <= 5; sequence++) log.append(record(sequence));
  assert.equal(log.length, 3);
  assert.equal(log.reaches(2), true);
  assert.equal(log.reaches(1), false);
  assert.deepEqual(
    log.after(3).map(({ sequence }) => sequence),
    [4, 5],
  );
});

test("the ring forgets the oldest at its bytes, but never the newest", () => {
  const log = new ChangeLog({ changesMax: 100, bytesMax: 25 });
  log.append(record(1));
  log.append(record(2));
  log.append(record(3));
  assert.equal(log.length, 2);
  log.append(record(4, 100));
  assert.equal(log.length, 1);
  assert.equal(log.reaches(3), true);
});

test("the ring after any appends equals the tail of all that was appended", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 3000 }), fc.integer({ min: 1, max: 400 }), (sizes, changesMax) => {
      const log = new ChangeLog({ changesMax, bytesMax: 5000 });
      sizes.forEach((size, index) => log.append(record(index + 1, size)));
      const kept = log.after(log.floor).map(({ sequence }) => sequence);
      assert.deepEqual(
        kept,
        Array.from({ length: kept.length }, (_, index) => sizes.length - kept.length + index + 1),
      );
      assert.ok(kept.length <= changesMax && (log.bytes <= 5000 || kept.length === 1));
    }),
    { numRuns: 50 },
  );
});

test("a position past the end of its epoch is another history", () => {
  const epochs = new Epochs();
  epochs.note(1, 1);
  epochs.note(2, 50);
  assert.equal(epochs.contains(1, 49, 80), true);
  assert.equal(epochs.contains(1, 50, 80), false);
  assert.equal(epochs.contains(2, 80, 80), true);
  assert.equal(epochs.contains(2, 81, 80), false);
  assert.equal(epochs.contains(3, 60, 80), false, "an epoch that is not known here");
});

test("equal interests have one form, and a wider range swallows a narrower one", () => {
  const a = normaliseRanges([
    { table: "metadata", prefix: "MDS.1" },
    { table: "metadata", prefix: "" },
    { table: "gateway", prefix: "" },
  ]);
  const b = normaliseRanges([
    { table: "gateway", prefix: "" },
    { table: "metadata", prefix: "" },
    { table: "metadata", prefix: "" },
  ]);
  assert.deepEqual(a, b);
  assert.equal(includes(a, [{ table: "metadata", prefix: "X" }]), true);
  assert.equal(touches(a, "bitfile", "B"), false);
});

function session(parts: Partial<Session> = {}): Session {
  return { id: 7, kind: "client", name: "p", token: "t", next: 1, durableNext: 1, low: 1, outcomes: new Map(), ...parts };
}

test("a change is decided once, in order: copies repeat, gaps wait, ended sessions expire", () => {
  const writer = session({ next: 3, outcomes: new Map([[1, { ok: true, epoch: 1, sequence: 9 }]]) });
  assert.equal(turnOf(writer, 3, 1).kind, "decide");
  assert.equal(turnOf(writer, 4, 1).kind, "gap");
  assert.deepEqual(turnOf(writer, 1, 1), { kind: "repeat", outcome: { ok: true, epoch: 1, sequence: 9 } });
  assert.deepEqual(turnOf(writer, 2, 1), { kind: "repeat", outcome: undefined }, "its commit is under way");
  assert.equal(turnOf(undefined, 1, 1).kind, "expired");
});

test("what the writer has completed is forgotten and never applied again", () => {
  const writer = session({
    next: 3,
    outcomes: new Map([
      [1, { ok: true, epoch: 1, sequence: 9 }],
      [2, { ok: true, epoch: 1, sequence: 10 }],
    ]),
  });
  prune(writer, 2);
  assert.equal(turnOf(writer, 1, 1).kind, "expired");
  assert.equal(turnOf(writer, 2, 2).kind, "repeat");
});

test("a session's record holds what is durable, not what is under way", () => {
  const stored = decodeSession(
    encodeSession(session({ next: 9, durableNext: 4, outcomes: new Map([[3, { ok: true, epoch: 1, sequence: 5 }]]) })),
  );
  assert.equal(stored.next, 4);
  assert.equal(stored.outcomes.size, 1);
});

test("a node that left counts until its next attachment is known or it is given up", () => {
  const attendance = new Attendance();
  attendance.attached(5, 1, 10);
  assert.equal(attendance.left(5, 1), true);
  assert.equal(attendance.leavers, 1);
  attendance.attached(5, 2, 11);
  assert.equal(attendance.leavers, 0);
  assert.equal(attendance.left(5, 1), false, "old news about the first attachment changes nothing");
  attendance.lost(11);
  assert.equal(attendance.leavers, 1);
});
