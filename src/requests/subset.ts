import { type JsonValue, isRecord, limits } from "../kernel/index.ts";
import { type Where, matches } from "../tables/index.ts";
import { badDeclaration } from "./declaration-errors.ts";
import type { Subset } from "./options.ts";

const itemsMax = 256;
const attributesMax = 16;
const attributeBytesMax = 256;

/** A server as a subset looks at it. */
export interface SubsetMember {
  readonly instance: string;
  readonly host: string;
  readonly port: number;
  readonly data?: JsonValue | undefined;
}

/** Reads what somebody has written. Throws `requests/bad-declaration`. */
export function parseSubset(type: string, value: unknown): Subset {
  if (Array.isArray(value)) {
    const items = value.filter((item) => typeof item === "string" && item !== "" && Buffer.byteLength(item) <= limits.keyBytesMax);
    if (items.length === value.length && items.length > 0 && items.length <= itemsMax) return [...new Set<string>(items)];
  } else if (isRecord(value) && Object.keys(value).length === 1 && isWhere(value["where"])) return { where: value["where"] };
  throw badDeclaration(
    type,
    `a subset is a list of 1 to ${itemsMax} servers and hosts, or { where } with 1 to ${attributesMax} attributes`,
    'write ["MDS.1.1","HOST2"] or {"where":{"zone":"a"}}; leave it out for all servers',
  );
}

function isWhere(value: unknown): value is Where {
  if (!isRecord(value)) return false;
  const wanted = Object.entries(value);
  if (wanted.length === 0 || wanted.length > attributesMax) return false;
  return wanted.every(([name, one]) => {
    const isScalar = typeof one === "string" || typeof one === "number" || typeof one === "boolean";
    return isScalar && name.length <= attributeBytesMax && String(one).length <= attributeBytesMax;
  });
}

export function isInSubset(subset: Subset, { instance, host, port, data }: SubsetMember): boolean {
  if (!isList(subset)) return matches({ host, port, ...(data === undefined ? {} : { data }) }, subset.where);
  return subset.some((item) => item === host || names(item, instance));
}

/** Whether an item of a list stands for this server. */
export function names(item: string, instance: string): boolean {
  return instance === item || (instance.length > item.length && instance.startsWith(item) && instance[item.length] === ".");
}

export function isList(subset: Subset): subset is readonly string[] {
  return Array.isArray(subset);
}

/** For people. */
export function formatSubset(subset: Subset): string {
  if (isList(subset)) return subset.join(", ");
  return Object.entries(subset.where)
    .map(([name, wanted]) => `${name}=${wanted}`)
    .join(", ");
}
