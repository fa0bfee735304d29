import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Store, StoreBatch, StoredRoll } from "../storage/index.ts";

export interface StoreUnderTest {
  /** A store on the same place each time: another object, another process' view, as the implementation has it. */
  store(): Store;
  /** Frees the place. */
  close(): Promise<void>;
}

/** Everything a roll holds, in the order in which the store gave it. */
interface Contents {
  readonly meta: Record<string, string>;
  readonly entries: readonly (readonly [table: number, key: string, bytes: string])[];
  readonly sessions: readonly (readonly [session: number, bytes: string])[];
  readonly log: readonly (readonly [sequence: number, bytes: string])[];
}

const empty: Contents = { meta: {}, entries: [], sessions: [], log: [] };

/** What every store must do, written once: it runs on memory, LMDB, the simulated disk and etcd. */
export function storeConformance(name: string, make: () => Promise<StoreUnderTest>): void {
  const scenario = (title: string, run: (place: Place) => Promise<void>) =>
    test(title, { timeout: 60_000 }, async () => {
      const place = new Place(await make());
      try {
        await run(place);
      } finally {
        await place.close();
      }
    });

  describe(`store: ${name}`, () => {
    scenario("a new store is empty", async (place) => {
      assert.deepEqual(contentsOf(await place.open()), empty);
    });

    scenario("what was committed is there after reopening, byte for byte", async (place) => {
      await place.open();
      const every = Uint8Array.from({ length: 256 }, (_, index) => index);
      await place.commit({
        meta: [
          ["fleet", text("f1")],
          ["none", new Uint8Array(0)],
        ],
        entries: [
          { table: 3, key: "MDS.1", bytes: every },
          { table: 0, key: "", bytes: new Uint8Array(0) },
        ],
        sessions: [{ session: Number.MAX_SAFE_INTEGER, bytes: text("s") }],
        log: [{ sequence: 7, bytes: new Uint8Array(200_000).fill(9) }],
      });
      const found = contentsOf(await place.reopen());
      assert.deepEqual(found.meta, { fleet: hex(text("f1")), none: "" });
      assert.deepEqual(found.entries, [
        [0, "", ""],
        [3, "MDS.1", hex(every)],
      ]);
      assert.deepEqual(found.sessions, [[Number.MAX_SAFE_INTEGER, hex(text("s"))]]);
      assert.deepEqual(found.log, [[7, "09".repeat(200_000)]]);
    });

    scenario("a later batch replaces and deletes", async (place) => {
      await place.open();
      await place.commit({
        meta: [["m", text("1")]],
        entries: [entry(1, "a", "1"), entry(1, "b", "1")],
        sessions: [{ session: 1, bytes: text("1") }],
      });
      await place.commit({
        meta: [["m", text("2")]],
        entries: [entry(1, "a", "2"), { table: 1, key: "b", bytes: undefined }, { table: 9, key: "never", bytes: undefined }],
        sessions: [{ session: 1, bytes: undefined }],
      });
      const found = contentsOf(await place.reopen());
      assert.deepEqual(found, { ...empty, meta: { m: hex(text("2")) }, entries: [[1, "a", hex(text("2"))]] });
    });

    scenario("within one batch the last word about a key counts", async (place) => {
      await place.open();
      await place.commit({
        entries: [
          entry(1, "a", "1"),
          { table: 1, key: "a", bytes: undefined },
          entry(1, "a", "3"),
          entry(1, "b", "1"),
          { table: 1, key: "b", bytes: undefined },
        ],
      });
      assert.deepEqual(contentsOf(await place.reopen()).entries, [[1, "a", hex(text("3"))]]);
    });

    scenario("entries come in the order of table number and key bytes, sessions and log in the order of their numbers", async (place) => {
      await place.open();
      const keys = ["", "A", "MDS.1", "MDS.1.1", "MDS.10", "MDS.2", "é", "\uffff", "\u{10000}"];
      const tables = [0, 1, 255, 256, 65_536, 0xffff_ffff];
      const numbers = [0, 1, 255, 256, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER];
      await place.commit({
        entries: tables.flatMap((table) => keys.map((key) => entry(table, key, "x"))).reverse(),
        sessions: numbers.map((session) => ({ session, bytes: text("s") })).reverse(),
        log: numbers.map((sequence) => ({ sequence, bytes: text("l") })),
      });
      const found = contentsOf(await place.reopen());
      assert.deepEqual(
        found.entries.map(([table, key]) => [table, key]),
        tables.flatMap((table) => keys.map((key) => [table, key])),
      );
      assert.deepEqual([found.sessions.map(([number]) => number), found.log.map(([number]) => number)], [numbers, numbers]);
    });

    scenario("logFrom drops the records below it and no others", async (place) => {
      await place.open();
      for (let sequence = 1; sequence <= 20; sequence++) await place.commit({ log: [{ sequence, bytes: text(String(sequence)) }] });
      await place.commit({ log: [{ sequence: 21, bytes: text("21") }], logFrom: 15 });
      const kept = (roll: Contents) => roll.log.map(([sequence]) => sequence);
      assert.deepEqual(kept(contentsOf(await place.reopen())), [15, 16, 17, 18, 19, 20, 21]);
      await place.commit({ logFrom: 3 });
      await place.commit({ logFrom: 100 });
      await place.commit({ log: [{ sequence: 100, bytes: text("100") }] });
      assert.deepEqual(kept(contentsOf(await place.reopen())), [100]);
    });

    scenario("the store keeps its own copy of what it is given", async (place) => {
      await place.open();
      const bytes = text("before");
      await place.commit({ entries: [{ table: 1, key: "k", bytes }], log: [{ sequence: 1, bytes }] });
      bytes.fill(0);
      const found = contentsOf(await place.reopen());
      assert.deepEqual([found.entries[0]?.[2], found.log[0]?.[1]], [hex(text("before")), hex(text("before"))]);
    });

    scenario("what is read stays valid after the next record was read", async (place) => {
      await place.open();
      const entries = Array.from({ length: 500 }, (_, index) =>
        entry(1, `key-${String(index).padStart(4, "0")}`, `value ${index} ${"x".repeat(index)}`),
      );
      await place.commit({ entries });
      const roll = await place.reopen();
      const kept = [...roll.entries()];
      assert.deepEqual(
        kept.map(({ key, bytes }) => [key, hex(bytes)]),
        entries.map(({ key, bytes }) => [key, hex(bytes)]),
      );
    });

    scenario("reading may be given up early, and writing goes on", async (place) => {
      await place.open();
      await place.commit({ entries: Array.from({ length: 100 }, (_, index) => entry(1, String(index), "x")) });
      const roll = await place.reopen();
      for (const _ of roll.entries()) break;
      await place.commit({ entries: [entry(1, "after", "x")] });
      assert.equal(contentsOf(await place.reopen()).entries.length, 101);
    });

    scenario("an empty batch is a batch", async (place) => {
      await place.open();
      await place.commit({});
      assert.deepEqual(contentsOf(await place.reopen()), empty);
    });

    scenario("a batch that cannot be kept is refused whole, and the next one is taken", async (place) => {
      await place.open();
      const good = entry(1, "good", "x");
      const bad: StoreBatch[] = [
        { entries: [good, entry(-1, "k", "x")] },
        { entries: [good, entry(2 ** 32, "k", "x")] },
        { entries: [good, entry(1, "k".repeat(1025), "x")] },
        { entries: [good, entry(1, "\ud800", "x")] },
        { entries: [good], sessions: [{ session: 1.5, bytes: text("x") }] },
        { entries: [good], log: [{ sequence: 2 ** 53, bytes: text("x") }] },
        { entries: [good], meta: [["", text("x")]] },
        { entries: [good], logFrom: Number.NaN },
        { entries: [good, { table: 1, key: "k", bytes: new Uint8Array(16 * 1024 * 1024 + 1) }] },
      ];
      for (const batch of bad) await assert.rejects(place.commit(batch), { code: "storage/bad-batch" });
      await place.commit({ entries: [entry(1, "k".repeat(1024), "x")] });
      assert.deepEqual(
        contentsOf(await place.reopen()).entries.map(([, key]) => key),
        ["k".repeat(1024)],
      );
    });

    scenario("a second opener of the same place is refused, and the first goes on", async (place) => {
      await place.open();
      await assert.rejects(place.second().open(), { code: "storage/busy" });
      await place.commit({ entries: [entry(1, "k", "x")] });
      assert.equal(contentsOf(await place.reopen()).entries.length, 1);
    });

    scenario("a store that is not open refuses commits, and closing twice is harmless", async (place) => {
      await assert.rejects(place.commit({}), { code: "storage/closed" });
      await place.open();
      await place.shut();
      await place.shut();
      await assert.rejects(place.commit({}), { code: "storage/closed" });
    });

    scenario("random batches, reopened in between, equal a model", async (place) => {
      await place.open();
      const model = new Model();
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.oneof({ weight: 6, arbitrary: anyBatch }, { weight: 1, arbitrary: fc.constant(undefined) }), { maxLength: 12 }),
          async (steps) => {
            for (const batch of steps) {
              if (batch === undefined) assert.deepEqual(contentsOf(await place.reopen()), model.contents());
              else {
                await place.commit(batch);
                model.apply(batch);
              }
            }
            assert.deepEqual(contentsOf(await place.reopen()), model.contents());
          },
        ),
        { numRuns: 40, endOnFailure: true },
      );
    });
  });
}

