import type { Fleet } from "../../fleet/index.ts";
import { MusterError } from "../../kernel/index.ts";
import {
  type PartitionRow,
  parsePartitionRow,
  partitionKey,
  partitionRowValue,
  partitionsTable,
  slotsCount,
  targetOfGroupKey,
} from "../../tables/index.ts";
import { parseRows, textOf } from "../answers.ts";
import { usageError } from "../errors.ts";

/** The map of a service, as it is on the roll. */
export interface KnownMap {
  /** Key of its row. */
  readonly key: string;
  readonly table: string;
  readonly service: string;
  readonly row: PartitionRow;
  readonly revision: string;
}

/** So often a change that somebody else has overtaken is made anew. */
const attemptsMax = 5;

/** Throws `cli/no-map`, `cli/ambiguous-map`. */
export async function mapOf(fleet: Fleet, service: string, table: string | undefined): Promise<KnownMap> {
  const rows = parseRows(await fleet.query("search", { table: partitionsTable, prefix: "" }));
  const found = rows.filter((row) => {
    const target = targetOfGroupKey(textOf(row, "key"));
    return target?.instance === service && (table === undefined || target.table === table);
  });
  const [one, ...others] = found;
  if (one === undefined)
    throw new MusterError("cli/no-map", `${service} has no partition map, so its groups share no keys`, {
      next: `serve it with group.byKey, then: muster groups --map ${service} --over ${service}.1,${service}.2`,
    });
  const key = textOf(one, "key");
  const known = targetOfGroupKey(key)?.table ?? "";
  if (others.length > 0)
    throw new MusterError("cli/ambiguous-map", `several tables have a map of ${service}`, { next: `say which: --table ${known}` });
  return { key, table: known, service, row: parsePartitionRow(one["value"] ?? null), revision: textOf(one, "revision") };
}

export async function writeMap(fleet: Fleet, key: string, row: PartitionRow, revision: string): Promise<void> {
  await fleet.change([{ op: "add", table: partitionsTable, key, value: partitionRowValue(row) }], {
    ifRevision: [{ table: partitionsTable, key, revision }],
  });
}

/** Changes the map as it is by then; `next` gives undefined where nothing is left to change. Returns the map that counts now. */
export async function changeMap(
  fleet: Fleet,
  service: string,
  table: string | undefined,
  next: (row: PartitionRow) => PartitionRow | undefined,
): Promise<KnownMap> {
  for (let attempt = 1; ; attempt++) {
    const known = await mapOf(fleet, service, table);
    const row = next(known.row);
    if (row === undefined) return known;
    try {
      await writeMap(fleet, known.key, row, known.revision);
      return { ...known, row };
    } catch (thrown) {
      const isOvertaken = thrown instanceof MusterError && thrown.code === "roll/condition-failed" && attempt < attemptsMax;
      if (!isOvertaken) throw thrown;
    }
  }
}

/** The table whose servers have groups of these instances; the one key that a new map gets. Throws `cli/no-group`, `cli/ambiguous-map`. */
export async function newMapKey(fleet: Fleet, service: string, instances: readonly string[], table: string | undefined): Promise<string> {
  const tables = new Set<string>();
  for (const instance of instances) {
    const groups = parseRows(await fleet.query("groups", { key: instance })).filter((row) => textOf(row, "instance") === instance);
    const named = groups.map((row) => textOf(row, "table")).filter((name) => table === undefined || name === table);
    if (named.length === 0)
      throw new MusterError("cli/no-group", `${instance} has no ordering group, so it can have no keys`, {
        next: "start its servers with group.byKey first; see `muster groups`",
      });
    for (const name of named) tables.add(name);
  }
  const [one = "", ...others] = tables;
  if (others.length > 0)
    throw new MusterError("cli/ambiguous-map", `groups of several tables have these instances`, { next: `say which: --table ${one}` });
  const key = partitionKey(one, service);
  if (key === undefined) throw usageError("the key of the map would be too long", "choose a shorter name for the service");
  return key;
}

/** Reads "7" or "0-63". */
export function parseSlots(text: string): readonly number[] {
  const match = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first > last || last >= slotsCount)
    throw usageError(`"${text}" names no slots`, `write one from 0 to ${slotsCount - 1}, or a range: 0-63`);
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}

/** "0-63, 70". */
export function formatSlots(slots: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const slot of slots) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === slot - 1) last[1] = slot;
    else ranges.push([slot, slot]);
  }
  return ranges.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(", ");
}
