import type { JsonValue } from "../kernel/index.ts";
import { formatServerRoute, isRouteValue, membersOf } from "../tables/index.ts";
import { printable } from "./style.ts";

const charactersMax = 100;

/** A value as a person reads it: `HOST9:1872 {"zone":"a"}`, a text without quotes, other JSON; cut when it is long. */
export function formatValue(value: JsonValue): string {
  const text = printable(readable(value));
  return text.length > charactersMax ? `${text.slice(0, charactersMax - 1)}…` : text;
}

function readable(value: JsonValue): string {
  if (typeof value === "string") return value;
  if (isRouteValue(value)) return formatServerRoute(value);
  const members = membersOf(value);
  return members === undefined ? JSON.stringify(value) : `members ${members.join(", ")}`;
}
