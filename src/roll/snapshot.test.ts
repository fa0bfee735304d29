import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MusterError } from "../kernel/index.ts";
import type { StoreBatch, StoredEntry } from "../storage/index.ts";
import { Replica, builtInTableRows, tableNumbers } from "../tables/index.ts";
import { ByteWriter } from "../wire/index.ts";
import { SimFleet } from "../testing/index.ts";
import type { RollNode } from "./node.ts";
import { beyond } from "./restored.ts";
import { SnapshotDecoder, type SnapshotHeader, encodeSnapshot, restoredMeta } from "./snapshot.ts";
import { decodeRow, encodeRow } from "./stored.ts";

const about = { fleet: "f1", epochs: [{ epoch: 3, sequence: 1 }], savedUnixMs: 5 };

const userTables = [40, 41, 42];

function replicaOf(rows: readonly (readonly [key: string, text: string])[]): Replica {
  const replica = new Replica();
  const load = replica.beginLoad([{ table: "all", prefix: "" }]);
  for (const number of userTables)
    load.put(tableNumbers.tables, `t${number}`, JSON.stringify({ number, kind: "plain" }), true, "", 0, 3, 1);
  rows.forEach(([key, text], index) => {
    const owner = index > 0 ? `HOST1/${index}` : "";
    load.put(40 + (index % 3), key, JSON.stringify(text), index % 2 === 0, owner, index, 3, index);
  });
  load.finish(3, 1000);
  return replica;
}

function decode(bytes: Uint8Array, pieceBytes: number): { readonly header: SnapshotHeader; readonly entries: StoredEntry[] } {
  const entries: StoredEntry[] = [];
  const decoder = new SnapshotDecoder((entry) => entries.push(entry));
  for (let at = 0; at < bytes.length; at += pieceBytes) decoder.push(bytes.subarray(at, at + pieceBytes));
  return { header: decoder.finish(), entries };
}

const isBad = (thrown: unknown) => thrown instanceof MusterError && thrown.code === "roll/bad-snapshot";

describe("a snapshot", () => {
  test("is read as it was written, in pieces of any size", () => {
    const anyRows = fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-zA-Z0-9.]{1,30}$/), fc.string({ maxLength: 200 })), {
      selector: ([key]) => key,
      maxLength: 60,
    });
    fc.assert(
      fc.property(anyRows, fc.integer({ min: 1, max: 5000 }), (rows, pieceBytes) => {
        const replica = replicaOf(rows);
        const { header, entries } = decode(Buffer.concat([...encodeSnapshot(replica, about)]), pieceBytes);
        assert.deepEqual(header, { ...about, epoch: 3, sequence: 1000, entries: rows.length + userTables.length });
        assert.equal(entries.length, rows.length + userTables.length);
        for (const { table, key, bytes } of entries) {
          const row = replica.row(table, key);
          assert.ok(row !== undefined);
          const { text, flag: valid, owner, incarnation, epoch, sequence } = row;
          assert.deepEqual(decodeRow(bytes), { text, valid, owner, incarnation, epoch, sequence });
        }
      }),
      { numRuns: 100 },
    );
  });

  test("with any byte changed, missing or added is refused", () => {
    const bytes = Buffer.concat([
      ...encodeSnapshot(
        replicaOf([
          ["A", "x"],
          ["B", "y"],
          ["C", "z"],
        ]),
        about,
      ),
    ]);
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 0x41;
      assert.throws(() => decode(changed, 4096), MusterError, `byte ${at}`);
      assert.throws(() => decode(bytes.subarray(0, at), 4096), isBad, `cut at ${at}`);
    }
    assert.throws(() => decode(Buffer.concat([bytes, Buffer.from("x")]), 4096), isBad);
  });

  test("of a newer format is told from a damaged one", () => {
    const bytes = Buffer.concat([...encodeSnapshot(replicaOf([]), about)]);
    const newer = Buffer.from(bytes.toString("latin1").replace('"format":1', '"format":2'), "latin1");
    assert.throws(
      () => decode(newer, 4096),
      (thrown) => thrown instanceof MusterError && thrown.code === "roll/newer-snapshot",
    );
  });
});

interface ForeignRow {
  readonly table: number;
  readonly key: string;
  readonly text: string;
  readonly owner?: string;
  readonly incarnation?: number;
  readonly epoch?: number;
  readonly sequence?: number;
}