/** One place with the store that is open on it. */
class Place {
  readonly #world: StoreUnderTest;
  #store: Store;

  constructor(world: StoreUnderTest) {
    this.#world = world;
    this.#store = world.store();
  }

  open(): Promise<StoredRoll> {
    return this.#store.open();
  }

  commit(batch: StoreBatch): Promise<void> {
    return this.#store.commit(batch);
  }

  second(): Store {
    return this.#world.store();
  }

  shut(): Promise<void> {
    return this.#store.close();
  }

  async reopen(): Promise<StoredRoll> {
    await this.#store.close();
    this.#store = this.#world.store();
    return this.#store.open();
  }

  async close(): Promise<void> {
    await this.#store.close();
    await this.#world.close();
  }
}

/** The same promises in the plainest form. */
class Model {
  readonly #meta = new Map<string, string>();
  readonly #entries = new Map<string, readonly [number, string, string]>();
  readonly #sessions = new Map<number, string>();
  readonly #log = new Map<number, string>();

  apply(batch: StoreBatch): void {
    for (const [name, bytes] of batch.meta ?? []) this.#meta.set(name, hex(bytes));
    for (const { table, key, bytes } of batch.entries ?? []) {
      if (bytes === undefined) this.#entries.delete(`${table} ${key}`);
      else this.#entries.set(`${table} ${key}`, [table, key, hex(bytes)]);
    }
    for (const { session, bytes } of batch.sessions ?? []) {
      if (bytes === undefined) this.#sessions.delete(session);
      else this.#sessions.set(session, hex(bytes));
    }
    for (const { sequence, bytes } of batch.log ?? []) this.#log.set(sequence, hex(bytes));
    for (const sequence of [...this.#log.keys()]) if (sequence < (batch.logFrom ?? 0)) this.#log.delete(sequence);
  }

  contents(): Contents {
    return {
      meta: sortedRecord(this.#meta),
      entries: [...this.#entries.values()].sort((a, b) => a[0] - b[0] || Buffer.compare(Buffer.from(a[1]), Buffer.from(b[1]))),
      sessions: [...this.#sessions].sort(([a], [b]) => a - b),
      log: [...this.#log].sort(([a], [b]) => a - b),
    };
  }
}

const anyBytes = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 3000, maxLength: 9000 }) },
);
const maybeBytes = fc.option(anyBytes, { nil: undefined, freq: 3 });
const anyKey = fc.oneof(fc.constantFrom("", "MDS.1", "MDS.1.1", "MDS.10"), fc.string({ unit: "grapheme", maxLength: 6 }));
const anyBatch: fc.Arbitrary<StoreBatch> = fc.record(
  {
    meta: fc.array(fc.tuple(fc.constantFrom("epoch", "fleet", "next.session"), anyBytes), { maxLength: 2 }),
    entries: fc.array(fc.record({ table: fc.constantFrom(0, 1, 2, 300), key: anyKey, bytes: maybeBytes }), { maxLength: 20 }),
    sessions: fc.array(fc.record({ session: fc.nat({ max: 5 }), bytes: maybeBytes }), { maxLength: 3 }),
    log: fc.array(fc.record({ sequence: fc.nat({ max: 60 }), bytes: anyBytes }), { maxLength: 5 }),
    logFrom: fc.nat({ max: 60 }),
  },
  { requiredKeys: [] },
);

function contentsOf(roll: StoredRoll): Contents {
  return {
    meta: sortedRecord([...roll.meta].map(([name, bytes]) => [name, hex(bytes)] as const)),
    entries: Array.from(roll.entries(), ({ table, key, bytes }) => [table, key, hex(bytes)] as const),
    sessions: Array.from(roll.sessions(), ({ session, bytes }) => [session, hex(bytes)] as const),
    log: Array.from(roll.log(), ({ sequence, bytes }) => [sequence, hex(bytes)] as const),
  };
}

function entry(table: number, key: string, value: string): { table: number; key: string; bytes: Uint8Array } {
  return { table, key, bytes: text(value) };
}

function sortedRecord(records: Iterable<readonly [string, string]>): Record<string, string> {
  return Object.fromEntries([...records].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
