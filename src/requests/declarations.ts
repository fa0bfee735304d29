import { type JsonValue, isRecord } from "../kernel/index.ts";
import { type Replica, parseText, tableNumbers } from "../tables/index.ts";
import { badDeclaration, badTypeName } from "./declaration-errors.ts";
import { parseEffect, parseEffectRule, parsePath, strictestOf } from "./effect-rule.ts";
import { badCopies, badEffect, badType } from "./errors.ts";
import { type EffectRule, type RequestCopies, type RequestEffect, type ServedType, type Subset, typeNameBytesMax } from "./options.ts";
import { parseSubset } from "./subset.ts";

/** The table of declarations; a row's key is "SERVICE/TYPE". */
export const requestTypesTable = "request-types";

/** What is said of a type of request, by its servers or by hand. */
export interface DeclaredType {
  readonly effect: RequestEffect | EffectRule;
  /** The servers that answer it; undefined: all of the service. */
  readonly subset?: Subset;
  readonly copies?: RequestCopies;
  /** A share of first attempts. */
  readonly budget?: number;
  /** A path in the JSON body. */
  readonly orderingKey?: string;
}

/** The same as a replica has it. */
export interface Declaration extends Omit<DeclaredType, "effect"> {
  /** Where a rule decides, the strictest thing that it can say. */
  readonly effect: RequestEffect;
  /** Decides for each request by its body; what it says counts instead of `effect`. */
  readonly rule?: EffectRule;
  /** Set by hand: servers that start do not change it. */
  readonly byOperator?: true;
  /** The change that declared it; 0 when nobody has. */
  readonly sequence: number;
}

const undeclared: Declaration = Object.freeze({ effect: "write", sequence: 0 });
const fields: ReadonlySet<string> = new Set(["effect", "subset", "copies", "budget", "orderingKey", "by", "served"]);
const operator = "operator";

type Row = { readonly [name: string]: JsonValue };
/** Reads one field: a border lets errors through, a replica goes on without it. */
type Reader = <Value>(parse: () => Value) => Value | undefined;

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

/** Reads "SERVICE/TYPE". Throws `requests/bad-declaration`. */
export function parseDeclarationKey(text: string): { readonly service: string; readonly type: string } {
  const slash = text.indexOf("/");
  const [service, type] = [text.slice(0, slash), text.slice(slash + 1)];
  if (slash < 1 || !isTypeName(type)) throw badTypeName(text);
  return { service, type };
}

/** What the roll says of a type; an undeclared one, and one that cannot be read, is a write. */
export function declarationOf(replica: Replica, service: string, type: string): Declaration {
  const row = replica.row(tableNumbers.requestTypes, declarationKey(service, type));
  return row === undefined || !row.flag ? undeclared : { ...readDeclaration(type, parseText(row.text)), sequence: row.sequence };
}

/**
 * A row as it is, whoever has written it. Without an effect that can be read it is a write; what else cannot be read is as if it
 * were not there.
 */
export function readDeclaration(type: string, value: JsonValue): Omit<Declaration, "sequence"> {
  if (!isRecord(value)) return { effect: "write" };
  const effect = given(() => parseDeclaredEffect(type, value["effect"])) ?? "write";
  return {
    effect: strictestOf(effect),
    ...(typeof effect === "string" ? {} : { rule: effect }),
    ...parseRest(type, value, given),
    ...(value["by"] === operator ? { byOperator: true } : {}),
  };
}

/**
 * Reads a declaration at a border, where a person or a program can still be told.
 * Throws `requests/bad-effect`, `requests/bad-copies` and `requests/bad-declaration`.
 */
export function parseDeclaration(type: string, value: unknown): DeclaredType {
  if (!isRecord(value)) throw badEffect(type, undefined);
  for (const name of Object.keys(value))
    if (!fields.has(name))
      throw badDeclaration(type, `${JSON.stringify(name)} says nothing`, "leave it out, or see docs/concepts.md for what can be said");
  return { effect: parseDeclaredEffect(type, value["effect"]), ...parseRest(type, value, (parse) => parse()) };
}

