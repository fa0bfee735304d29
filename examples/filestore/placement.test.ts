import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Candidate, chooseServer, partitionCount, partitionOf } from "./placement.ts";

const servers: readonly Candidate[] = [1, 2, 3, 4].map((number) => ({ key: `BSS.${number}`, host: `HOST${number}` }));
const nothing = { keys: new Set<string>(), hosts: new Set<string>() };

test("a name always belongs to the same partition, and names are spread over all of them", () => {
  assert.equal(partitionOf("metadata", "iso/some.iso"), partitionOf("metadata", "iso/some.iso"));
  const counts = Array.from({ length: partitionCount }, () => 0);
  for (let number = 0; number < 6000; number++) {
    const partition = partitionOf("bitfile", `file-${number}`);
    counts[partition] = (counts[partition] ?? 0) + 1;
  }
  for (const count of counts) assert.ok(count > 850 && count < 1150, String(counts));
});

test("the partitions of a file's metadata and of its bytes do not depend on each other", () => {
  const pairs = new Set(
    Array.from({ length: 2000 }, (_, number) => `${partitionOf("metadata", `f${number}`)} ${partitionOf("bitfile", `f${number}`)}`),
  );
  assert.equal(pairs.size, partitionCount ** 2);
});

test("the preferred server is taken while it is there", () => {
  assert.equal(chooseServer(servers, "object", nothing, "BSS.3")?.key, "BSS.3");
  assert.notEqual(chooseServer(servers, "object", { ...nothing, keys: new Set(["BSS.3"]) }, "BSS.3")?.key, "BSS.3");
});

test("two copies never come to one host", () => {
  fc.assert(
    fc.property(fc.string(), fc.subarray([...servers]), (seed, live) => {
      const first = chooseServer(live, seed, nothing);
      if (first === undefined) return assert.equal(live.length, 0);
      const second = chooseServer(live, seed, { ...nothing, hosts: new Set([first.host]) });
      assert.equal(second === undefined, live.length === 1);
      assert.notEqual(second?.host, first.host);
    }),
  );
});

test("the loss of a server moves only what would have gone there", () => {
  const without = servers.filter(({ key }) => key !== "BSS.2");
  for (let number = 0; number < 200; number++) {
    const before = chooseServer(servers, `object-${number}`, nothing)?.key;
    if (before !== "BSS.2") assert.equal(chooseServer(without, `object-${number}`, nothing)?.key, before);
  }
});
