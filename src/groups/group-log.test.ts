import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom, silentTelemetry } from "../kernel/index.ts";
import { MemoryStore, type Store, type StoreBatch, type StoredRoll } from "../storage/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { makeEntry } from "./entry.ts";
import { GroupLog, tables } from "./group-log.ts";

/** A store whose commits end when the test says so, well or not. */
class HeldStore implements Store {
  readonly inner = new MemoryStore();
  readonly held: { readonly batch: StoreBatch; readonly end: (fails: boolean) => Promise<void> }[] = [];

  open(): Promise<StoredRoll> {
    return this.inner.open();
  }

  commit(batch: StoreBatch): Promise<void> {
    if ((batch.log ?? []).length === 0 && batch.entries === undefined) return this.inner.commit(batch);
    return new Promise((resolve, reject) => {
      const end = async (fails: boolean): Promise<void> => {
        if (fails) reject(new Error("no room"));
        else {
          await this.inner.commit(batch);
          resolve();
        }
        await Promise.resolve();
        await Promise.resolve();
      };
      this.held.push({ batch, end });
    });
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  async endNext(fails = false): Promise<void> {
    const next = this.held.shift();
    assert.ok(next, "a commit is under way");
    await next.end(fails);
  }
}

async function opened(store = new HeldStore(), limits = { logBytesMax: 10_000, logEntriesMax: 100 }) {
  const clock = new ManualClock();
  const heard = { begins: 0, durable: 0 };
  const log = new GroupLog(
    {
      clock,
      random: new SeededRandom(1),
      telemetry: silentTelemetry,
      store,
      begins: () => heard.begins++,
      durable: () => heard.durable++,
      neededAfter: () => Number.POSITIVE_INFINITY,
    },
    limits,
  );
  const rows = [...(await log.open())];
  return { log, clock, store, heard, rows };
}

const entry = (epoch: number, index: number) => makeEntry(epoch, index, { kind: "lease-ended", lease: `${epoch}.${index}` });
const row = (key: string, bytes: Uint8Array | undefined) => ({ table: tables.state, key, bytes });

const large = (count: number, bytes: number) =>
  Array.from({ length: count }, (_, at) => ({ table: tables.state, key: `large${at}`, bytes: new Uint8Array(bytes) }));

async function closed(store: HeldStore) {
  await store.inner.close();
  return store.inner;
}

/** What another life would find. */
async function reopened(store: HeldStore) {
  await store.inner.close();
  return opened(store);
}

describe("the log of a member", () => {
  test("it has one identity for all its lives", async () => {
    const first = await opened();
    assert.match(first.log.replica, /^[0-9a-f]{16}$/);
    assert.equal((await reopened(first.store)).log.replica, first.log.replica);
  });

  test("what happens while a batch is written goes into the next, and counts as durable only with it", async () => {
    const { log, clock, store, heard } = await opened();
    log.append(entry(1, 1));
    log.promise(1);
    clock.advance(0);
    log.append(entry(1, 2));
    log.promise(2);
    assert.deepEqual([log.durable, log.promisedDurable, store.held.length], [0, 0, 1]);
    await store.endNext();
    assert.deepEqual([log.durable, log.promisedDurable], [1, 1]);
    clock.advance(0);
    await store.endNext();
    assert.deepEqual([log.durable, log.promisedDurable, heard.durable], [2, 2, 2]);
  });

  test("a tail that is cut off while it is written is not durable, and not there after a crash", async () => {
    const { log, clock, store } = await opened();
    for (let index = 1; index <= 3; index++) log.append(entry(1, index));
    clock.advance(0);
    log.cut(1);
    log.append(entry(2, 2));
    await store.endNext();
    assert.equal(log.durable, 1);
    clock.advance(0);
    await store.endNext();
    assert.equal(log.durable, 2);
    const again = await reopened(store);
    assert.deepEqual(again.log.entries.last, { epoch: 2, index: 2 });
    assert.equal(again.log.entries.end, 2);
  });

  test("a batch that is refused is part of the next one, newer words first", async () => {
    const { log, clock, store } = await opened();
    log.append(entry(1, 1));
    log.install({ epoch: 1, index: 1 }, [row("a", Uint8Array.of(1)), row("b", Uint8Array.of(1))]);
    clock.advance(0);
    log.append(entry(1, 2));
    log.install({ epoch: 1, index: 2 }, [row("a", undefined)]);
    await store.endNext(true);
    assert.equal(log.trouble?.code, "groups/not-durable");
    clock.advance(0);
    assert.equal(store.held.length, 0);
    log.retry();
    await store.endNext();
    assert.deepEqual([log.durable, log.trouble], [2, undefined]);
    const again = await reopened(store);
    assert.deepEqual(again.log.installed, { epoch: 1, index: 2 });
    assert.deepEqual(
      again.rows.map(({ key }) => key),
      ["b"],
    );
  });

  test("a copy of the state comes in beside the old one, in commits of bounded size, and takes its place by one mark", async () => {
    const { log, clock, store } = await opened();
    for (let index = 1; index <= 9; index++) log.append(entry(1, index));
    log.install({ epoch: 1, index: 9 }, [row("a", Uint8Array.of(1)), row("old", Uint8Array.of(1))]);
    clock.advance(0);
    await store.endNext();
    const keysNow = async () => (await reopened(store)).rows.map(({ key, bytes }) => `${key}${bytes[0] ?? ""}`);
    const copied = Array.from({ length: 10_000 }, (_, at) => ({ table: tables.state, key: `k${at}`, bytes: Uint8Array.of(2) }));
    copied.push({ table: tables.state, key: "a", bytes: Uint8Array.of(2) }, ...large(3, 700 * 1024));
    log.beginCopy();
    log.addToCopy(copied);
    // It is not lost by a refusal.
    clock.advance(0);
    await store.endNext(true);
    log.retry();
    let commits = 0;
    while (log.stagedDurable < copied.length) {
      clock.advance(0);
      const rows = store.held[0]?.batch.entries ?? [];
      let bytes = 0;
      for (const one of rows) bytes += one.bytes?.length ?? 0;
      assert.ok(rows.length <= 4096 && bytes <= 1024 * 1024, `${rows.length} rows of ${bytes} bytes`);
      await store.endNext();
      commits++;
    }
    assert.equal(commits, 5);
    log.adoptCopy({ epoch: 3, index: 5 }, [row("a", undefined), row("old", undefined)]);
    assert.equal(log.durable, 0, "nothing of it counts before a batch that begins from now on");
    clock.advance(0);
    await store.endNext();
    assert.equal(log.durable, 5);
    assert.deepEqual([log.entries.base, log.entries.end], [{ epoch: 3, index: 5 }, 5]);
    assert.equal((await keysNow()).length, copied.length);
  });

  test("a crash in the middle of a copy leaves the old state, and what had come of the copy is swept", async () => {
    const { log, clock, store } = await opened();
    log.append(entry(1, 1));
    log.install({ epoch: 1, index: 1 }, [row("a", Uint8Array.of(1))]);
    clock.advance(0);
    await store.endNext();
    log.beginCopy();
    log.addToCopy([{ table: tables.state, key: "b", bytes: Uint8Array.of(2) }]);
    clock.advance(0);
    await store.endNext();
    const again = await reopened(store);
    assert.deepEqual(
      again.rows.map(({ key, bytes }) => [key, bytes[0]]),
      [["a", 1]],
    );
    assert.deepEqual([again.log.installed, again.log.durable], [{ epoch: 1, index: 1 }, 1]);
    again.log.flush();
    again.clock.advance(0);
    await store.endNext();
    assert.equal([...(await (await closed(store)).open()).entries()].length, 1);
  });

  test("committed entries beyond the limits are dropped, here and in the store", async () => {
    const { log, clock, store } = await opened(new HeldStore(), { logBytesMax: 10_000, logEntriesMax: 4 });
    for (let index = 1; index <= 10; index++) log.append(entry(1, index));
    log.install({ epoch: 1, index: 8 }, []);
    clock.advance(0);
    assert.equal(store.held[0]?.batch.logFrom, 7);
    await store.endNext();
    const again = await reopened(store);
    assert.deepEqual([again.log.entries.base.index, again.log.entries.end], [6, 10]);
  });

  test("that others' copies were given up counts when it is durable, and until somebody's entry says so", async () => {
    const { log, clock, store } = await opened();
    log.append(entry(1, 1));
    assert.equal(log.accept(7), false);
    clock.advance(0);
    assert.equal(log.accept(7), false, "the commit is under way");
    await store.endNext();
    assert.equal(log.accept(7), true);
    assert.equal((await reopened(store)).log.acceptedEpoch, 7);
    log.append(entry(7, 2));
    assert.equal(log.acceptedEpoch, 0);
  });

  test("what a newer program has written is not called damaged: nobody is told to throw it away", async () => {
    const newer = new HeldStore();
    await newer.inner.open();
    await newer.inner.commit({ meta: [["group", Uint8Array.of(99, 1, 2, 3)]] });
    await newer.inner.close();
    await assert.rejects(opened(newer), { code: "groups/newer-data", next: /newer program/ });
  });

  test("a store that no member wrote, or with a hole, is refused by name", async () => {
    const foreign = new HeldStore();
    await foreign.inner.open();
    await foreign.inner.commit({ meta: [["roll", Uint8Array.of(1)]] });
    await foreign.inner.close();
    await assert.rejects(opened(foreign), { code: "groups/damaged" });
    const holed = await opened();
    for (let index = 1; index <= 3; index++) holed.log.append(entry(1, index));
    holed.clock.advance(0);
    await holed.store.endNext();
    await holed.store.inner.commit({ log: [{ sequence: 2, bytes: Uint8Array.of(77) }] });
    await assert.rejects(reopened(holed.store), { code: "groups/damaged" });
  });
});
