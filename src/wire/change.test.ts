import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MusterError } from "../kernel/index.ts";
import { ByteWriter } from "./bytes.ts";
import { type ChangeSink, decodeChanges, encodeChange, filterChange } from "./change.ts";
import type { ChangeEffect } from "./effects.ts";

interface Change {
  readonly epoch: number;
  readonly sequence: number;
  readonly effects: readonly ChangeEffect[];
}

/** Gathers what a decoder calls; a change counts only when it has ended. */
class Recorder implements ChangeSink {
  readonly changes: Change[] = [];
  #effects: ChangeEffect[] = [];
  #revision = { epoch: 0, sequence: 0 };

  begin(epoch: number, sequence: number): void {
    this.#effects = [];
    this.#revision = { epoch, sequence };
  }
  put(table: number, key: string, text: string, valid: boolean, owner: string, incarnation: number): void {
    this.#effects.push({ kind: "put", table, key, text, valid, owner, incarnation });
  }
  setValid(table: number, key: string, valid: boolean): void {
    this.#effects.push({ kind: "valid", table, key, valid });
  }
  remove(table: number, key: string): void {
    this.#effects.push({ kind: "remove", table, key });
  }
  end(): void {
    this.changes.push({ ...this.#revision, effects: this.#effects });
  }
}

const number = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }));
const table = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 0xfff_ffff }));
const text = fc.oneof(fc.string(), fc.string({ unit: "grapheme" }), fc.json());
const key = text.filter((value) => value !== "");
const plain = { noNullPrototype: true };
const effect: fc.Arbitrary<ChangeEffect> = fc.oneof(
  fc.record({ kind: fc.constant("put" as const), table, key, text, valid: fc.boolean(), owner: text, incarnation: number }, plain),
  fc.record({ kind: fc.constant("valid" as const), table, key, valid: fc.boolean() }, plain),
  fc.record({ kind: fc.constant("remove" as const), table, key }, plain),
);
const change: fc.Arbitrary<Change> = fc.record({ epoch: number, sequence: number, effects: fc.array(effect, { maxLength: 8 }) }, plain);

function encode(changes: readonly Change[]): Buffer {
  const writer = new ByteWriter();
  for (const { epoch, sequence, effects } of changes) encodeChange(writer, epoch, sequence, effects);
  return Buffer.from(writer.take());
}

function decode(bytes: Uint8Array): readonly Change[] {
  const recorder = new Recorder();
  decodeChanges(bytes, recorder);
  return recorder.changes;
}

describe("the codec of changes", () => {
  test("what was encoded is decoded, record by record", () => {
    fc.assert(fc.property(fc.array(change, { maxLength: 4 }), (changes) => assert.deepEqual(decode(encode(changes)), changes)));
  });

  test("a record may be passed over, and is known by its revision and its place before it is decoded", () => {
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(3), (changes, unwanted) => {
        const bytes = encode(changes);
        const seen: Change[] = [];
        const recorder = new Recorder();
        decodeChanges(bytes, recorder, (epoch, sequence, from, to) => {
          const [one] = decode(bytes.subarray(from, to));
          assert.ok(one !== undefined);
          assert.deepEqual([one.epoch, one.sequence], [epoch, sequence]);
          return seen.push(one) - 1 !== unwanted;
        });
        assert.deepEqual(seen, changes);
        assert.deepEqual(
          recorder.changes,
          changes.filter((_, index) => index !== unwanted),
        );
      }),
    );
  });

  test("a filtered record holds exactly the effects that are wanted", () => {
    fc.assert(
      fc.property(change, fc.nat(3), (one, wanted) => {
        const record = encode([one]);
        const keep = (number: number, name: string) => (number + name.length) % 4 !== wanted;
        const effects = one.effects.filter((candidate) => keep(candidate.table, candidate.key));
        const filtered = filterChange(record, keep);
        if (effects.length === 0) assert.equal(filtered, undefined);
        else if (effects.length === one.effects.length) assert.equal(filtered, record);
        else assert.deepEqual(decode(filtered ?? new Uint8Array()), [{ ...one, effects }]);
      }),
    );
  });

  test("bytes that are cut, bent or made up lead to a MusterError or to whole changes, never to half a change", () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .tuple(fc.array(change, { minLength: 1, maxLength: 3 }), fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat())
        .map(([changes, at, value, cut]) => {
          const bytes = encode(changes);
          bytes[at % bytes.length] = value;
          return bytes.subarray(0, bytes.length - (cut % 3 === 0 ? cut % bytes.length : 0));
        }),
    );
    fc.assert(
      fc.property(noise, (bytes) => {
        for (const attempt of [
          () => decode(bytes),
          () => filterChange(bytes, () => true),
          () => decodeChanges(bytes, new Recorder(), () => false),
        ])
          try {
            attempt();
          } catch (error) {
            assert.ok(error instanceof MusterError, String(error));
            assert.match(error.code, /^wire\/(truncated|malformed)$/);
          }
      }),
      { numRuns: 2000 },
    );
  });

  test("a record that promises more effects than it has bytes for is refused before any is read", () => {
    const bytes = Uint8Array.from([5, 1, 1, 100, 5, 1]);
    assert.throws(() => decode(bytes), { code: "wire/malformed" });
  });

  test("an effect that cannot be written leaves the writer as it was", () => {
    const writer = new ByteWriter();
    for (const bad of [
      { kind: "remove", table: 0, key: "a" },
      { kind: "remove", table: 1, key: "" },
      { kind: "put", table: 1, key: "a", text: "1", valid: true, owner: "", incarnation: -1 },
    ] satisfies ChangeEffect[])
      assert.throws(() => encodeChange(writer, 1, 1, [bad]), { code: "wire/malformed" });
    assert.equal(writer.length, 0);
  });
});
