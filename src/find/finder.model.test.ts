import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type JsonValue, isRecord } from "../kernel/index.ts";
import { Replica, tableNumbers } from "../tables/index.ts";
import { type CompleteRoute, Finder } from "./index.ts";

/** The naive fleet that find is compared with: rows by table, no memory of what was answered before. */
interface Row {
  readonly value: JsonValue;
  readonly valid: boolean;
}
type Rows = ReadonlyMap<string, Row>;

const { groups: groupTable, hosts: hostTable, hostRoute, metadata, metadataPartition, states } = tableNumbers;

interface Effect {
  readonly table: number;
  readonly key: string;
  /** Undefined removes the row. */
  readonly row: Row | undefined;
}

class Naive {
  readonly tables = new Map<number, Map<string, Row>>();

  rows(table: number): Rows {
    return this.tables.get(table) ?? new Map();
  }

  apply({ table, key, row }: Effect): void {
    const rows = new Map(this.rows(table));
    if (row === undefined) rows.delete(key);
    else rows.set(key, row);
    this.tables.set(table, rows);
  }

  addresses(host: string): string[] {
    if (this.rows(hostTable).get(host)?.valid === false) return [];
    const found: [number, string][] = [];
    for (const [key, { value, valid }] of this.rows(hostRoute)) {
      const parts = key.split(".");
      const number = Number(parts.pop());
      if (valid && parts.join(".") === host) found.push([number, String(value)]);
    }
    return found.sort(([a], [b]) => a - b).map(([, address]) => address);
  }

  /** Whether a state of the server or of its host says to avoid it. */
  avoided(name: string): boolean {
    const host = hostOf(this.rows(metadata).get(name)?.value ?? null) ?? "";
    return [`metadata/${name}`, `hosts/${host}`].some((place) => {
      const row = this.rows(states).get(place);
      return row?.valid === true && ["stalled", "draining", "suspect", "unwatched"].includes(stateOf(row.value));
    });
  }

  /** "instance@address" of everything that find may answer, in order, and how many of them, from the first, are handed out in turn. */
  answers(key: string, zone?: string): { readonly list: string[]; readonly inTurn: number } {
    const rows = this.rows(metadata);
    const isUp = (name: string) => {
      const row = rows.get(name);
      const host = row === undefined ? undefined : hostOf(row.value);
      return row?.valid === true && host !== undefined && this.rows(hostTable).get(host)?.valid !== false;
    };
    const usable = (name: string) => isUp(name) && (zone === undefined || zoneOf(rows.get(name)?.value ?? null) === zone);
    const reach = (name: string) => this.addresses(hostOf(rows.get(name)?.value ?? null) ?? "").map((address) => `${name}@${address}`);
    const own = rows.get(key);
    if (own !== undefined && hostOf(own.value) !== undefined) return { list: usable(key) ? reach(key) : [], inTurn: 0 };
    const primaryFirst = (name: string) => {
      const row = rows.get(name);
      const group = this.group(name);
      const listed = group === undefined ? membersOf(row?.value ?? null) : isUp(group[0] ?? "") ? group : [];
      const members = row?.valid === true ? (listed ?? []).filter(usable) : [];
      const [primary] = members;
      if (primary === undefined || reach(primary).length === 0) return [];
      const backups = this.avoidedLast(members.slice(1));
      return [primary, ...backups].flatMap((member) => reach(member).slice(0, 1));
    };
    if (own !== undefined && membersOf(own.value) !== undefined) return { list: primaryFirst(key), inTurn: 0 };
    const below = [...rows.keys()].filter((name) => name.startsWith(`${key}.`)).sort();
    const serving = below.filter((name) => isServing(rows.get(name)));
    const outermost = serving.filter((name) => !serving.some((other) => name.startsWith(`${other}.`)));
    const listed = outermost.flatMap((name) => membersOf(rows.get(name)?.value ?? null) ?? []);
    const list = outermost
      .filter((name) => !listed.includes(name))
      .flatMap((name) =>
        hostOf(rows.get(name)?.value ?? null) === undefined ? primaryFirst(name).slice(0, 1) : usable(name) ? reach(name).slice(0, 1) : [],
      );
    const serverOf = (answer: string) => answer.slice(0, answer.indexOf("@"));
    const preferred = list.filter((answer) => !this.avoided(serverOf(answer)));
    const rest = list.filter((answer) => this.avoided(serverOf(answer)));
    return { list: [...preferred, ...rest], inTurn: preferred.length > 0 ? preferred.length : rest.length };
  }

