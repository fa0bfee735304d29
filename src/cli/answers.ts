import { type JsonValue, MusterError, isRecord } from "../kernel/index.ts";

/**
 * Reads what an agent answered. Both sides are Muster, but not always of one version: a field that is missing is an error that
 * says so, not an `undefined` in a table.
 */
export type Fields = Readonly<Record<string, JsonValue | undefined>>;

export function parseRows(value: JsonValue): readonly Fields[] {
  if (!Array.isArray(value)) throw badAnswer("a list is expected");
  return value.map(parseFields);
}

export function parseFields(value: JsonValue | undefined): Fields {
  if (value === undefined || !isRecord(value)) throw badAnswer("an object is expected");
  return value;
}

export function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  throw badAnswer(`"${name}" is missing`);
}

export function optionalTextOf(fields: Fields, name: string): string {
  const value = fields[name];
  return value === undefined || value === null ? "" : textOf(fields, name);
}

export function flagOf(fields: Fields, name: string): boolean {
  return fields[name] === true;
}

export function textsOf(fields: Fields, name: string): readonly string[] {
  const value = fields[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

function badAnswer(why: string): MusterError {
  return new MusterError("cli/bad-answer", `the answer cannot be read: ${why}`, { next: "use the same version of Muster as the agent's" });
}
