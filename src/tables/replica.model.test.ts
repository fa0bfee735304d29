import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type JsonValue, isRecord } from "../kernel/index.ts";
import { type FleetEvent, type Range, Replica, builtInTableRows, tableNumbers, tableRowText } from "./index.ts";

/** The naive replica that the real one is compared with: a map of rows, everything else worked out from scratch. */
interface ModelRow {
  readonly table: number;
  readonly key: string;
  readonly text: string;
  readonly valid: boolean;
  readonly owner: string;
  readonly incarnation: number;
  readonly epoch: number;
  readonly sequence: number;
}
type Model = ReadonlyMap<string, ModelRow>;

type Effect =
  | {
      readonly kind: "put";
      readonly table: number;
      readonly key: string;
      readonly text: string;
      readonly valid: boolean;
      readonly owner: string;
    }
  | { readonly kind: "valid"; readonly table: number; readonly key: string; readonly valid: boolean }
  | { readonly kind: "remove"; readonly table: number; readonly key: string };

type Step =
  | { readonly do: "change"; readonly effects: readonly Effect[] }
  | {
      readonly do: "load";
      readonly ranges: readonly Range[];
      readonly effects: readonly Effect[];
      readonly spare: number;
      readonly meanwhile: readonly Effect[];
    }
  | { readonly do: "advance" };

const userTable = 33;
const tableNames = new Map([
  [tableNumbers.tables, "tables"],
  [tableNumbers.hosts, "hosts"],
  [tableNumbers.hostRoute, "host-route"],
  [tableNumbers.metadata, "metadata"],
  [userTable, "cache"],
]);
const cacheRow = tableRowText({ name: "cache", number: userTable, kind: "plain", symbol: "DSD_MTID_CACHE", index: ["zone"] });
const idOf = (table: number, key: string) => `${table}/${key}`;

function applyEffects(model: Model, effects: readonly Effect[], epoch: number, sequence: number): Model {
  const next = new Map(model);
  for (const effect of effects) {
    const id = idOf(effect.table, effect.key);
    const row = next.get(id);
    if (effect.kind === "put") next.set(id, { ...effect, incarnation: effect.owner === "" ? 0 : sequence, epoch, sequence });
    else if (effect.kind === "remove") next.delete(id);
    else if (row !== undefined) next.set(id, { ...row, valid: effect.valid, epoch, sequence });
  }
  return withoutLostTables(model, next);
}

/** A table that is taken off the table of tables loses its rows. */
function withoutLostTables(before: Model, after: Model): Model {
  const cache = idOf(tableNumbers.tables, "cache");
  if (!before.has(cache) || after.has(cache)) return after;
  return new Map([...after].filter(([, row]) => row.table !== userTable));
}

function hostOf(row: ModelRow): string | undefined {
  if (row.table !== tableNumbers.metadata && row.table !== userTable) return undefined;
  const value: JsonValue = JSON.parse(row.text);
  return isRecord(value) && typeof value.host === "string" && "port" in value ? value.host : undefined;
}

function shown(model: Model): Map<string, JsonValue> {
  const entries = new Map<string, JsonValue>();
  for (const [id, row] of model) {
    if (row.table === userTable && !model.has(idOf(tableNumbers.tables, "cache"))) continue;
    const host = hostOf(row);
    const alive = host === undefined || (model.get(idOf(tableNumbers.hosts, host))?.valid ?? true);
    entries.set(id, {
      table: tableNames.get(row.table) ?? "",
      key: row.key,
      value: JSON.parse(row.text),
      valid: row.valid && alive,
      revision: `${row.epoch}.${row.sequence}`,
      owner: row.owner === "" ? null : row.owner,
    });
  }
  return entries;
}

/** What subscribers must be told: a row for each difference, once. */
function differences(before: Model, after: Model): string[] {
  const old = shown(before);
  const now = shown(after);
  const events: string[] = [];
  for (const [id, entry] of now) if (JSON.stringify(old.get(id)) !== JSON.stringify(entry)) events.push(`Add ${JSON.stringify(entry)}`);
  for (const [id, entry] of old) if (!now.has(id)) events.push(`Delete ${JSON.stringify(entry)}`);
  return events.sort();
}

