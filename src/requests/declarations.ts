import { isRecord } from "../kernel/index.ts";
import { type Replica, parseText, tableNumbers } from "../tables/index.ts";
import { badEffect, badType } from "./errors.ts";
import { type RequestEffect, type ServedType, typeNameBytesMax } from "./options.ts";

/** The table of declarations; a row's key is "SERVICE/TYPE". */
export const requestTypesTable = "request-types";

export interface Declaration {
  readonly effect: RequestEffect;
  /** The change that declared it; 0 when nobody has. */
  readonly sequence: number;
}

const undeclared: Declaration = Object.freeze({ effect: "write", sequence: 0 });

/** The service that a key belongs to: of "MDS.1.1" it is "MDS", of a shorter key its first segment. */
export function serviceOf(key: string): string {
  const last = key.lastIndexOf(".");
  const second = last > 0 ? key.lastIndexOf(".", last - 1) : -1;
  if (second > 0) return key.slice(0, second);
  const first = key.indexOf(".");
  return first > 0 ? key.slice(0, first) : key;
}

export function declarationKey(service: string, type: string): string {
  return `${service}/${type}`;
}

/** What the roll says of a type; an undeclared one, and one that cannot be read, is a write. */
export function declarationOf(replica: Replica, service: string, type: string): Declaration {
  const row = replica.row(tableNumbers.requestTypes, declarationKey(service, type));
  if (row === undefined || !row.flag) return undeclared;
  const effect = effectOfText(row.text);
  return effect === undefined ? undeclared : { effect, sequence: row.sequence };
}

function effectOfText(text: string): RequestEffect | undefined {
  const value = parseText(text);
  return isRecord(value) ? parseEffect(value["effect"]) : undefined;
}

export function parseEffect(value: unknown): RequestEffect | undefined {
  return value === "read" || value === "repeatable" || value === "write" ? value : undefined;
}

/** Throws `requests/bad-type` and `requests/bad-effect` for what cannot be declared. */
export function checkServedTypes(types: Readonly<Record<string, ServedType>>): void {
  const named = Object.entries(types);
  if (named.length === 0) throw badType(undefined);
  for (const [type, { effect, handle }] of named) {
    if (type.length === 0 || Buffer.byteLength(type) > typeNameBytesMax || type.includes("/") || typeof handle !== "function")
      throw badType(type);
    if (parseEffect(effect) === undefined) throw badEffect(type, effect);
  }
}
