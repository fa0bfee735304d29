import { type JsonValue, MusterError, isRecord } from "../kernel/index.ts";
import { parseSymbol, parseTableName, quote } from "./key.ts";

/** What the rows of a table mean, and so which values it accepts. */
export type TableKind = "tables" | "host" | "host-route" | "server" | "partition" | "plain";

/** How a partition table maps a key that it does not hold. */
export type Mapping = { readonly by: "modulus"; readonly modulus: number } | { readonly by: "rendezvous" };

/** A row of the table `tables`, parsed. Frozen. */
export interface TableDefinition {
  readonly name: string;
  /** Names the table on the wire and in the store; never used again for another table. */
  readonly number: number;
  readonly symbol?: string;
  readonly kind: TableKind;
  readonly mapping?: Mapping;
  /** For a partition table: the table that its values are keys of. */
  readonly servers?: string;
  /** Attributes that `where` selects by often. */
  readonly index?: readonly string[];
  /** Copies of its rows are given out for a term only (coherent changes). */
  readonly leased?: boolean;
  /** Of the table `tables` itself: the highest number that was ever given out. */
  readonly numberMax?: number;
}

/** Numbers of the tables that every fleet has. Numbers below `userTableNumberMin` are reserved. */
export const tableNumbers = Object.freeze({
  tables: 1,
  hosts: 2,
  hostRoute: 3,
  gateway: 4,
  metadata: 5,
  bitfile: 6,
  metadataPartition: 7,
  bitfilePartition: 8,
  hostManager: 9,
  managementInterface: 10,
  checks: 11,
  states: 12,
  requestTypes: 13,
  groups: 14,
  leases: 15,
  partitions: 16,
});
export const userTableNumberMin = 32;
/** Table numbers are varints of at most four bytes. */
export const tableNumberMax = 0xfff_ffff;
const indexedAttributesMax = 8;
const modulusMax = 1_000_000;

function builtIn(name: string, number: number, kind: TableKind, rest: Partial<TableDefinition> = {}): TableDefinition {
  return Object.freeze({ name, number, kind, ...rest });
}

/** The tables that every fleet has, in order of their numbers. The mapping is the source's own: modulus 3. */
export const builtInTables: readonly TableDefinition[] = Object.freeze([
  builtIn("tables", tableNumbers.tables, "tables"),
  builtIn("hosts", tableNumbers.hosts, "host"),
  builtIn("host-route", tableNumbers.hostRoute, "host-route", { symbol: "DSD_HOST_ROUTE" }),
  builtIn("gateway", tableNumbers.gateway, "server", { symbol: "DSD_MTID_GATEWAY" }),
  builtIn("metadata", tableNumbers.metadata, "server", { symbol: "DSD_MTID_METADATA" }),
  builtIn("bitfile", tableNumbers.bitfile, "server", { symbol: "DSD_MTID_BSS" }),
  builtIn("metadata-partition", tableNumbers.metadataPartition, "partition", {
    symbol: "DSD_MTID_METADATA_PART",
    mapping: Object.freeze({ by: "modulus", modulus: 3 }),
    servers: "metadata",
  }),
  builtIn("bitfile-partition", tableNumbers.bitfilePartition, "partition", {
    symbol: "DSD_MTID_BITFILE_PART",
    mapping: Object.freeze({ by: "modulus", modulus: 3 }),
    servers: "bitfile",
  }),
  builtIn("host-manager", tableNumbers.hostManager, "server", { symbol: "DSD_MTID_SMSA" }),
  builtIn("management-interface", tableNumbers.managementInterface, "server", { symbol: "DSD_MTID_MI" }),
  builtIn("checks", tableNumbers.checks, "plain"),
  builtIn("states", tableNumbers.states, "plain"),
  builtIn("request-types", tableNumbers.requestTypes, "plain"),
  builtIn("groups", tableNumbers.groups, "plain"),
  builtIn("leases", tableNumbers.leases, "plain"),
  builtIn("partitions", tableNumbers.partitions, "plain"),
]);

/**
 * The rows of `tables` that a directory writes when it founds a fleet. `mappings` replaces the mapping of a built-in
 * partition table, e.g. `{ "metadata-partition": "modulus:16" }`.
 */
