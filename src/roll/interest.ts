import { MusterError, isRecord } from "../kernel/index.ts";

/** A part of the roll: one table, or all of them, and the keys that start with a prefix. */
export interface Range {
  /** A table's name, or "*" for every table. */
  readonly table: string;
  readonly prefix: string;
}

export const everything: readonly Range[] = [{ table: "*", prefix: "" }];

/** Tables that every node holds: without them no key can be translated, no host step taken, no primary, request, caller or owner of a key known. */
export const always: readonly Range[] = ["tables", "hosts", "host-route", "states", "request-types", "groups", "leases", "partitions"].map(
  (table) => ({
    table,
    prefix: "",
  }),
);

export function parseRanges(input: unknown): readonly Range[] {
  if (!Array.isArray(input) || input.length > 1000)
    throw new MusterError("roll/bad-interest", "an interest is a list of at most 1,000 ranges");
  return input.map((range: unknown) => {
    if (!isRecord(range) || typeof range["table"] !== "string" || typeof range["prefix"] !== "string")
      throw new MusterError("roll/bad-interest", "a range names a table and a prefix");
    return { table: range["table"], prefix: range["prefix"] };
  });
}

function covers(outer: Range, inner: Range): boolean {
  return (outer.table === "*" || outer.table === inner.table) && inner.prefix.startsWith(outer.prefix);
}

/** The smallest list with the same meaning, in a canonical order: equal interests have equal signatures. */
export function normaliseRanges(ranges: readonly Range[]): readonly Range[] {
  const unique = [...new Map(ranges.map((range) => [signatureOf([range]), range])).entries()];
  return unique
    .filter(([, range]) => !unique.some(([, other]) => other !== range && covers(other, range)))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, range]) => range);
}

export function signatureOf(ranges: readonly Range[]): string {
  return ranges.map((range) => `${range.table}\u0000${range.prefix}`).join("\u0001");
}

export function isEverything(ranges: readonly Range[]): boolean {
  return ranges.some((range) => range.table === "*" && range.prefix === "");
}

/** Whether every range of `inner` lies within one of `outer`. */
export function includes(outer: readonly Range[], inner: readonly Range[]): boolean {
  return inner.every((range) => outer.some((other) => covers(other, range)));
}

export function touches(ranges: readonly Range[], table: string, key: string): boolean {
  for (const range of ranges) if ((range.table === "*" || range.table === table) && key.startsWith(range.prefix)) return true;
  return false;
}
