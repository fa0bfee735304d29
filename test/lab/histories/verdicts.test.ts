import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom, randomBelow } from "../../../src/kernel/index.ts";
import { longestGap } from "./gaps.ts";
import { judgeHistory } from "./verdicts.ts";
import { type KeptLog, type KeptWrite, type Value, type WorkHistory, type WorkOperation, apply } from "./work.ts";

const group = "MDS.1";
const servers = ["MDS.1.1", "MDS.1.2", "MDS.1.3"] as const;
const copies = new Map([[group, servers.length]]);
const kinds = ["put", "append", "cas", "add", "read", "session-read"] as const;

/** What two callers see of a group without faults: operations one after the other, on two texts and a counter. */
function honest(count: number): WorkHistory {
  const random = new SeededRandom(1);
  const values = new Map<string, Value>();
  const kept: KeptWrite[] = [];
  const operations = Array.from({ length: count }, (_, number): WorkOperation => {
    const kind = kinds[number % kinds.length] ?? "put";
    const key = kind === "add" ? `${group}/counter` : `${group}/text${randomBelow(random, 2)}`;
    const before = values.get(key) ?? null;
    const id = `caller HOST${number % 2} ${number}`;
    // Every other compare-and-set expects something else.
    const expected = number % 12 < 6 ? before : "else";
    const argument = kind === "add" ? "1" : `${number};`;
    const { value, result } = apply({ kind, argument, expected }, before);
    values.set(key, value);
    const hasEffect = !kind.endsWith("read") && result !== "differs";
    if (hasEffect) kept.push({ index: kept.length + 1, id, key, value });
    const position = { epoch: 0, index: kept.length };
    const [invokedMs, respondedMs] = [number * 10, number * 10 + 5];
    return {
      id,
      client: `caller HOST${number % 2}`,
      group,
      key,
      kind,
      argument,
      expected,
      invokedMs,
      respondedMs,
      result,
      position,
      fate: "answered",
    };
  });
  return { operations, kept: servers.map((server) => ({ group, server, writes: kept })) };
}

const history = honest(240);
const names = {
  known: "every write has a known outcome",
  once: "every acknowledged write is kept exactly once",
  copies: "all servers of a group keep the same",
  order: "writes and latest reads are linearizable",
  sessions: "no session goes back, and all see their own writes",
} as const;

function caught(doctored: WorkHistory): readonly string[] {
  return judgeHistory(doctored, copies)
    .filter(({ ok }) => !ok)
    .map(({ what }) => what);
}

/** Of this kind, the last. */
function last(kind: WorkOperation["kind"], fits: (one: WorkOperation) => boolean = () => true): WorkOperation {
  const found = history.operations.findLast((one) => one.kind === kind && fits(one));
  assert.ok(found);
  return found;
}

function withOperation(one: WorkOperation, changes: Partial<WorkOperation>): WorkHistory {
  return { ...history, operations: history.operations.map((other) => (other === one ? { ...one, ...changes } : other)) };
}

function withLogs(change: (writes: readonly KeptWrite[], server: number) => readonly KeptWrite[]): WorkHistory {
  return { ...history, kept: history.kept.map((log, server): KeptLog => ({ ...log, writes: change(log.writes, server) })) };
}

const renumbered = (writes: readonly KeptWrite[]) => writes.map((write, at) => ({ ...write, index: at + 1 }));
const { kept } = history;
const writes = kept[0]?.writes ?? [];
const middle = writes[Math.floor(writes.length / 2)];
assert.ok(middle);

