import assert from "node:assert/strict";
import { test } from "node:test";
import { Replica, builtInTableRows, tableNumbers } from "../tables/index.ts";
import { ByteWriter, decodeChanges, encodeChange } from "../wire/index.ts";
import { DecidedGround } from "./decided-ground.ts";
import { Draft } from "./draft.ts";
import type { Refusal } from "./errors.ts";
import type { Condition, RequestOperation } from "./requests.ts";
import { decide } from "./rules.ts";

/** The rules over a real replica: every accepted change is applied at once. */
class Bench {
  readonly replica = new Replica();
  readonly draft: Draft;
  readonly ground: DecidedGround;
  readonly ended = new Set<number>();
  sequence = 0;
  /** Rows that the last change touched. */
  effects = 0;

  constructor() {
    this.draft = new Draft({
      row: (table, key) => {
        const row = this.replica.row(table, key);
        return row === undefined
          ? undefined
          : {
              ...row,
              text: row.text,
              valid: row.flag,
              owner: row.owner,
              incarnation: row.incarnation,
              epoch: row.epoch,
              sequence: row.sequence,
            };
      },
    });
    this.ground = new DecidedGround({
      draft: this.draft,
      replica: this.replica,
      sessionLives: (session) => !this.ended.has(session),
    });
    this.draft.begin(1, 1);
    for (const { key, text } of builtInTableRows())
      this.draft.put(tableNumbers.tables, key, { text, valid: true, owner: "", incarnation: 0 });
    this.#apply();
    this.ok({ op: "add", table: "host-route", key: "HOST9.0", value: "16.7.13.1", valid: true });
    this.ok({ op: "add", table: "host-route", key: "HOST11.0", value: "16.7.13.2", valid: true });
    for (const host of ["HOST9", "HOST11"]) this.ok({ op: "add", table: "hosts", key: host, value: {}, valid: true });
  }

  table(name: string) {
    return this.ground.table(name);
  }

  #apply() {
    this.sequence++;
    const writer = new ByteWriter();
    encodeChange(writer, 1, this.sequence, this.draft.accept());
    decodeChanges(writer.take(), this.replica);
    this.draft.committed(this.sequence);
  }

  do(
    operations: readonly RequestOperation[],
    options: { session?: number; name?: string; conditions?: readonly Condition[] } = {},
  ): Refusal | undefined {
    this.draft.begin(1, this.sequence + 1);
    const refused = decide(
      this.ground,
      {
        session: options.session ?? 5,
        name: options.name ?? "program",
        isProgram: options.name === undefined || options.name === "program",
      },
      operations,
      options.conditions ?? [],
    );
    this.effects = this.draft.touched;
    if (refused === undefined && this.draft.touched > 0) this.#apply();
    return refused;
  }

  ok(operation: RequestOperation, session = 5, name = "program") {
    assert.equal(this.do([operation], { session, name }), undefined);
  }

  members(key: string): unknown {
    return this.replica.get("metadata", key)?.value;
  }
}

const route = (host: string) => ({ host, port: 1872 });
const bind = (key: string, host: string): RequestOperation => ({
  op: "bind",
  table: "metadata",
  key,
  value: route(host),
  watcher: host,
  valid: true,
});

test("an unknown table is refused with the next step", () => {
  const refused = new Bench().do([{ op: "add", table: "nope", key: "A", value: 1, valid: true }]);
  assert.equal(refused?.code, "roll/unknown-table");
  assert.match(refused?.next ?? "", /muster table add nope/);
});

test("a server route that names an unknown host is refused", () => {
  assert.equal(
    new Bench().do([{ op: "add", table: "gateway", key: "GW.1", value: route("HOST77"), valid: true }])?.code,
    "roll/unknown-host",
  );
});

test("a key with a control character, or over 512 bytes, is refused", () => {
  const bench = new Bench();
  assert.equal(bench.do([{ op: "add", table: "gateway", key: "GW\u0007", value: route("HOST9"), valid: true }])?.code, "tables/bad-key");
  assert.equal(
    bench.do([{ op: "add", table: "gateway", key: "x".repeat(513), value: route("HOST9"), valid: true }])?.code,
    "tables/bad-key",
  );
});

