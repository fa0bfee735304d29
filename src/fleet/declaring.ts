import { type JsonValue, MusterError, formatRevision, sleep } from "../kernel/index.ts";
import {
  type ServedType,
  declarationKey,
  requestTypesTable,
  saysSame,
  servedDeclaration,
  serverRow,
  serviceOf,
} from "../requests/index.ts";
import type { RollNode } from "../roll/index.ts";
import { parseText, tableNumbers } from "../tables/index.ts";
import { reservedPrefix } from "./group-wire.ts";

/** One change declares so many types. */
const operationsMax = 100;
/** Servers of one service that start together declare the same types: whoever comes second looks again. */
const triesMax = 10;
const lookAgainMs = 20;

interface Declared {
  readonly key: string;
  readonly value: JsonValue;
  /** Of the row that it replaces. */
  readonly revision: string;
}

/**
 * Declares what a server answers, the types of our own left out, so that every node knows what is safe to repeat before the first request. What is declared so already is
 * left alone; what an operator has set by hand stays, with the server's word behind it for the time after.
 */
export async function declareTypes(node: RollNode, key: string, types: Readonly<Record<string, ServedType>>): Promise<void> {
  // A fleet that was founded before requests has no such table: its types are writes then.
  if (node.replica.table(requestTypesTable) === undefined) return;
  for (let attempt = 1; ; attempt++) {
    const rows = Object.entries(types).flatMap(([type, served]) =>
      type.startsWith(reservedPrefix) ? [] : missingRow(node, declarationKey(serviceOf(key), type), served),
    );
    try {
      for (let from = 0; from < rows.length; from += operationsMax) await write(node, rows.slice(from, from + operationsMax));
      return;
    } catch (thrown) {
      const isOverrun = thrown instanceof MusterError && thrown.code === "roll/condition-failed";
      if (!isOverrun || attempt >= triesMax) throw thrown;
      await sleep(node.ports.clock, lookAgainMs);
    }
  }
}

function missingRow({ replica }: RollNode, key: string, served: ServedType): Declared[] {
  const row = replica.row(tableNumbers.requestTypes, key);
  const before = row?.flag === true ? parseText(row.text) : undefined;
  const value = serverRow(before, servedDeclaration(served));
  if (before !== undefined && saysSame(before, value)) return [];
  return [{ key, value, revision: row === undefined ? "absent" : formatRevision(row) }];
}

async function write(node: RollNode, rows: readonly Declared[]): Promise<void> {
  await node.change(
    rows.map(({ key, value }) => ({ op: "add", table: requestTypesTable, key, value, valid: true })),
    rows.map(({ key, revision }) => ({ table: requestTypesTable, key, revision })),
  );
}
