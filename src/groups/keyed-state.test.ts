import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { KeyedState, type KeyedTransaction } from "./keyed-state.ts";
import { SortedKeys } from "./sorted-keys.ts";

const bytes = (text: string) => Buffer.from(text);
const read = (one: Uint8Array | undefined) => (one === undefined ? undefined : Buffer.from(one).toString());

/** A state whose one handler does what the test says. */
function stateOf(bytesMax?: number) {
  let act: (rows: KeyedTransaction) => Uint8Array | Promise<Uint8Array> = () => bytes("");
  const state = new KeyedState({ handlers: { act: (_body, rows) => act(rows) }, ...(bytesMax === undefined ? {} : { bytesMax }) });
  const execute = (index: number, what: typeof act) => {
    act = what;
    return state.execute({ type: "act", body: bytes(""), id: { lease: "c", sequence: index }, index });
  };
  const run = (index: number, what: (rows: KeyedTransaction) => Uint8Array) => {
    const executed = execute(index, what);
    assert.ok(!(executed instanceof Promise));
    return executed;
  };
  return { state, execute, run };
}

describe("a state of rows by key", () => {
  test("a handler sees what was executed before it; readers see what is installed", () => {
    const { state, run } = stateOf();
    const first = run(1, (rows) => {
      rows.put("a", bytes("1"));
      return bytes("done");
    });
    const seen = run(2, (rows) => bytes(`${read(rows.get("a"))}`));
    assert.equal(read(seen.outcome), "1");
    assert.equal(state.get("a"), undefined);
    assert.deepEqual(
      state.install(1, first.delta).map(({ key }) => key),
      ["a"],
    );
    assert.equal(read(state.get("a")), "1");
  });

  test("what is discarded, and what a handler throws after, is void", () => {
    const { state, run } = stateOf();
    run(1, (rows) => {
      rows.put("a", bytes("1"));
      return bytes("");
    });
    state.discard();
    assert.throws(() =>
      run(1, (rows) => {
        rows.put("b", bytes("1"));
        throw new Error("no");
      }),
    );
    assert.equal(read(run(1, (rows) => bytes(`${rows.get("a") ?? rows.get("b") ?? "nothing"}`)).outcome), "nothing");
  });

  test("a handler that was given up can change nothing any more", async () => {
    const { state, execute } = stateOf();
    let go: (() => void) | undefined;
    let late: KeyedTransaction | undefined;
    const hangs = execute(1, async (rows) => {
      late = rows;
      rows.put("a", bytes("1"));
      await new Promise<void>((resolve) => (go = resolve));
      rows.put("b", bytes("1"));
      return bytes("");
    });
    state.discard();
    go?.();
    await assert.rejects(Promise.resolve(hangs), { code: "groups/void" });
    assert.throws(() => late?.get("a"), { code: "groups/void" });
    assert.equal(state.size, 0);
  });

  test("a page of rows shows changes of all layers, in order", () => {
    const keys = fc.stringMatching(/^[ab]{1,3}$/);
    const change = fc.record({ key: keys, isPut: fc.boolean() });
    const layers = fc.tuple(fc.array(change), fc.array(change), fc.array(change));
    fc.assert(
      fc.property(
        layers,
        fc.stringMatching(/^[ab]{0,2}$/),
        fc.option(keys, { nil: undefined }),
        fc.integer({ min: 1, max: 6 }),
        (all, prefix, after, limit) => {
          const { state, run } = stateOf();
          const model = new Map<string, string>();
          const apply = (rows: KeyedTransaction, changes: (typeof all)[0], value: string) => {
            for (const { key, isPut } of changes) {
              if (isPut) rows.put(key, bytes(value));
              else rows.delete(key);
              if (isPut) model.set(key, value);
              else model.delete(key);
            }
          };
          const done = (value: string, changes: (typeof all)[0]) => (rows: KeyedTransaction) => {
            apply(rows, changes, value);
            return bytes("");
          };
          state.install(1, run(1, done("1", all[0])).delta);
          run(2, done("2", all[1]));
          let found: readonly (readonly [string, string | undefined])[] = [];
          run(3, (rows) => {
            apply(rows, all[2], "3");
            found = rows.list(prefix, { limit, ...(after === undefined ? {} : { after }) }).map((row) => [row.key, read(row.bytes)]);
            return bytes("");
          });
          const expected = [...model]
            .filter(([key]) => key.startsWith(prefix) && key > (after ?? ""))
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .slice(0, limit);
          assert.deepEqual(found, expected);
        },
      ),
    );
  });

  test("a snapshot is the state as it was, whatever comes after, and restores it", () => {
    const { state, run } = stateOf();
    const put = (key: string) => (rows: KeyedTransaction) => {
      rows.put(key, bytes(key));
      return bytes("");
    };
    state.install(1, run(1, put("a")).delta);
    const rows = state.snapshot();
    state.install(2, run(2, put("b")).delta);
    const copy = stateOf().state;
    copy.restore(rows);
    assert.deepEqual([copy.size, read(copy.get("a")), copy.get("b")], [1, "a", undefined]);
  });

  test("keys and the whole have limits", () => {
    const { run } = stateOf(100);
    const put = (key: string, length: number) => () =>
      run(1, (rows) => {
        rows.put(key, new Uint8Array(length));
        return bytes("");
      });
    assert.throws(put("", 1), { code: "groups/bad-key" });
    assert.throws(put("x".repeat(513), 1), { code: "groups/bad-key" });
    assert.throws(put("\ud800", 1), { code: "groups/bad-key" });
    assert.throws(put("x", 100), { code: "groups/state-full" });
    assert.doesNotThrow(put("x", 99));
  });
});

test("sorted keys stay sorted through thousands of changes", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 1500 }), fc.boolean()), { minLength: 2000, maxLength: 3000 }), (changes) => {
      const keys = new SortedKeys();
      const model = new Set<string>();
      for (const [number, isAdded] of changes) {
        const key = String(number);
        if (isAdded) keys.add(key);
        else keys.delete(key);
        if (isAdded) model.add(key);
        else model.delete(key);
      }
      assert.deepEqual([...keys.from("")], [...model].sort());
      assert.deepEqual(
        [...keys.from("7")],
        [...model].sort().filter((key) => key >= "7"),
      );
      assert.equal(keys.size, model.size);
    }),
    { numRuns: 10 },
  );
});
