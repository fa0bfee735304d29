import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError } from "../kernel/index.ts";
import { formatSubset, isInSubset, parseSubset } from "./subset.ts";

describe("a subset", () => {
  const server = { instance: "MDS.1.2", host: "HOST2", port: 1872, data: { zone: "a", disks: ["fast", "large"] } };

  test("[MRT-2] is a list of servers, of service instances and of hosts", () => {
    for (const item of ["MDS.1.2", "MDS.1", "MDS", "HOST2"]) assert.ok(isInSubset(["HOST9", item], server), item);
    for (const item of ["MDS.1.20", "MDS.1.", "MDS.2", "MD", "HOST", "HOST22", "a"]) assert.ok(!isInSubset([item], server), item);
  });

  test("[MRT-2] or says which attributes a server must have", () => {
    assert.ok(isInSubset({ where: { zone: "a", disks: "fast" } }, server));
    assert.ok(!isInSubset({ where: { zone: "a", disks: "small" } }, server));
    assert.ok(!isInSubset({ where: { zone: "a" } }, { instance: "MDS.1.2", host: "HOST2", port: 1872 }));
  });

  test("that is empty, too long or something else is refused; twice the same is once", () => {
    const many = Array.from({ length: 257 }, (_, index) => `HOST${index}`);
    for (const bad of [
      [],
      "HOST1",
      7,
      null,
      {},
      [7],
      [""],
      ["x".repeat(513)],
      many,
      { where: {} },
      { where: { a: [] } },
      { where: { a: 1 }, b: 1 },
    ])
      assert.throws(
        () => parseSubset("stat", bad),
        (error) => error instanceof MusterError && error.code === "requests/bad-declaration",
        JSON.stringify(bad),
      );
    assert.deepEqual(parseSubset("stat", ["HOST1", "HOST1", "MDS.1"]), ["HOST1", "MDS.1"]);
    assert.deepEqual(parseSubset("stat", { where: { zone: "a", rank: 1 } }), { where: { zone: "a", rank: 1 } });
  });

  test("is shown as it is written", () => {
    assert.equal(formatSubset(["MDS.1", "HOST2"]), "MDS.1, HOST2");
    assert.equal(formatSubset({ where: { zone: "a", rank: 1 } }), "zone=a, rank=1");
  });
});
