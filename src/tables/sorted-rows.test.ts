import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom, randomBelow } from "../kernel/index.ts";
import { Replica, tableNumbers } from "./index.ts";

const { metadata } = tableNumbers;

/** A replica whose one table grows and shrinks over several chunks, beside the plain set of its keys. */
function grown(seed: number, steps: number): { readonly replica: Replica; readonly keys: Set<string>; step(): void } {
  const random = new SeededRandom(seed);
  const replica = new Replica();
  const keys = new Set<string>();
  let sequence = 0;
  const step = () => {
    const key = `svc${randomBelow(random, 4000)}.${randomBelow(random, 3)}`;
    replica.begin(1, ++sequence);
    if (random.fraction() < 0.35) {
      replica.remove(metadata, key);
      keys.delete(key);
    } else {
      replica.put(metadata, key, "1", true, "", 0);
      keys.add(key);
    }
    replica.end();
  };
  for (let index = 0; index < steps; index++) step();
  return { replica, keys, step };
}

describe("the sorted index of a table", () => {
  test("[DSD-12] prefixes give exactly the matching keys in order, over many chunks and after removals", () => {
    const { replica, keys } = grown(1, 20_000);
    assert.ok(keys.size > 2000);
    for (const prefix of ["", "s", "svc1", "svc12", "svc123.", "svc3999", "svc4", "t", "\u0000"]) {
      const wanted = [...keys].filter((key) => key.startsWith(prefix)).sort();
      assert.deepEqual(
        replica.search("metadata", prefix).map((entry) => entry.key),
        wanted,
      );
    }
  });

  test("shrinking to nothing leaves an index that works", () => {
    const { replica, keys } = grown(2, 5000);
    let sequence = 10_000;
    for (const key of keys) {
      replica.begin(1, ++sequence);
      replica.remove(metadata, key);
      replica.end();
    }
    assert.deepEqual(replica.search("metadata"), []);
    replica.begin(1, ++sequence);
    replica.put(metadata, "a", "1", true, "", 0);
    replica.end();
    assert.equal(replica.search("metadata", "a").length, 1);
  });

  test("an iteration that is suspended while rows come and go repeats nothing and shows every row that stayed", () => {
    for (let seed = 3; seed < 8; seed++) {
      const { replica, keys, step } = grown(seed, 6000);
      const stayed = new Set(keys);
      const seen: string[] = [];
      for (const { key } of replica.entries(metadata)) {
        seen.push(key);
        if (seen.length % 7 === 0) {
          for (let index = 0; index < 5; index++) step();
          for (const known of stayed) if (!keys.has(known)) stayed.delete(known);
        }
      }
      assert.deepEqual(seen, [...new Set(seen)].sort());
      const shown = new Set(seen);
      assert.deepEqual(
        [...stayed].filter((key) => !shown.has(key)),
        [],
      );
    }
  });

  test("entries go on after a given key, whether it is there or not", () => {
    const { replica, keys } = grown(9, 3000);
    const sorted = [...keys].sort();
    const middle = sorted[1000] ?? "";
    assert.deepEqual(
      [...replica.entries(metadata, middle)].map((row) => row.key),
      sorted.slice(1001),
    );
    assert.deepEqual(
      [...replica.entries(metadata, `${middle}!`)].map((row) => row.key),
      sorted.slice(1001),
    );
    assert.deepEqual([...replica.entries(metadata, "zzz")], []);
  });
});