test("a value over 64 KiB is refused", () => {
  const value = { ...route("HOST9"), data: "x".repeat(65 * 1024) };
  assert.equal(new Bench().do([{ op: "add", table: "gateway", key: "GW.1", value, valid: true }])?.code, "tables/value-too-long");
});

test("[DSD-4] the first server of a service instance writes its row, the others join in order of arrival", () => {
  const bench = new Bench();
  bench.ok(bind("MDS.1.1", "HOST9"), 7);
  bench.ok(bind("MDS.1.0", "HOST11"), 8);
  assert.deepEqual(bench.members("MDS.1"), { members: ["MDS.1.1", "MDS.1.0"] });
  bench.ok(bind("MDS.2", "HOST9"), 9);
  assert.deepEqual(bench.members("MDS.2"), route("HOST9"), "a service instance of one server needs no second row");
  assert.equal(bench.do([bind("MDS.2.1", "HOST11")], { session: 10 })?.code, "roll/instance-is-a-server");
  assert.equal(bench.do([bind("MDS.1", "HOST11")], { session: 10 })?.code, "roll/instance-has-members");
});

test("a second claimant of a live key is refused, and may have it once the first has lapsed", () => {
  const bench = new Bench();
  bench.ok(bind("MDS.1.1", "HOST9"), 7);
  assert.equal(bench.do([bind("MDS.1.1", "HOST11")], { session: 8 })?.code, "roll/key-claimed");
  assert.equal(
    bench.do([{ op: "add", table: "metadata", key: "MDS.1.1", value: route("HOST11"), valid: true }], { session: 8 })?.code,
    "roll/key-claimed",
  );
  assert.equal(bench.do([{ op: "delete", table: "metadata", key: "MDS.1.1", force: false }], { session: 8 })?.code, "roll/key-claimed");
  const incarnation = bench.replica.row(tableNumbers.metadata, "MDS.1.1")?.incarnation ?? 0;
  bench.ok({ op: "lapse", table: "metadata", key: "MDS.1.1", incarnation, action: "invalidate" }, 9, "HOST9");
  bench.ok(bind("MDS.1.1", "HOST11"), 8);
  assert.ok((bench.replica.row(tableNumbers.metadata, "MDS.1.1")?.incarnation ?? 0) > incarnation, "the incarnation grows");
});

test("a binding whose session has ended holds nobody off", () => {
  const bench = new Bench();
  bench.ok(bind("MDS.1.1", "HOST9"), 7);
  bench.ended.add(7);
  bench.ok(bind("MDS.1.1", "HOST11"), 8);
});

test("a lease goes with its program, whatever ended that, and leaves nothing behind", () => {
  const bench = new Bench();
  const lease = { op: "bind", table: "leases", key: "a1", value: {}, watcher: "HOST9", valid: true } as const;
  bench.ok(lease, 7);
  const incarnation = bench.replica.get("leases", "a1")?.revision.sequence ?? 0;
  const state = { state: "gone", reason: "its process has ended", by: "HOST9", sinceUnixMs: 1 } as const;
  bench.ok({ op: "lapse", table: "leases", key: "a1", incarnation, action: "invalidate", state }, 9, "HOST9");
  assert.equal(bench.replica.get("leases", "a1"), undefined);
  assert.equal(bench.replica.search("states").length, 0);
});

test("only the watcher of a program may say that its entry has lapsed", () => {
  const bench = new Bench();
  bench.ok(bind("MDS.1.1", "HOST9"), 7);
  const incarnation = bench.replica.row(tableNumbers.metadata, "MDS.1.1")?.incarnation ?? 0;
  const lapse: RequestOperation = { op: "lapse", table: "metadata", key: "MDS.1.1", incarnation, action: "invalidate" };
  assert.equal(bench.do([lapse], { session: 8 })?.code, "roll/not-the-watcher");
  assert.equal(bench.do([lapse], { session: 9, name: "HOST11" })?.code, "roll/not-the-watcher");
  assert.equal(bench.do([lapse], { session: 9, name: "HOST9" }), undefined);
});