/** Throws `requests/bad-type` and what `parseDeclaration` throws for what cannot be declared. */
export function checkServedTypes(types: Readonly<Record<string, ServedType>>): void {
  const named = Object.entries(types);
  if (named.length === 0) throw badType(undefined);
  for (const [type, { handle, ...said }] of named) {
    if (!isTypeName(type) || typeof handle !== "function") throw badType(type);
    parseDeclaration(type, said);
  }
}

/** The row by which a server declares a type. */
export function servedDeclaration(type: ServedType): DeclaredType {
  const { handle: _, ...said } = type;
  return said;
}

/** The row for what somebody has set by hand; `served`: what the servers say, for the time after. */
export function operatorRow(declared: DeclaredType, served: JsonValue | undefined): JsonValue {
  return { ...rowOf(declared), by: operator, ...(served === undefined ? {} : { served }) };
}

/** The row after a server has declared the type: what was set by hand stays, with the server's word behind it. */
export function serverRow(before: JsonValue | undefined, declared: DeclaredType): JsonValue {
  if (before === undefined || !isRecord(before) || before["by"] !== operator) return rowOf(declared);
  return { ...before, served: rowOf(declared) };
}

/** What a row becomes when nothing is set by hand any more: the servers' word, or undefined for no row. */
export function rowWithoutOperator(row: JsonValue): JsonValue | undefined {
  return isRecord(row) && row["by"] === operator ? row["served"] : row;
}

/** Two rows that say the same, in whatever order. */
export function saysSame(row: JsonValue, other: JsonValue): boolean {
  return JSON.stringify(sorted(row)) === JSON.stringify(sorted(other));
}

function rowOf({ effect, subset, copies, budget, orderingKey }: DeclaredType): Row {
  const row: Row = JSON.parse(JSON.stringify({ effect, subset, copies, budget, orderingKey }));
  return row;
}

function sorted(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isRecord(value)) return value;
  const names = Object.keys(value).toSorted();
  return Object.fromEntries(names.map((name) => [name, sorted(value[name] ?? null)]));
}

function isTypeName(type: string): boolean {
  return type.length > 0 && Buffer.byteLength(type) <= typeNameBytesMax && !type.includes("/");
}

function parseDeclaredEffect(type: string, value: unknown): RequestEffect | EffectRule {
  const effect = parseEffect(value);
  if (effect !== undefined) return effect;
  if (!isRecord(value)) throw badEffect(type, value);
  return parseEffectRule(type, value);
}

export function parseCopies(value: unknown): RequestCopies {
  if (value === "tied" || value === "all" || value === "none") return value;
  throw badCopies(value);
}

function parseBudget(type: string, value: unknown): number {
  if (typeof value === "number" && value >= 0 && value <= 1) return value;
  throw badDeclaration(type, `a budget is a share from 0 to 1, not ${JSON.stringify(value)}`, "for example 0.1: one copy for ten requests");
}

function parseRest(type: string, value: Readonly<Record<string, unknown>>, read: Reader): Omit<DeclaredType, "effect"> {
  const field = <Parsed>(name: string, parse: (said: unknown) => Parsed) =>
    value[name] === undefined ? undefined : read(() => parse(value[name]));
  const subset = field("subset", (said) => parseSubset(type, said));
  const copies = field("copies", parseCopies);
  const budget = field("budget", (said) => parseBudget(type, said));
  const orderingKey = field("orderingKey", (said) => parsePath(type, said));
  return {
    ...(subset === undefined ? {} : { subset }),
    ...(copies === undefined ? {} : { copies }),
    ...(budget === undefined ? {} : { budget }),
    ...(orderingKey === undefined ? {} : { orderingKey }),
  };
}

/** Undefined for what cannot be read. */
function given<Value>(parse: () => Value): Value | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}
