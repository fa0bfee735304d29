import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError } from "../kernel/index.ts";
import { ByteWriter } from "../wire/index.ts";
import { others, started } from "./group-scene.ts";
import { encodeGroupMessage } from "./messages.ts";
import { entryBytesMax } from "./options.ts";

describe("a write of an ordering group", () => {
  test("[I16] it is run once and answered after all members have it", async () => {
    const { scene, leader } = await started();
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 1, "a"))), "a");
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 2, "b"))), "ab");
    await scene.untilEqual();
    for (const server of scene.servers) assert.equal(scene.valueAt(server, "all"), "ab");
  });

  test("[I16] a repeat gets the recorded bytes, from any member, and runs nothing", async () => {
    const { scene, leader } = await started();
    const first = await scene.finish(scene.submit(leader, 1, "a"));
    await scene.finish(scene.submit(leader, 2, "b"));
    await scene.untilEqual();
    for (const server of scene.servers) assert.deepEqual(await scene.finish(scene.submit(server, 1, "a")), first);
    assert.equal(scene.executed.get("a"), 1);
  });

  test("copies under way are one request; another body under the same id is an error", async () => {
    const { scene, leader } = await started();
    const copies = [scene.submit(leader, 1, "a"), scene.submit(leader, 1, "a"), scene.submit(leader, 1, "x")];
    const settled = await scene.finish(Promise.all(copies));
    assert.deepEqual(
      settled.map((one) => scene.textOf(one)),
      ["a", "a", "groups/id-reused"],
    );
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 1, "y"))), "groups/id-reused");
    assert.deepEqual([...scene.executed], [["a", 1]]);
  });

  test("what a handler throws is an outcome, and changes nothing", async () => {
    const { scene, leader } = await started();
    const first = await scene.finish(scene.submit(leader, 1, "a", { type: "fail" }));
    assert.equal(first.kind === "committed" && first.outcome.kind, "failed");
    assert.match(scene.textOf(first), /test\/wrong/);
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 1, "a", { type: "fail" }))), scene.textOf(first));
    assert.equal(scene.valueAt(leader, "all"), undefined);
  });

  test("many at a time share commits and messages", async () => {
    const { scene, leader } = await started();
    const [commits, messages] = [leader.disk.commits, scene.messages];
    const writes = Array.from({ length: 500 }, (_, at) => scene.submit(leader, at + 1, "x", { low: 1 }));
    await scene.finish(Promise.all(writes));
    assert.equal(scene.valueAt(leader, "all")?.length, 500);
    assert.ok(leader.disk.commits - commits < 20, `${leader.disk.commits - commits} commits`);
    assert.ok(scene.messages - messages < 100, `${scene.messages - messages} messages`);
  });

  test("an answer that no entry can hold is an error, and its changes are void", async () => {
    const big = (_body: Uint8Array, rows: { put(key: string, bytes: Uint8Array): void }) => {
      rows.put("big", new Uint8Array(entryBytesMax));
      return new Uint8Array(10);
    };
    const { scene, leader } = await started({ handlers: { big } });
    const settled = scene.submit(leader, 1, "", { type: "big" });
    const after = scene.submit(leader, 2, "a");
    assert.match(scene.textOf(await scene.finish(settled)), /groups\/entry-too-large/);
    assert.equal(scene.textOf(await scene.finish(after)), "a");
    assert.equal(scene.valueAt(leader, "big"), undefined);
  });

  test("a handler that hangs is given up, and the next write runs without its changes", async () => {
    const hang = (_body: Uint8Array, rows: { put(key: string, bytes: Uint8Array): void }): Promise<Uint8Array> => {
      rows.put("all", new Uint8Array(3));
      return new Promise(() => {});
    };
    const { scene, leader } = await started({ handlers: { hang }, limits: { executeMsMax: 300 } });
    const settled = scene.submit(leader, 1, "", { type: "hang" });
    const after = scene.submit(leader, 2, "a");
    assert.match(scene.textOf(await scene.finish(settled)), /groups\/handler-stuck/);
    assert.equal(scene.textOf(await scene.finish(after)), "a");
  });
});

describe("asking for an outcome", () => {
  test("a write that nobody has never runs after the question", async () => {
    const { scene, leader } = await started();
    assert.equal(scene.textOf(await scene.finish(scene.ask(leader, 1))), "abandoned");
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 1, "a"))), "abandoned");
    assert.equal(scene.executed.size, 0);
  });

  test("the answer is the recorded outcome, and survives a takeover", async () => {
    const { scene, leader } = await started();
    await scene.finish(scene.submit(leader, 1, "a"));
    assert.equal(scene.textOf(await scene.finish(scene.ask(leader, 1))), "a");
    await scene.finish(scene.ask(leader, 2));
    scene.crash(leader);
    scene.expire(leader.name);
    await scene.until(() => scene.leader() !== undefined);
    const next = scene.leader();
    assert.ok(next);
    assert.equal(scene.textOf(await scene.finish(scene.ask(next, 1))), "a");
    assert.equal(scene.textOf(await scene.finish(scene.submit(next, 2, "late"))), "abandoned");
  });
});