describe("verdicts over a history of ordering groups", () => {
  test("nothing is found in what happened one after the other", () => {
    assert.deepEqual(caught(history), []);
    assert.ok(writes.length > 100);
  });

  test("an acknowledged write that is lost is found, at all servers or at one", () => {
    const without = (all: readonly KeptWrite[]) => renumbered(all.filter((write) => write !== middle));
    assert.ok(caught(withLogs(without)).includes(names.once));
    assert.ok(caught(withLogs((all) => all.slice(0, -1))).includes(names.once), "the last one");
    assert.deepEqual(caught(withLogs((all, server) => (server === 2 ? all.slice(0, -1) : all))), [names.copies]);
    assert.ok(caught({ ...history, kept: kept.slice(0, 2) }).includes(names.copies), "a server that was not read proves nothing");
    assert.ok(caught({ ...history, kept: [] }).includes(names.once));
  });

  test("a write that is kept twice is found", () => {
    const twice = (all: readonly KeptWrite[]) => renumbered(all.flatMap((write) => (write === middle ? [write, write] : [write])));
    assert.ok(caught(withLogs(twice)).includes(names.once));
    assert.ok(caught(withLogs((all) => [...all, { ...middle, index: all.length + 1 }])).includes(names.once));
  });

  test("an addition that is doubled or lost shows in the answers alone", () => {
    const add = last("add");
    for (const by of [1, -1]) assert.ok(caught(withOperation(add, { result: String(Number(add.result) + by) })).includes(names.order));
  });

  test("what had no effect is not kept: a write that was abandoned, a compare-and-set that found something else, one that nobody asked for", () => {
    assert.ok(caught(withOperation(last("put"), { fate: "none", respondedMs: undefined, position: undefined })).includes(names.once));
    const differs = last("cas", ({ result }) => result === "differs");
    const kept = (all: readonly KeptWrite[]) => [...all, { index: all.length + 1, id: differs.id, key: differs.key, value: "x" }];
    assert.ok(caught(withLogs(kept)).includes(names.once));
    const stranger = (all: readonly KeptWrite[]) => [...all, { index: all.length + 1, id: "nobody", key: `${group}/text1`, value: "x" }];
    assert.ok(caught(withLogs(stranger)).includes(names.once));
  });

  test("a compare-and-set that wins against what is not there is found", () => {
    assert.ok(
      caught(
        withOperation(
          last("cas", ({ result }) => result === "differs"),
          { result: "done" },
        ),
      ).includes(names.order),
    );
  });

  test("a latest read that is stale is found, and by nothing else", () => {
    const read = last("read");
    const older = history.operations.findLast(
      ({ key, kind, invokedMs, result }) => key === read.key && kind === "read" && invokedMs < read.invokedMs && result !== read.result,
    );
    assert.ok(older);
    assert.deepEqual(caught(withOperation(read, { result: older.result })), [names.order]);
  });

  test("a session that goes back is found, and by nothing else; another's may be that old", () => {
    const read = last("session-read");
    const older = history.operations.findLast(
      ({ key, kind, invokedMs, position }) =>
        key === read.key && kind !== "read" && invokedMs < read.invokedMs && (position?.index ?? 0) < (read.position?.index ?? 0) - 10,
    );
    const value = writes.findLast(({ key, index }) => key === read.key && index <= (older?.position?.index ?? 0))?.value ?? null;
    assert.ok(older);
    const old = { result: value, position: older.position };
    assert.deepEqual(caught(withOperation(read, old)), [names.sessions]);
    assert.deepEqual(caught(withOperation(read, { ...old, client: "caller HOST9" })), []);
  });

  test("a session read that shows what was not committed there is found", () => {
    assert.deepEqual(caught(withOperation(last("session-read"), { result: "never written" })), [names.sessions]);
  });

  test("a write of which nobody knows whether it happened is told; what it may have done is no finding", () => {
    const open: Partial<WorkOperation> = { fate: "unknown", respondedMs: undefined, result: undefined, position: undefined };
    assert.deepEqual(caught(withOperation(last("append"), open)), [names.known]);
  });
});

test("the longest gap is that of one caller at one group and of one kind, while it waits", () => {
  const [first, ...others] = history.operations.filter(({ kind }) => kind === "read");
  assert.ok(first);
  const slow = { ...first, invokedMs: 100_000, respondedMs: 100_700 };
  const elsewhere = { ...first, group: "MDS.2", invokedMs: 100_300, respondedMs: 100_305 };
  const gap = longestGap({ operations: [first, ...others, slow, elsewhere], kept: [] }, "latest reads");
  assert.deepEqual(gap, { client: first.client, group, fromMs: 100_000, toMs: 100_700 });
  assert.equal(longestGap({ operations: [slow], kept: [] }, "writes"), undefined);
});
