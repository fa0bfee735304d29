import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MusterError } from "../kernel/index.ts";
import {
  builtInTableRows,
  hostOfText,
  parseHostRouteKey,
  parseKey,
  parseMapping,
  parseRouteText,
  parseTableDefinition,
  parseTableName,
  parseText,
  parseValue,
} from "./index.ts";

describe("keys and names", () => {
  test("a key is 1 to 512 bytes of well-formed text without control characters", () => {
    for (const key of ["MDS.1.1", "é", "🦊.1", "a b", "k".repeat(512), "é".repeat(256)]) assert.equal(parseKey(key), key);
    for (const key of ["", "a\nb", "\u0085", "\ud800", "a\udc00", "k".repeat(513), "é".repeat(257), 7, undefined])
      assert.throws(() => parseKey(key), { code: "tables/bad-key" });
  });

  test("a table name is lower case and at most 64 characters", () => {
    for (const name of ["a", "request-types", "0.x_y-z", "a".repeat(64)]) assert.equal(parseTableName(name), name);
    for (const name of ["", "A", "-a", ".a", "a b", "a".repeat(65), 1])
      assert.throws(() => parseTableName(name), { code: "tables/bad-table-name" });
  });

  test("[DSD-5] the key of a host route ends in the number of the route, whatever dots the host's name has", () => {
    assert.deepEqual(parseHostRouteKey("HOST9.0"), { host: "HOST9", number: 0 });
    assert.deepEqual(parseHostRouteKey("db.example.com.12"), { host: "db.example.com", number: 12 });
    for (const key of ["HOST9", "HOST9.", "HOST9.x", "HOST9.01", ".1"]) assert.equal(parseHostRouteKey(key), undefined);
  });
});

describe("values", () => {
  test("[DSD-3] a server route is host, port and optional data, with the host first in its text", () => {
    assert.deepEqual(parseRouteText("HOST9:1872"), { host: "HOST9", port: 1872 });
    const route = parseRouteText('db.example.com:80 {"scheme":"http","objectKey":"k"}');
    assert.deepEqual(route, { host: "db.example.com", port: 80, data: { scheme: "http", objectKey: "k" } });
    const text = parseValue("server", "MDS.1", { data: { zone: "a" }, port: 1872, host: "HOST9" });
    assert.equal(text, '{"host":"HOST9","port":1872,"data":{"zone":"a"}}');
    assert.equal(hostOfText(text), "HOST9");
    const plain = parseValue("plain", "x", { 1: "one", zone: "a", port: 1, host: "h" });
    assert.equal(hostOfText(plain), "h");
    assert.deepEqual(parseText(plain), { host: "h", port: 1, 1: "one", zone: "a" });
  });

  test("what is no route is refused with the reason", () => {
    for (const text of ["HOST9", "HOST9:", ":1872", "HOST9:0", "HOST9:65536", "HOST 9:1", "HOST9:1 {", "-h:1"])
      assert.throws(
        () => parseRouteText(text),
        (error: unknown) => error instanceof MusterError && /^tables\/bad-(route|host-name)$/.test(error.code),
        text,
      );
    for (const value of ["HOST9:1872", null, { host: "HOST9" }, { host: "HOST9", port: 1.5 }, { host: "HOST9", port: 1, zone: "a" }])
      assert.throws(() => parseValue("server", "MDS.1", value), { code: "tables/bad-route" });
  });

  test("[DSD-4] a service instance names its members in order, each once", () => {
    assert.equal(parseValue("server", "MDS.1", { members: ["MDS.1.1", "MDS.1.0"] }), '{"members":["MDS.1.1","MDS.1.0"]}');
    assert.throws(() => parseValue("server", "MDS.1", { members: ["a", "a"] }), { code: "tables/bad-value" });
    assert.throws(() => parseValue("server", "MDS.1", { members: [""] }), { code: "tables/bad-key" });
  });

  test("each kind of table takes its own values", () => {
    assert.equal(parseValue("host-route", "HOST9.0", "16.7.13.1"), '"16.7.13.1"');
    assert.equal(parseValue("host-route", "HOST9.0", { address: "fd00::1", network: "b" }), '{"address":"fd00::1","network":"b"}');
    assert.throws(() => parseValue("host-route", "HOST9.0", { host: "HOST9" }), { code: "tables/bad-value" });
    assert.equal(parseValue("partition", "0", "MDS.1"), '"MDS.1"');
    assert.equal(parseValue("partition", "0", { server: "MDS.1", weight: 2 }), '{"server":"MDS.1","weight":2}');
    assert.throws(() => parseValue("partition", "0", 1), { code: "tables/bad-value" });
    assert.throws(() => parseValue("partition", "0", { server: "MDS.1", weight: -1 }), { code: "tables/bad-value" });
  });

  test("what JSON would drop or bend is refused, and so is what is too long or too deep", () => {
    for (const value of [undefined, Number.NaN, Number.POSITIVE_INFINITY, 1n, () => 1, Symbol("s")])
      assert.throws(() => parseValue("plain", "k", value), { code: "tables/bad-value" });
    assert.throws(() => parseValue("plain", "k", "x".repeat(65_536)), { code: "tables/value-too-long" });
    let deep: unknown = 1;
    for (let level = 0; level < 100; level++) deep = [deep];
    assert.throws(() => parseValue("plain", "k", deep), { code: "tables/bad-value" });
  });

  test("any JSON goes through a plain table unchanged", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const json = JSON.stringify(value);
        if (Buffer.byteLength(json) < 60_000) assert.deepEqual(parseText(parseValue("plain", "k", JSON.parse(json))), JSON.parse(json));
      }),
    );
  });
});