/** A file with a sound checksum, made by somebody else. */
function foreign(rows: readonly ForeignRow[], header: Readonly<Record<string, unknown>> = {}): Uint8Array {
  const part = (bytes: Uint8Array) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const writer = new ByteWriter();
  const rowWriter = new ByteWriter();
  for (const { table, key, text, owner = "", incarnation = 0, epoch = 1, sequence = 1 } of rows) {
    writer.varint(table);
    writer.string(key);
    const row = encodeRow(rowWriter, { text, valid: true, owner, incarnation, epoch, sequence });
    writer.varint(row.length);
    writer.bytes(row);
  }
  const epochs = [{ epoch: 1, sequence: 1 }];
  const first = { format: 1, fleet: "f", epoch: 1, sequence: 5, epochs, entries: rows.length, savedUnixMs: 1, ...header };
  const body = Buffer.concat([
    Buffer.from("muster-snapshot\n"),
    part(Buffer.from(JSON.stringify(first))),
    ...(rows.length > 0 ? [part(writer.take())] : []),
    Buffer.alloc(4),
  ]);
  return Buffer.concat([body, createHash("sha256").update(body).digest()]);
}

const { tables, hosts, hostRoute, metadata, metadataPartition, states, groups } = tableNumbers;
const wrongRows: Readonly<Record<string, readonly ForeignRow[]>> = {
  "a value that is not JSON": [{ table: hosts, key: "H", text: "{oops" }],
  "a state that is not JSON": [{ table: states, key: "hosts/H", text: "{oops" }],
  "a server without a port": [{ table: metadata, key: "MDS.1", text: '{"host":"H"}' }],
  "a route without an address": [{ table: hostRoute, key: "H.0", text: "7" }],
  "a partition of nothing": [{ table: metadataPartition, key: "x", text: "[1]" }],
  "a group without members": [{ table: groups, key: "metadata/MDS.1", text: '{"epoch":1,"members":[]}' }],
  "a value above the limit": [{ table: hosts, key: "H", text: JSON.stringify("x".repeat(70_000)) }],
  "a key with a control character": [{ table: metadata, key: "a\u0000b", text: '"1"' }],
  "an empty key": [{ table: metadata, key: "", text: '"1"' }],
  "a definition without a number": [{ table: tables, key: "notes", text: "{}" }],
  "a built-in table of another kind": [{ table: tables, key: "hosts", text: JSON.stringify({ number: hosts, kind: "plain" }) }],
  "two tables of one number": ["a", "b"].map((key) => ({ table: tables, key, text: JSON.stringify({ number: 40, kind: "plain" }) })),
  "a table that nobody defines": [{ table: 999_999, key: "X", text: "1" }],
  "a key twice": [1, 2].map((value) => ({ table: states, key: "X", text: String(value) })),
  "keys out of order": ["Z", "A"].map((key) => ({ table: states, key, text: "1" })),
  "tables out of order": [states, hosts].map((table) => ({ table, key: "X", text: "1" })),
  "a row newer than the whole": [{ table: states, key: "X", text: "1", sequence: 6 }],
  "a row of a later epoch": [{ table: states, key: "X", text: "1", epoch: 2 }],
  "a binding newer than the whole": [{ table: states, key: "X", text: "1", owner: "H/1", incarnation: 9 }],
  "a binding to nobody": [{ table: states, key: "X", text: "1", owner: "H", incarnation: 2 }],
};
const wrongHeaders: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "a negative epoch": { epochs: [{ epoch: -1, sequence: 1 }] },
  "epochs that are none": { epochs: [7] },
  "no list of epochs": { epochs: "1" },
  "epochs out of order": {
    epochs: [
      { epoch: 9, sequence: 4 },
      { epoch: 2, sequence: 9 },
    ],
  },
  "the largest numbers": { epoch: Number.MAX_SAFE_INTEGER, sequence: Number.MAX_SAFE_INTEGER },
  "a fraction": { sequence: 1.5 },
};