  /** The members of the instance's ordering group, the synchronising one first. */
  group(instance: string): readonly string[] | undefined {
    const value = this.rows(groupTable).get(`metadata/${instance}`)?.value ?? null;
    if (!isRecord(value) || !Array.isArray(value.members)) return undefined;
    const servers = value.members.map((member) => (isRecord(member) ? String(member.server) : ""));
    return servers.toSorted((a, b) => Number(b === value.synchronising) - Number(a === value.synchronising));
  }

  avoidedLast(names: readonly string[]): string[] {
    return [...names.filter((name) => !this.avoided(name)), ...names.filter((name) => this.avoided(name))];
  }

  partition(key: number): string | undefined {
    const rows = this.rows(metadataPartition);
    const row = rows.get(String(key)) ?? rows.get(String(key % 3));
    return row?.valid === true ? String(row.value) : undefined;
  }
}

function hostOf(value: JsonValue): string | undefined {
  return isRecord(value) && typeof value.host === "string" ? value.host : undefined;
}
function stateOf(value: JsonValue): string {
  return isRecord(value) && "reason" in value ? String(value.state) : "";
}

function zoneOf(value: JsonValue): JsonValue | undefined {
  return isRecord(value) && isRecord(value.data ?? null) ? (value.data as { zone?: JsonValue }).zone : undefined;
}
function membersOf(value: JsonValue): string[] | undefined {
  return isRecord(value) && Array.isArray(value.members) ? value.members.map(String) : undefined;
}
function isServing(row: Row | undefined): boolean {
  return row !== undefined && (hostOf(row.value) !== undefined || membersOf(row.value) !== undefined);
}

const keys = ["MDS", "MDS.1", "MDS.1.0", "MDS.1.1", "MDS.1-x", "MDS.10", "MDS.10.0", "MDS.2.0", "X.1"];
const asked = [...keys, "MDS.2", "MDS.3", "X", "none"];
const hosts = ["HOST1", "HOST1.5", "db.example.com"];
const value: fc.Arbitrary<JsonValue> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({ host: fc.constantFrom(...hosts), port: fc.constantFrom(1, 2), zone: fc.constantFrom("a", "b") }, { noNullPrototype: true })
      .map(({ host, port, zone }) => ({ host, port, data: { zone } })),
  },
  {
    weight: 2,
    arbitrary: fc
      .uniqueArray(fc.constantFrom("MDS.1.0", "MDS.1.1", "MDS.10", "X.1", "none"), { maxLength: 3 })
      .map((members) => ({ members })),
  },
  { weight: 1, arbitrary: fc.constantFrom<JsonValue>("note", { note: 1 }) },
);
const rowOf = (of: fc.Arbitrary<JsonValue>) =>
  fc.option(fc.record({ value: of, valid: fc.constantFrom(true, true, true, false) }, { noNullPrototype: true }), {
    nil: undefined,
    freq: 4,
  });