describe("what is kept for callers", () => {
  test("outcomes below the lowest open request are forgotten by all members alike, and such a copy is expired", async () => {
    const { scene, leader } = await started();
    for (let number = 1; number <= 5; number++) await scene.finish(scene.submit(leader, number, "x", { low: number }));
    await scene.untilEqual();
    for (const { member } of scene.servers) assert.equal(member.status().outcomes, 1);
    const settled = await scene.finish(scene.submit(leader, 2, "x"));
    assert.equal(scene.textOf(settled), "groups/expired");
    assert.equal(settled.kind === "refused" && settled.error.effect, "maybe");
  });

  test("the end of a lease is an entry: outcomes go, and its late copies never run", async () => {
    const { scene, leader } = await started();
    await scene.finish(scene.submit(leader, 1, "a"));
    scene.roll.endLease("caller");
    await scene.until(() => scene.servers.every(({ member }) => member.status().leases === 0));
    for (const server of scene.servers) assert.equal(scene.textOf(await scene.finish(scene.submit(server, 2, "b"))), "groups/expired");
    scene.crash(leader);
    await scene.restart(leader);
    await scene.until(() => scene.leader() !== undefined);
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 2, "b"))), "groups/expired");
    assert.deepEqual([...scene.executed], [["a", 1]]);
  });

  test("[I28] the queue and the window have limits", async () => {
    const { scene, leader } = await started({ limits: { queueMax: 3, windowMax: 4 } });
    assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 5, "x"))), "groups/window-full");
    const [second] = others(scene, leader);
    assert.ok(second);
    const waiting = [1, 2, 3].map((number) => scene.submit(second, number, "x", { leftMs: 400 }));
    assert.equal(scene.textOf(await scene.finish(scene.submit(second, 4, "x"))), "groups/queue-full");
    assert.deepEqual(new Set((await scene.finish(Promise.all(waiting))).map(({ kind }) => kind)), new Set(["elsewhere"]));
  });
});

describe("reads of an ordering group", () => {
  test("[I20] members that are not there pass; latest needs all members, and is refused elsewhere", async () => {
    const { scene, leader } = await started();
    const settled = await scene.finish(scene.submit(leader, 1, "a"));
    assert.equal(settled.kind, "committed");
    const position = settled.kind === "committed" ? settled.position : { epoch: 0, index: 0 };
    assert.equal(leader.member.readSession(position), "here");
    assert.equal(leader.member.readSession({ epoch: position.epoch, index: position.index + 1 }), "behind");
    await scene.until(() => scene.servers.every(({ member }) => member.readSession(position) === "here"));
    assert.deepEqual(await scene.finish(leader.member.readLatest(1000)), leader.member.position());
    const [second] = others(scene, leader);
    assert.ok(second);
    await assert.rejects(scene.finish(second.member.readLatest(1000)), { code: "groups/not-synchronising" });
    scene.cut.add(`* ${second.name}`);
    await assert.rejects(scene.finish(leader.member.readLatest(300)), { code: "groups/late" });
  });

  test("[I20] a host that was deposed without noticing does not answer latest", async () => {
    const { scene, leader } = await started();
    scene.roll.observers.clear();
    for (const one of others(scene, leader)) scene.cut.add(`${leader.name} ${one.name}`);
    const read = leader.member.readLatest(2000);
    await assert.rejects(scene.finish(read), (error) => error instanceof MusterError && error.effect === "none");
  });

  test("readers that wait share rounds", async () => {
    const { scene, leader } = await started();
    const before = scene.messages;
    await scene.finish(Promise.all(Array.from({ length: 200 }, () => leader.member.readLatest(1000))));
    assert.ok(scene.messages - before < 30, `${scene.messages - before} messages`);
  });
});

describe("what others send", () => {
  test("bytes that are no message, and messages of older epochs, change nothing", async () => {
    const { scene, leader } = await started();
    const [second] = others(scene, leader);
    assert.ok(second);
    await scene.finish(scene.submit(leader, 1, "a"));
    await scene.untilEqual();
    const before = { ...second.member.status(), joiners: [] };
    for (const bytes of [new Uint8Array(), Uint8Array.of(1, 2, 3), Uint8Array.of(9), new Uint8Array(100).fill(255)])
      second.member.receive(leader.name, bytes);
    const { replica } = second.member.status();
    const previous = { epoch: 1, index: 1 };
    const word = { kind: "append", previous, commit: 100, entries: [] } as const;
    const old = encodeGroupMessage(new ByteWriter(), { epoch: 1, fromReplica: "0".repeat(16), toReplica: replica, word });
    second.member.receive("MDS.1.9", old);
    assert.deepEqual({ ...second.member.status(), joiners: [] }, before);
  });

  test("over paths that lose, double and reorder, every write is committed once", async () => {
    const { scene, leader } = await started({ loss: 0.1, twice: 0.2, delayMs: 20, seed: 5 });
    const writes = Array.from({ length: 60 }, (_, at) => scene.submit(leader, at + 1, `${at};`));
    const settled = await scene.finish(Promise.all(writes));
    assert.ok(settled.every(({ kind }) => kind === "committed"));
    await scene.untilEqual();
    for (const count of scene.executed.values()) assert.equal(count, 1);
    for (const server of scene.servers) assert.equal(scene.valueAt(server, "all"), scene.valueAt(leader, "all"));
  });
});

test("a member that was closed leaves no timer and answers `elsewhere`", async () => {
  const { scene, leader } = await started();
  const waits = scene.submit(leader, 1, "a");
  await scene.finish(leader.member.close());
  await scene.finish(leader.member.close());
  assert.equal((await scene.finish(waits)).kind, "elsewhere");
  assert.equal(scene.textOf(await scene.finish(scene.submit(leader, 2, "b"))), "elsewhere");
  assert.equal(leader.member.status().role, "closed");
});