test("an accusation about an old incarnation changes nothing", () => {
  const bench = new Bench();
  bench.ok(bind("MDS.1.1", "HOST9"), 7);
  const old = bench.replica.row(tableNumbers.metadata, "MDS.1.1")?.incarnation ?? 0;
  bench.ok({ op: "lapse", table: "metadata", key: "MDS.1.1", incarnation: old, action: "invalidate" }, 9, "HOST9");
  bench.ok(bind("MDS.1.1", "HOST9"), 7);
  bench.ok({ op: "lapse", table: "metadata", key: "MDS.1.1", incarnation: old, action: "invalidate" }, 9, "HOST9");
  assert.equal(bench.replica.isValid(tableNumbers.metadata, "MDS.1.1"), true);
});

test("a program that binds again unchanged changes nothing, so an agent's restart does not flap", () => {
  const bench = new Bench();
  bench.ok(bind("MDS.1.1", "HOST9"), 7);
  const before = bench.sequence;
  bench.ok(bind("MDS.1.1", "HOST9"), 7);
  assert.equal(bench.sequence, before);
});

test("a heartbeat for a key that does not exist is refused", () => {
  assert.equal(
    new Bench().do([{ op: "bind", table: "metadata", key: "MDS.9", watcher: "HOST9", valid: true }])?.code,
    "roll/no-such-entry",
  );
});

test("[DSD-21] a failed primary goes behind the member that took over before it is valid again", () => {
  const bench = new Bench();
  bench.ok(bind("MDS.1.1", "HOST9"), 7);
  bench.ok(bind("MDS.1.0", "HOST11"), 8);
  const incarnation = bench.replica.row(tableNumbers.metadata, "MDS.1.1")?.incarnation ?? 0;
  bench.ok({ op: "lapse", table: "metadata", key: "MDS.1.1", incarnation, action: "invalidate" }, 9, "HOST9");
  assert.deepEqual(
    bench.members("MDS.1"),
    { members: ["MDS.1.1", "MDS.1.0"] },
    "the change that invalidates needs no second row: the primary is derived",
  );
  bench.ok(bind("MDS.1.1", "HOST9"), 7);
  assert.deepEqual(bench.members("MDS.1"), { members: ["MDS.1.0", "MDS.1.1"] });
});

test("a refused change leaves no trace, not even of its first operations", () => {
  const bench = new Bench();
  const refused = bench.do([
    { op: "add", table: "gateway", key: "GW.1", value: route("HOST9"), valid: true },
    { op: "delete", table: "gateway", key: "GW.none", force: false },
  ]);
  assert.equal(refused?.code, "roll/no-such-entry");
  assert.equal(bench.replica.get("gateway", "GW.1"), undefined);
  assert.equal(bench.draft.size, 0);
});

test("conditions that do not hold are refused and name both revisions", () => {
  const bench = new Bench();
  const add: RequestOperation = { op: "add", table: "gateway", key: "GW.1", value: route("HOST9"), valid: true };
  assert.equal(bench.do([add], { conditions: [{ table: "gateway", key: "GW.1", revision: "absent" }] }), undefined);
  const refused = bench.do([add], { conditions: [{ table: "gateway", key: "GW.1", revision: "absent" }] });
  assert.equal(refused?.code, "roll/condition-failed");
  assert.match(refused?.message ?? "", /is at 1\.\d+, the change asks for absent/);
});

test("[DSD-1] a table added while running takes entries; one with entries is not removed", () => {
  const bench = new Bench();
  bench.ok({ op: "add", table: "tables", key: "cache", value: { symbol: "DSD_MTID_CACHE" }, valid: true });
  bench.ok({ op: "add", table: "DSD_MTID_CACHE", key: "C.1", value: route("HOST9"), valid: true });
  assert.equal(bench.do([{ op: "delete", table: "tables", key: "cache", force: false }])?.code, "roll/table-not-empty");
  assert.equal(bench.do([{ op: "delete", table: "tables", key: "gateway", force: false }])?.code, "roll/built-in-table");
  assert.equal(
    bench.do([{ op: "add", table: "tables", key: "other", value: { symbol: "DSD_MTID_CACHE" }, valid: true }])?.code,
    "roll/table-exists",
  );
});

