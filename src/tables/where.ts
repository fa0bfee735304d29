import { type JsonValue, isRecord } from "../kernel/index.ts";

/**
 * Attributes that an entry's value must have; all must hold. They are looked for in `value.data` of a server route, else in
 * `value`. Scalars compare by their text, so that `version=2` of a command line finds the number 2; a list (of
 * capabilities, say) must contain the wanted scalar.
 */
export type Where = Readonly<Record<string, string | number | boolean>>;

/** Where the attributes of a value are. */
export function attributesOf(value: JsonValue): Readonly<Record<string, JsonValue>> | undefined {
  if (!isRecord(value)) return undefined;
  if (!("host" in value) || !("port" in value)) return value;
  const { data } = value;
  return data !== undefined && isRecord(data) ? data : undefined;
}

/** The texts that an attribute answers to: one for a scalar, several for a list. */
export function textsOf(attributes: Readonly<Record<string, JsonValue>> | undefined, name: string): readonly string[] {
  if (attributes === undefined || !Object.hasOwn(attributes, name)) return [];
  const value = attributes[name];
  if (Array.isArray(value)) return value.filter(isScalar).map(String);
  return value !== undefined && isScalar(value) ? [String(value)] : [];
}

export function matches(value: JsonValue, where: Where): boolean {
  const attributes = attributesOf(value);
  return Object.entries(where).every(([name, wanted]) => textsOf(attributes, name).includes(String(wanted)));
}

/** One text for equal conditions, whatever their order. */
export function formatWhere(where: Where): string {
  return JSON.stringify(
    Object.entries(where)
      .map(([name, wanted]) => [name, String(wanted)])
      .sort(([a = ""], [b = ""]) => (a < b ? -1 : 1)),
  );
}

function isScalar(value: JsonValue): boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}