describe("a snapshot that somebody else made, with a sound checksum, is refused for", () => {
  for (const [what, rows] of Object.entries(wrongRows)) test(what, () => assert.throws(() => decode(foreign(rows), 4096), isBad));
  for (const [what, header] of Object.entries(wrongHeaders))
    test(what, () => assert.throws(() => decode(foreign([], header), 4096), isBad));

  test("nothing, when its rows are as a writer would have written them; a route is kept as writers write it", () => {
    const rows = [
      ...builtInTableRows().map(({ key, text }) => ({ table: tables, key, text })),
      { table: tables, key: "zebras", text: JSON.stringify({ number: 40, kind: "plain" }) },
      { table: hosts, key: "H", text: '{"routes":1}' },
      { table: metadata, key: "MDS.1", text: '{ "port": 1, "host": "H" }', owner: "H/3", incarnation: 4 },
      { table: 40, key: "any", text: "[1,2]" },
    ].sort((a, b) => a.table - b.table || (a.key < b.key ? -1 : 1));
    const { entries } = decode(foreign(rows), 4096);
    const server = entries.find(({ key }) => key === "MDS.1");
    assert.equal(decodeRow(server?.bytes ?? new Uint8Array()).text, '{"host":"H","port":1}');
    assert.equal(entries.length, rows.length);
  });

  test("its numbers, when the roll that it would replace, or the caller, asks for an epoch that no reign could begin beyond", () => {
    const { header } = decode(foreign([]), 4096);
    assert.throws(() => restoredMeta(header, { epoch: Number.MAX_SAFE_INTEGER, sequence: 1 }), isBad);
  });
});

test("a row that nobody can read stops no duty of the directory: it reigns, gives hosts up and says so", async () => {
  const fleet = new SimFleet({ seed: 14 });
  fleet.addDirectory();
  fleet.addAgent("HOST1");
  fleet.addAgent("HOST2");
  await fleet.start();
  await fleet.runFor(100);
  const operator = fleet.client("HOST1");
  await fleet.until(operator.add("hosts", "BY-HAND", {}));
  await fleet.until(operator.add("states", "hosts/HOST2", { state: "doubted", reason: "", by: "", sinceUnixMs: 1 }));
  const batch = batchFrom(fleet.member("directory").node);
  const entries = batch.entries?.map((entry) =>
    entry.key === "BY-HAND" || entry.table === states
      ? { ...entry, bytes: encodeRow(new ByteWriter(), { ...decodeRow(entry.bytes ?? new Uint8Array()), text: "{oops" }) }
      : entry,
  );
  fleet.member("directory").crash();
  fleet.member("HOST2").crash();
  await fleet.disk.restore({ batch: { ...batch, ...(entries === undefined ? {} : { entries }) } });
  fleet.member("directory").restart();
  await fleet.runFor(4000);
  const directory = fleet.client("directory");
  assert.equal(fleet.client("HOST1").node.detached, false);
  assert.equal(directory.get("hosts", "HOST2")?.valid, false);
  assert.match(JSON.stringify(directory.get("states", "hosts/HOST2")?.value), /"gone"/);
});

test("a restored reign begins beyond the snapshot, what its store had seen, and what nodes have seen", () => {
  const offer = { fleet: "f", epoch: 7, sequence: 900, seen: 1_000_003 };
  assert.deepEqual(beyond([{ epoch: 4, sequence: 100 }], []), { epoch: 1_000_000, sequence: 1e12 });
  assert.deepEqual(beyond([{ epoch: 4, sequence: 100 }], [offer]), { epoch: 2_000_000, sequence: 1e12 });
  assert.deepEqual(beyond([{ epoch: 1_000_000, sequence: 1e12 + 5 }], [offer]), { epoch: 2_000_000, sequence: 2e12 });
});

/** What `muster snapshot save` and `restore` do, on a simulated disk. */
function batchFrom(node: RollNode): StoreBatch {
  const bytes = Buffer.concat([...encodeSnapshot(node.replica, { fleet: node.fleet, epochs: node.epochs.starts, savedUnixMs: 1 })]);
  const { header, entries } = decode(bytes, 1000);
  return { entries, ...restoredMeta(header, header) };
}

