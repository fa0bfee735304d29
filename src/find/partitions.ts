import { MusterError } from "../kernel/index.ts";
import { type Mapping, type Replica, parseText, partitionTarget } from "../tables/index.ts";
import { rendezvousScore, stableHash } from "./hash.ts";

/** A partition's key as text. Throws `find/bad-partition-key`. */
export function partitionKey(key: string | number): string {
  if (typeof key === "number" ? Number.isSafeInteger(key) : key !== "") return String(key);
  throw new MusterError("find/bad-partition-key", `${key === "" ? "an empty text" : key} does not name a partition`, {
    next: "ask with an integer or with a text that is not empty",
  });
}

/**
 * The key of the servers' table that a partition's row names; undefined when the row is invalid or there is none. A key that has
 * no row of its own is mapped first. Rendezvous chooses among all rows, also invalid ones: a partition whose row is
 * invalid for a while must not hand its keys to others that do not hold them.
 */
export function partitionServer(replica: Replica, table: number, mapping: Mapping | undefined, key: string): string | undefined {
  const row = replica.row(table, key) ?? mappedRow(replica, table, mapping, key);
  return row === undefined || !row.flag ? undefined : partitionTarget(parseText(row.text))?.key;
}

function mappedRow(replica: Replica, table: number, mapping: Mapping | undefined, key: string): ReturnType<Replica["row"]> {
  switch (mapping?.by) {
    case undefined:
      return undefined;
    case "modulus":
      return replica.row(table, String(modulusOf(key, mapping.modulus)));
    case "rendezvous":
      return rendezvousRow(replica, table, key);
  }
}

/** The number modulo `modulus`, never negative; of a text that is no integer, its stable hash modulo `modulus`. */
export function modulusOf(key: string, modulus: number): number {
  if (!/^-?\d+$/.test(key)) return stableHash(key) % modulus;
  if (key.length > 15) {
    const big = BigInt(modulus);
    return Number(((BigInt(key) % big) + big) % big);
  }
  return ((Number(key) % modulus) + modulus) % modulus;
}

function rendezvousRow(replica: Replica, table: number, key: string): ReturnType<Replica["row"]> {
  let best: ReturnType<Replica["row"]>;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (const row of replica.entries(table)) {
    const target = partitionTarget(parseText(row.text));
    if (target === undefined) continue;
    const score = rendezvousScore(key, row.key, target.weight);
    if (score > bestScore) {
      best = row;
      bestScore = score;
    }
  }
  return best;
}