const effect: fc.Arbitrary<Effect> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ table: fc.constant(metadata), key: fc.constantFrom(...keys), row: rowOf(value) }) },
  { weight: 2, arbitrary: fc.record({ table: fc.constant(hostTable), key: fc.constantFrom(...hosts), row: rowOf(fc.constant({})) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      table: fc.constant(hostRoute),
      key: fc.constantFrom(...hosts.flatMap((host) => [`${host}.0`, `${host}.2`, `${host}.10`])),
      row: rowOf(fc.constantFrom("10.0.0.1", "10.0.0.2")),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      table: fc.constant(states),
      key: fc.constantFrom(...keys.map((key) => `metadata/${key}`), ...hosts.map((host) => `hosts/${host}`), "metadata/", "none"),
      row: rowOf(
        fc.oneof(
          {
            weight: 6,
            arbitrary: fc
              .constantFrom("stalled", "draining", "suspect", "unwatched", "doubted", "dead")
              .map((state) => ({ state, reason: "", by: "HOST1", sinceUnixMs: 0 })),
          },
          { weight: 1, arbitrary: fc.constantFrom<JsonValue>("stalled", { state: "stalled" }) },
        ),
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({
        instance: fc.constantFrom("MDS", "MDS.1", "MDS.10"),
        servers: fc.shuffledSubarray(["0", "1", "10"], { minLength: 1 }),
        first: fc.nat(2),
      })
      .chain(({ instance, servers, first }) => {
        const members = servers.map((server) => ({ server: `${instance}.${server}`, replica: "00000000000000aa" }));
        const synchronising = members[first % members.length]?.server ?? "";
        const row = rowOf(fc.constantFrom<JsonValue>({ epoch: 1, members, synchronising, copiesMin: 1 }, "note"));
        return fc.record({ table: fc.constant(groupTable), key: fc.constantFrom(`metadata/${instance}`, instance), row });
      }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      table: fc.constant(metadataPartition),
      key: fc.constantFrom("0", "1", "2", "7"),
      row: rowOf(fc.constantFrom("MDS", "MDS.1", "MDS.10")),
    }),
  },
);

/** A fleet that works: from nothing, few random changes lead to services of several servers. */
const working: readonly Effect[] = [
  ...hosts.map((host, index) => ({ table: hostRoute, key: `${host}.0`, row: { value: `10.0.0.${index}`, valid: true } })),
  ...["MDS.1.0", "MDS.1.1", "MDS.2.0", "X.1"].map((key, index) => ({
    table: metadata,
    key,
    row: { value: { host: hosts[index % 2] ?? "", port: 1, data: { zone: "a" } }, valid: true },
  })),
  { table: metadata, key: "MDS.1", row: { value: { members: ["MDS.1.1", "MDS.1.0", "X.1"] }, valid: true } },
];

const shownAs = (route: CompleteRoute) => `${route.instance}@${route.address}`;

/** Asks everything twice, so that the second answers come from memory, and compares with the naive fleet. */
function compare(finder: Finder, naive: Naive): void {
  for (const key of asked)
    for (const zone of [undefined, "a"]) {
      const options = zone === undefined ? undefined : { where: { zone } };
      const { list, inTurn } = naive.answers(key, zone);
      const all = finder.findAll("metadata", key, options);
      assert.deepEqual(all.map(shownAs), list, `findAll ${key} ${zone}`);
      for (const [index, route] of all.entries())
        assert.deepEqual(route.alternates.map(shownAs).toSorted(), list.toSpliced(index, 1).toSorted(), `others than ${shownAs(route)}`);
      const rounds = inTurn > 0 ? inTurn : 1;
      for (let turn = 0; turn < 2; turn++) {
        const found = Array.from({ length: Math.max(1, rounds) }, () => finder.find("metadata", key, options));
        if (list.length === 0) {
          assert.deepEqual(found, [undefined], `find ${key} ${zone}`);
          continue;
        }
        for (const route of found) assert.equal(route?.key, key);
        const names = found.map((route) => (route === undefined ? "nothing" : shownAs(route)));
        assert.deepEqual(names.toSorted(), list.slice(0, rounds).toSorted(), `find ${key} ${zone}`);
        const [first] = found;
        const rest = first?.alternates.map(shownAs) ?? [];
        if (inTurn === 0) assert.deepEqual(rest, list.slice(1));
        else {
          assert.deepEqual([names[0] ?? "", ...rest].toSorted(), list.toSorted());
          assert.deepEqual(rest.slice(inTurn - 1), list.slice(inTurn), "what is to be avoided stands last");
        }
        const weighted = finder.findAll("metadata", key, { ...options, policy: "weighted" }).map(shownAs);
        assert.deepEqual(weighted, list, `findAll ${key} ${zone} by weight`);
      }
    }
  for (const partition of [0, 1, 2, 5, 7, 9]) {
    const server = naive.partition(partition);
    const list = server === undefined ? [] : naive.answers(server).list;
    const route = finder.findPartition("metadata-partition", partition);
    assert.equal(route === undefined, list.length === 0, `partition ${partition}`);
    if (route === undefined) continue;
    assert.equal(route.key, String(partition));
    const { inTurn } = naive.answers(server ?? "");
    assert.ok(list.slice(0, inTurn > 0 ? inTurn : 1).includes(shownAs(route)), `partition ${partition}: ${shownAs(route)}`);
  }
}

describe("find against a naive fleet", () => {
  test("[DSD-4] [DSD-5] [DSD-6] [DSD-7] [DSD-8] [DSD-21] after any changes, also of states, answers are those worked out from scratch", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(fc.array(effect, { minLength: 1, maxLength: 4 }), { maxLength: 14 }), (works, random) => {
        const changes = works ? [working, ...random] : random;
        const naive = new Naive();
        const replica = new Replica();
        const finder = new Finder(replica, { ageMs: () => 0 });
        for (const [index, effects] of changes.entries()) {
          replica.begin(1, index + 1);
          for (const one of effects) {
            naive.apply(one);
            if (one.row === undefined) replica.remove(one.table, one.key);
            else replica.put(one.table, one.key, JSON.stringify(one.row.value), one.row.valid, "", 0);
          }
          replica.end();
          compare(finder, naive);
        }
      }),
      { numRuns: 400 },
    );
  });
});