export function builtInTableRows(
  mappings: Readonly<Record<string, string>> = {},
): readonly { readonly key: string; readonly text: string }[] {
  for (const name of Object.keys(mappings))
    if (!builtInTables.some((table) => table.name === name && table.kind === "partition"))
      throw new MusterError("tables/bad-definition", `${quote(name)} is not a built-in partition table`, {
        next: "set mappings for metadata-partition and bitfile-partition only",
      });
  return builtInTables.map((table) => {
    const mapping = mappings[table.name];
    const definition = mapping === undefined ? table : { ...table, mapping: parseMapping(mapping) };
    return { key: table.name, text: tableRowText(definition) };
  });
}

/** The canonical value of a table's row. */
export function tableRowText(definition: TableDefinition): string {
  const { number, symbol, kind, mapping, servers, index, leased, numberMax } = definition;
  return JSON.stringify({
    number,
    symbol,
    kind,
    mapping: mapping === undefined ? undefined : formatMapping(mapping),
    servers,
    index,
    leased: leased === true ? true : undefined,
    numberMax,
  });
}

/** Reads "modulus:N" (1 … 1,000,000) or "rendezvous". Throws `tables/bad-mapping`. */
export function parseMapping(value: unknown): Mapping {
  if (value === "rendezvous") return Object.freeze({ by: "rendezvous" });
  const match = typeof value === "string" ? /^modulus:([1-9]\d{0,6})$/.exec(value) : null;
  const modulus = Number(match?.[1]);
  if (match !== null && modulus <= modulusMax) return Object.freeze({ by: "modulus", modulus });
  throw new MusterError("tables/bad-mapping", `${quote(value)} is not a mapping`, {
    next: `write "rendezvous", or "modulus:N" with N from 1 to ${modulusMax}`,
  });
}

export function formatMapping(mapping: Mapping): string {
  return mapping.by === "modulus" ? `modulus:${mapping.modulus}` : "rendezvous";
}

/** Reads a row of `tables`. Throws `tables/bad-definition` and the errors of its parts. */
export function parseTableDefinition(name: string, value: JsonValue): TableDefinition {
  parseTableName(name);
  if (!isRecord(value)) throw badDefinition(name, "its row is not an object");
  const { number, symbol, kind, mapping, servers, index, leased, numberMax } = value;
  if (typeof number !== "number" || !Number.isInteger(number) || number < 1 || number > tableNumberMax)
    throw badDefinition(name, `its number is not an integer from 1 to ${tableNumberMax}`);
  const known = builtInTables.find((table) => table.number === number || table.name === name);
  if (known !== undefined && (known.name !== name || known.number !== number))
    throw badDefinition(name, `name and number ${number} belong to different built-in tables`);
  if (known === undefined && number < userTableNumberMin) throw badDefinition(name, `numbers below ${userTableNumberMin} are reserved`);
  return Object.freeze({
    name,
    number,
    kind: parseKind(name, kind),
    ...(symbol === undefined ? {} : { symbol: parseSymbol(symbol) }),
    ...(mapping === undefined ? {} : { mapping: parseMapping(mapping) }),
    ...(servers === undefined ? {} : { servers: parseTableName(servers) }),
    ...(index === undefined ? {} : { index: parseIndexed(name, index) }),
    ...(leased === true ? { leased } : {}),
    ...(typeof numberMax === "number" && Number.isInteger(numberMax) && numberMax <= tableNumberMax ? { numberMax } : {}),
  });
}

function parseKind(name: string, value: unknown): TableKind {
  switch (value) {
    case "tables":
    case "host":
    case "host-route":
    case "server":
    case "partition":
    case "plain":
      return value;
    default:
      throw badDefinition(name, `${quote(value)} is not a kind of table`);
  }
}

function parseIndexed(name: string, value: unknown): readonly string[] {
  if (!Array.isArray(value) || value.length > indexedAttributesMax)
    throw badDefinition(name, `"index" is not a list of at most ${indexedAttributesMax} attributes`);
  return Object.freeze(
    value.map((attribute: unknown) => {
      if (typeof attribute !== "string" || attribute.length === 0 || attribute.length > 64)
        throw badDefinition(name, "an indexed attribute is a text of 1 to 64 characters");
      return attribute;
    }),
  );
}

function badDefinition(name: string, why: string): MusterError {
  return new MusterError("tables/bad-definition", `table ${quote(name)} cannot be defined: ${why}`, {
    next: "add tables with `muster table add NAME`, which picks a free number",
  });
}