describe("table definitions", () => {
  test("[DSD-2] the built-in tables and their symbols", () => {
    const rows = new Map(builtInTableRows().map(({ key, text }) => [key, parseText(text)]));
    const symbols = [...rows]
      .map(([name, row]) => parseTableDefinition(name, row))
      .map(({ name, number, symbol }) => [name, number, symbol]);
    assert.deepEqual(symbols, [
      ["tables", 1, undefined],
      ["hosts", 2, undefined],
      ["host-route", 3, "DSD_HOST_ROUTE"],
      ["gateway", 4, "DSD_MTID_GATEWAY"],
      ["metadata", 5, "DSD_MTID_METADATA"],
      ["bitfile", 6, "DSD_MTID_BSS"],
      ["metadata-partition", 7, "DSD_MTID_METADATA_PART"],
      ["bitfile-partition", 8, "DSD_MTID_BITFILE_PART"],
      ["host-manager", 9, "DSD_MTID_SMSA"],
      ["management-interface", 10, "DSD_MTID_MI"],
      ["checks", 11, undefined],
      ["states", 12, undefined],
      ["request-types", 13, undefined],
      ["groups", 14, undefined],
      ["leases", 15, undefined],
      ["partitions", 16, undefined],
    ]);
  });

  test("the mapping of a built-in partition table is configured at the founding", () => {
    const row = builtInTableRows({ "bitfile-partition": "modulus:16" }).find(({ key }) => key === "bitfile-partition");
    assert.deepEqual(parseTableDefinition("bitfile-partition", parseText(row?.text ?? "")).mapping, { by: "modulus", modulus: 16 });
    assert.throws(() => builtInTableRows({ metadata: "modulus:2" }), { code: "tables/bad-definition" });
    for (const mapping of ["modulus:0", "modulus", "modulus:1e3", "modulus:9999999", "jump", 3])
      assert.throws(() => parseMapping(mapping), { code: "tables/bad-mapping" });
  });

  test("a definition that would take another table's number or a reserved one is refused", () => {
    const define = (name: string, number: unknown, rest: object = {}) =>
      parseTableDefinition(name, { number: number as number, kind: "plain", ...rest });
    assert.equal(define("cache", 32).number, 32);
    for (const [name, number] of [
      ["cache", 5],
      ["metadata", 40],
      ["cache", 12],
      ["cache", 0],
      ["cache", 1.5],
      ["cache", "40"],
    ] as const)
      assert.throws(() => define(name, number), { code: "tables/bad-definition" });
    assert.throws(() => define("cache", 40, { kind: "odd" }), { code: "tables/bad-definition" });
    assert.throws(() => define("cache", 40, { symbol: "lower" }), { code: "tables/bad-symbol" });
    assert.throws(() => define("cache", 40, { index: [1] }), { code: "tables/bad-definition" });
  });
});