describe("a directory on a restored snapshot", () => {
  test("is followed by the nodes that knew more: entries as of the snapshot, live servers asserted anew, writes go on", async () => {
    const fleet = new SimFleet({ seed: 11 });
    fleet.addDirectory();
    fleet.addRelay("relay");
    for (const host of ["HOST1", "HOST2", "HOST3"]) fleet.addAgent(host);
    fleet.addClient("web", { agent: "HOST2" });
    fleet.addClient("caller", { agent: "HOST1" });
    await fleet.start();
    const caller = fleet.client("caller");
    await fleet.until(caller.addTable("notes"));
    await fleet.until(caller.add("notes", "kept", "as of the snapshot"));
    await fleet.until(fleet.client("web").serve("metadata", "MDS.1.1", { port: 1 }));
    await fleet.runFor(100);
    const batch = batchFrom(fleet.member("HOST3").node);
    const before = fleet.member("HOST3").node.position;
    // Later than the snapshot: changes, reigns, another server.
    await fleet.until(caller.add("notes", "kept", "changed since"));
    await fleet.until(caller.add("notes", "later", 1));
    for (let round = 0; round < 3; round++) {
      fleet.member("directory").restart();
      await fleet.runFor(500);
    }
    await fleet.until(fleet.client("web").serve("metadata", "MDS.2.1", { port: 2 }));
    await fleet.runFor(100);
    const seen = caller.node.position;
    assert.ok(seen.epoch > before.epoch + 2);

    fleet.member("directory").crash();
    await fleet.runFor(200);
    await fleet.disk.restore({ batch });
    fleet.member("directory").restart();
    await fleet.runFor(2500);

    for (const name of ["directory", "relay", "HOST1", "HOST2", "HOST3", "caller"]) {
      const { node, handle } = fleet.member(name);
      assert.equal(node.detached, false, `${name} follows: ${node.lastError?.message}`);
      assert.ok(node.position.epoch >= 1_000_000 && node.position.sequence >= 1e12);
      assert.equal(handle.get("notes", "kept")?.value, "as of the snapshot", name);
      assert.equal(handle.get("notes", "later"), undefined);
      assert.equal(handle.get("metadata", "MDS.1.1")?.valid, true, "asserted anew");
      assert.equal(handle.get("metadata", "MDS.2.1")?.valid, true, "later than the snapshot, and alive");
      assert.deepEqual(
        handle.search("hosts").map(({ key, valid }) => `${key} ${valid}`),
        ["HOST1 true", "HOST2 true", "HOST3 true"],
      );
    }
    const row = caller.node.replica.row(5, "MDS.1.1");
    assert.ok((row?.incarnation ?? 0) >= 1e12, "incarnations grow through a restoration");
    const revision = await fleet.until(caller.add("notes", "after", 2));
    await fleet.until(caller.settled(revision));
    assert.equal(fleet.client("web").get("notes", "after")?.value, 2);
    // The next start is an ordinary one.
    fleet.member("directory").restart();
    await fleet.runFor(1000);
    assert.equal(caller.node.detached, false);
    assert.equal(caller.node.position.epoch, 1_000_001);
  });

  test("gives up what lived at the snapshot and does not come back, when the grace is over", async () => {
    const fleet = new SimFleet({ seed: 12 });
    fleet.addDirectory();
    for (const host of ["HOST1", "HOST2"]) fleet.addAgent(host);
    fleet.addClient("web", { agent: "HOST1" });
    fleet.addClient("dead", { agent: "HOST1" });
    await fleet.start();
    await fleet.until(fleet.client("web").serve("metadata", "MDS.1.1", { port: 1 }));
    await fleet.until(fleet.client("dead").serve("metadata", "MDS.1.2", { port: 2 }));
    await fleet.runFor(100);
    const batch = batchFrom(fleet.member("directory").node);
    fleet.member("dead").crash();
    fleet.member("HOST2").crash();
    await fleet.runFor(100);
    fleet.member("directory").crash();
    await fleet.disk.restore({ batch });
    fleet.member("directory").restart();
    await fleet.runFor(4000);
    const directory = fleet.client("directory");
    assert.equal(directory.get("metadata", "MDS.1.1")?.valid, true);
    assert.equal(directory.get("metadata", "MDS.1.2")?.valid, false);
    assert.equal(directory.get("hosts", "HOST2")?.valid, false);
  });

  test("a second restoration of the same file goes on above the first", async () => {
    const fleet = new SimFleet({ seed: 13 });
    fleet.addDirectory();
    fleet.addAgent("HOST1");
    await fleet.start();
    const batch = batchFrom(fleet.member("HOST1").node);
    for (const epoch of [1_000_000, 2_000_000]) {
      fleet.member("directory").crash();
      await fleet.disk.restore({ batch });
      fleet.member("directory").restart();
      await fleet.runFor(1500);
      assert.equal(fleet.client("HOST1").node.detached, false);
      assert.equal(fleet.client("HOST1").node.position.epoch, epoch);
    }
  });
});
