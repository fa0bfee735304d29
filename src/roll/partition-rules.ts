import type { JsonValue } from "../kernel/index.ts";
import {
  type PartitionRow,
  flawOfPartition,
  groupKey,
  instanceOfServer,
  parsePartitionRow,
  parseText,
  partitionRowValue,
  readPartitionRow,
  tableNumbers,
  targetOfGroupKey,
} from "../tables/index.ts";
import { type Refusal, refusal } from "./errors.ts";
import type { RuleView } from "./rule-view.ts";

/**
 * What the directory watches over in a partition map. It does not say who owns a slot (the groups' logs do); it sees to it that the map never
 * goes back: a slot's owner is only replaced by one of a later revision, and a move that was asked for goes on until it is done, because
 * the slot may be sealed already.
 */
export function changeOfPartition(view: RuleView, key: string, value: JsonValue, valid: boolean): Refusal | undefined {
  const target = targetOfGroupKey(key);
  const table = target === undefined ? undefined : view.table(target.table);
  if (target === undefined || table?.name !== target.table)
    return refusal("roll/partition-key", `"${key}" names no table and service`, "write partitions/TABLE/SERVICE");
  if (!valid) return partitionStays(key, false);
  const next = parsePartitionRow(value);
  const row = view.draft.row(tableNumbers.partitions, key);
  const before = row === undefined ? undefined : readPartitionRow(parseText(row.text));
  const wrong = flawOfPartition(before, next);
  if (wrong !== undefined) return refusal("roll/partition-step", `the map ${key} does not go on like that: ${wrong}`, "read it again");
  for (const instance of namedNewly(before, next)) {
    const group = instanceOfServer(instance) === target.instance ? groupKey(table.name, instance) : undefined;
    if (group === undefined || view.draft.row(tableNumbers.groups, group) === undefined)
      return refusal("roll/no-such-group", `"${instance}" is no ordering group of ${target.instance}`, "see `muster groups`");
  }
  view.draft.put(tableNumbers.partitions, key, {
    text: JSON.stringify(partitionRowValue(next)),
    valid: true,
    owner: "",
    incarnation: 0,
  });
  return undefined;
}

/** With a map goes what is known of where the keys are. */
export function partitionStays(key: string, force: boolean): Refusal | undefined {
  if (force) return undefined;
  return refusal(
    "roll/partition-stays",
    `the map ${key} says which group has which keys of its service`,
    `when their state is of no use any more: muster delete partitions ${key} --force`,
  );
}

function namedNewly(before: PartitionRow | undefined, next: PartitionRow): ReadonlySet<string> {
  const names = (row: PartitionRow | undefined) => [
    ...(row?.runs.map(({ instance }) => instance) ?? []),
    ...(row?.moves.map(({ to }) => to) ?? []),
  ];
  const known = new Set(names(before));
  return new Set(names(next).filter((name) => !known.has(name)));
}