const hosts = ["HOST1", "HOST10", "db.example.com"];
const keys = ["MDS", "MDS.1", "MDS.1.0", "MDS.1.1", "MDS.10", "MDS-1", "é.1", "BSS.4"];
const route = fc.record({ host: fc.constantFrom(...hosts), port: fc.constantFrom(1, 80), zone: fc.constantFrom("a", "b", undefined) });
const routeText = route.map(({ host, port, zone }) => {
  const data = zone === undefined ? "" : `,"data":{"zone":"${zone}"}`;
  return `{"host":"${host}","port":${port}${data}}`;
});
const put = (table: number, key: fc.Arbitrary<string>, text: fc.Arbitrary<string>) =>
  fc.record({
    kind: fc.constant("put" as const),
    table: fc.constant(table),
    key,
    text,
    valid: fc.boolean(),
    owner: fc.constantFrom("", "", "HOST1/agent"),
  });
const anyText = fc.oneof(routeText, fc.constantFrom('"text"', '{"members":["MDS.1.1","MDS.1.0"]}', '{"zone":"a"}', "[1,2]", "null"));
const touchable = fc.constantFrom(
  ...[tableNumbers.metadata, userTable].flatMap((table) => keys.map((key) => ({ table, key }))),
  ...hosts.map((key) => ({ table: tableNumbers.hosts, key })),
  { table: tableNumbers.tables, key: "cache" },
);
const effect: fc.Arbitrary<Effect> = fc.oneof(
  { weight: 5, arbitrary: put(tableNumbers.metadata, fc.constantFrom(...keys), anyText) },
  { weight: 3, arbitrary: put(userTable, fc.constantFrom(...keys), anyText) },
  { weight: 3, arbitrary: put(tableNumbers.hosts, fc.constantFrom(...hosts), fc.constant("{}")) },
  { weight: 1, arbitrary: put(tableNumbers.tables, fc.constant("cache"), fc.constant(cacheRow)) },
  { weight: 3, arbitrary: touchable.chain((at) => fc.boolean().map((valid) => ({ kind: "valid" as const, ...at, valid }))) },
  { weight: 3, arbitrary: touchable.map((at) => ({ kind: "remove" as const, ...at })) },
);
const range: fc.Arbitrary<Range> = fc.record({
  table: fc.constantFrom<number | "all">("all", tableNumbers.metadata, tableNumbers.hosts, userTable),
  prefix: fc.constantFrom("", "", "MDS.1", "HOST1"),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("change" as const), effects: fc.array(effect, { maxLength: 6 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("load" as const),
      ranges: fc.array(range, { minLength: 1, maxLength: 2 }),
      effects: fc.array(effect, { maxLength: 8 }),
      spare: fc.nat(),
      meanwhile: fc.array(effect, { maxLength: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("advance" as const) }) },
);

/** A replica, its model, and everything that its subscribers were told. */
class Pair {
  readonly replica = new Replica();
  model: Model = new Map();
  epoch = 1;
  sequence = 0;
  told: string[] = [];

  constructor() {
    this.change([
      ...builtInTableRows().map(({ key, text }) => ({
        kind: "put" as const,
        table: tableNumbers.tables,
        key,
        text,
        valid: true,
        owner: "",
      })),
      { kind: "put", table: tableNumbers.tables, key: "cache", text: cacheRow, valid: true, owner: "" },
    ]);
    const tables = [...tableNames.values()];
    this.replica.subscribe({ tables, context: this }, (event, pair) => pair.hear(event));
    this.told = [];
  }

  /** A handler sees the whole change, whatever its event is about. */
  hear(event: FleetEvent): void {
    this.told.push(`${event.event} ${JSON.stringify(event.entry)}`);
    assert.deepEqual(this.shownByReplica(), shown(this.model));
  }

  change(effects: readonly Effect[]): void {
    this.sequence++;
    const { replica } = this;
    this.model = applyEffects(this.model, effects, this.epoch, this.sequence);
    replica.begin(this.epoch, this.sequence);
    for (const effect of effects)
      if (effect.kind === "put") {
        const { table, key, text, valid, owner } = effect;
        replica.put(table, key, text, valid, owner, owner === "" ? 0 : this.sequence);
      } else if (effect.kind === "valid") replica.setValid(effect.table, effect.key, effect.valid);
      else replica.remove(effect.table, effect.key);
    replica.end();
  }

  /** Brings a part of the replica to what another node holds after `effects`, while `meanwhile` is streamed. */
  load({ ranges, effects, spare, meanwhile }: Extract<Step, { do: "load" }>): void {
    const lies = (table: number, key: string) =>
      ranges.some((one) => (one.table === "all" || one.table === table) && key.startsWith(one.prefix));
    const load = this.replica.beginLoad(ranges);
    const target = applyEffects(this.model, effects, this.epoch, ++this.sequence);
    const rows = [...target.values()].filter(({ table, key }) => lies(table, key));
    for (const [index, row] of rows.entries()) {
      const same = this.model.get(idOf(row.table, row.key));
      const mayKeep = JSON.stringify(same) === JSON.stringify(row);
      if (mayKeep && (spare >> (index % 30)) % 2 === 0) load.keep(row.table, row.key);
      else load.put(row.table, row.key, row.text, row.valid, row.owner, row.incarnation, row.epoch, row.sequence);
    }
    // What streams in meanwhile lies outside of what is being loaded: the parent sends a range's changes after its load.
    const outside = meanwhile.filter(({ table, key }) => table !== tableNumbers.tables && !lies(table, key));
    this.checked(() => this.change(outside));
    this.checked(() => {
      const before = this.model;
      const after = new Map([...before].filter(([, { table, key }]) => !lies(table, key)));
      for (const row of rows) after.set(idOf(row.table, row.key), row);
      this.model = withoutLostTables(before, after);
      load.finish(this.epoch, ++this.sequence);
    });
  }

  /** Runs one step and compares what was told with the differences. */
  checked(run: () => void): void {
    const before = this.model;
    this.told = [];
    run();
    const told = this.told.toSorted();
    this.told = [];
    assert.deepEqual(told, differences(before, this.model));
  }

  run(step: Step): void {
    if (step.do === "change") this.checked(() => this.change(step.effects));
    else if (step.do === "advance") this.checked(() => this.replica.advance(this.epoch, ++this.sequence));
    else this.load(step);
    this.compare();
  }

  shownByReplica(): Map<string, JsonValue> {
    const entries = new Map<string, JsonValue>();
    for (const { name } of this.replica.tables())
      for (const entry of this.replica.search(name)) {
        const number = this.replica.table(name)?.number ?? 0;
        entries.set(idOf(number, entry.key), JSON.parse(JSON.stringify(entry)));
      }
    return new Map([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  compare(): void {
    const { replica, model } = this;
    assert.equal(replica.size, model.size);
    assert.deepEqual(replica.position, { epoch: this.epoch, sequence: this.sequence });
    const expected = shown(model);
    for (const [number, name] of tableNames) {
      if (replica.table(name) === undefined) continue;
      for (const prefix of ["", "M", "MDS", "MDS.", "MDS.1", "MDS.1.", "é", "zzz"]) {
        const found = replica.search(name, prefix).map((entry) => JSON.parse(JSON.stringify(entry)));
        const wanted = [...expected]
          .filter(([id]) => id.startsWith(`${number}/${prefix}`))
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([, entry]) => entry);
        assert.deepEqual(found, wanted);
        for (const zone of ["a", "b"]) {
          const selected = replica.search(name, prefix, { where: { zone } }).map((entry) => entry.key);
          const right = wanted.filter((entry) => zoneOf(entry) === zone).map((entry) => (isRecord(entry) ? entry.key : ""));
          assert.deepEqual(selected, right);
        }
      }
      assert.deepEqual(
        [...replica.entries(number)].map((row) => row.key),
        replica.search(name).map((entry) => entry.key),
      );
    }
    for (const host of hosts) {
      assert.equal(replica.hostAlive(host), model.get(idOf(tableNumbers.hosts, host))?.valid ?? true);
      const lying = [...replica.rowsOnHost(host)].map(({ table, row }) => idOf(table, row.key)).sort();
      const wanted = [...model.values()].filter((row) => hostOf(row) === host).map((row) => idOf(row.table, row.key));
      assert.deepEqual(lying, wanted.sort());
    }
  }
}

function zoneOf(entry: JsonValue): unknown {
  const value = isRecord(entry) ? entry.value : undefined;
  if (!isRecord(value)) return undefined;
  const attributes = "host" in value ? value.data : value;
  return isRecord(attributes) ? attributes.zone : undefined;
}

describe("a replica against a naive map", () => {
  test("[DSD-1] [DSD-12] [DSD-14] [DSD-21] random changes and loads show the same rows, validity and prefixes, and events are exactly the differences", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const pair = new Pair();
        for (const one of steps) pair.run(one);
      }),
      { numRuns: 300 },
    );
  });
});
