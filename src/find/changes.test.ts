import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Replica, tableNumbers } from "../tables/index.ts";
import { ByteWriter, type ChangeEffect, decodeChanges, encodeChange } from "../wire/index.ts";
import { Finder } from "./index.ts";

const put = (table: number, key: string, text: string): ChangeEffect => ({
  kind: "put",
  table,
  key,
  text,
  valid: true,
  owner: "",
  incarnation: 0,
});

function bytesOf(sequence: number, effects: readonly ChangeEffect[]): Buffer {
  const writer = new ByteWriter();
  encodeChange(writer, 1, sequence, effects);
  return writer.take();
}

describe("from the bytes of a change to an answer", () => {
  test("[DSD-6] what was decoded is found, and half a change that ends in damage shows nothing", () => {
    const replica = new Replica();
    const finder = new Finder(replica, { ageMs: () => 0 });
    assert.equal(finder.find("metadata", "MDS"), undefined);
    const first = bytesOf(1, [
      put(tableNumbers.metadata, "MDS.1", '{"host":"HOST9","port":1872}'),
      put(tableNumbers.hostRoute, "HOST9.0", '"16.7.13.1"'),
    ]);
    decodeChanges(first, replica);
    assert.equal(finder.find("metadata", "MDS")?.address, "16.7.13.1");
    const second = bytesOf(2, [
      put(tableNumbers.metadata, "MDS.2", '{"host":"HOST9","port":1}'),
      { kind: "remove", table: tableNumbers.hostRoute, key: "HOST9.0" },
    ]);
    const damaged = Buffer.from(second);
    damaged[damaged.length - 9] = 3;
    assert.throws(() => decodeChanges(damaged, replica), { code: "wire/malformed" });
    assert.deepEqual(replica.position, { epoch: 1, sequence: 1 });
    assert.deepEqual(
      finder.findAll("metadata", "MDS").map((route) => route.instance),
      ["MDS.1"],
    );
    decodeChanges(second, replica);
    assert.equal(finder.find("metadata", "MDS"), undefined);
    assert.equal(replica.get("metadata", "MDS.2")?.valid, true);
  });
});