test("with an entry goes its state, in the same change", () => {
  const bench = new Bench();
  const state = { state: "stalled", reason: "a loop", by: "HOST9", sinceUnixMs: 1 };
  bench.ok(bind("MDS.1.1", "HOST9"), 7);
  bench.ok({ op: "add", table: "gateway", key: "GW.1", value: route("HOST9"), valid: true });
  for (const key of ["metadata/MDS.1.1", "metadata/MDS.1", "gateway/GW.1"])
    bench.ok({ op: "add", table: "states", key, value: state, valid: true });
  const before = bench.sequence;
  bench.ok({ op: "unbind", table: "metadata", key: "MDS.1.1" }, 7);
  assert.equal(bench.sequence, before + 1);
  assert.equal(bench.replica.get("states", "metadata/MDS.1.1"), undefined);
  assert.equal(bench.replica.get("states", "metadata/MDS.1"), undefined, "the instance went with its last member");
  bench.ok({ op: "delete", table: "gateway", key: "GW.1", force: false });
  assert.equal(bench.replica.get("states", "gateway/GW.1"), undefined);
});

test("a table that is deleted and added in one change is a new one, and its number is never given out again", () => {
  const bench = new Bench();
  bench.ok({ op: "add", table: "tables", key: "cache", value: {}, valid: true });
  const before = bench.table("cache")?.number ?? 0;
  const refused = bench.do([
    { op: "delete", table: "tables", key: "cache", force: false },
    { op: "add", table: "tables", key: "cache", value: {}, valid: true },
    { op: "add", table: "cache", key: "a", value: 1, valid: true },
  ]);
  assert.equal(refused, undefined);
  assert.equal(bench.table("cache")?.number, before + 1);
  assert.equal(bench.replica.get("cache", "a")?.value, 1);
});

test("one symbol belongs to one table, however it is given", () => {
  const bench = new Bench();
  bench.ok({ op: "add", table: "tables", key: "cache", value: {}, valid: true });
  const taken = { op: "add", table: "tables", key: "cache", value: { symbol: "DSD_MTID_GATEWAY" }, valid: true } as const;
  assert.equal(bench.do([taken])?.code, "roll/table-exists");
  bench.ok({ op: "add", table: "tables", key: "cache", value: { symbol: "DSD_MTID_CACHE" }, valid: true });
  bench.ok({ op: "add", table: "tables", key: "cache", value: { symbol: "DSD_MTID_CACHE" }, valid: true });
  const mapped = { op: "add", table: "tables", key: "metadata", value: { mapping: "modulus:3" }, valid: true } as const;
  assert.equal(bench.do([mapped])?.code, "roll/bad-table");
});

test("the row of a service instance stays as long as it has servers, and takes no more than 256", () => {
  const bench = new Bench();
  for (let number = 0; number < 256; number++)
    bench.ok({ op: "add", table: "gateway", key: `GW.1.${number}`, value: route("HOST9"), valid: true });
  const next = { op: "add", table: "gateway", key: "GW.1.256", value: route("HOST9"), valid: true } as const;
  assert.equal(bench.do([next])?.code, "roll/instance-full");
  assert.equal(bench.do([{ op: "delete", table: "gateway", key: "GW.1", force: false }])?.code, "roll/instance-has-servers");
});

test("a host stays as long as an entry names it; with it go its routes", () => {
  const bench = new Bench();
  bench.ok({ op: "add", table: "gateway", key: "GW.1", value: route("HOST9"), valid: true });
  const gone = { op: "delete", table: "hosts", key: "HOST9", force: false } as const;
  assert.equal(bench.do([gone])?.code, "roll/host-not-empty");
  bench.ok({ op: "delete", table: "gateway", key: "GW.1", force: false });
  bench.ok(gone);
  assert.equal(bench.replica.get("host-route", "HOST9.0"), undefined);
});

test("a change that touches a row often writes it once", () => {
  const bench = new Bench();
  const adds = Array.from(
    { length: 50 },
    (_, number): RequestOperation => ({ op: "add", table: "gateway", key: `GW.1.${number}`, value: route("HOST9"), valid: true }),
  );
  assert.equal(bench.do(adds), undefined);
  assert.equal(bench.effects, 51);
});
