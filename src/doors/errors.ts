import { InvariantError, MusterError } from "../kernel/index.ts";

/** The status that fits an error of any room; what is not foreseen is 500. */
export function statusOf(thrown: unknown): 400 | 403 | 404 | 405 | 409 | 413 | 500 | 503 {
  if (!(thrown instanceof MusterError)) return 500;
  const { code } = thrown;
  const known = statuses[code];
  if (known !== undefined) return known;
  const [room = "", what = ""] = code.split("/");
  if (room === "link" || room === "transport") return 503;
  if (what.startsWith("bad-") || what.startsWith("unknown-query")) return 400;
  return room === "roll" || room === "fleet" || room === "tables" ? 409 : 500;
}

const statuses: Readonly<Record<string, 400 | 403 | 404 | 405 | 409 | 413 | 503>> = {
  "doors/bad-request": 400,
  "doors/foreign-host": 403,
  "doors/foreign-origin": 403,
  "doors/no-such-path": 404,
  "doors/not-found": 404,
  "doors/no-such-method": 405,
  "doors/too-large": 413,
  "doors/too-many-watchers": 503,
  "doors/not-ready": 503,
  "doors/no-directory": 503,
  "find/not-a-partition-table": 400,
  "tables/unknown-table": 404,
  "tables/value-too-long": 413,
  "roll/unknown-table": 404,
  "roll/no-such-entry": 404,
  "roll/change-too-large": 413,
  "roll/no-directory": 503,
  "roll/no-parent": 503,
  "roll/parent-lost": 503,
  "roll/parent-silent": 503,
  "roll/parent-detached": 503,
  "roll/not-admitted": 503,
  "roll/not-durable": 503,
  "roll/too-many-open-changes": 503,
  "roll/too-many-sessions": 503,
  "roll/try-again": 503,
  "roll/closed": 503,
  "roll/closing": 503,
};

/** What a caller sees of an error: a fault of our own is not explained to the outside. */
export function errorBody(thrown: unknown): { code: string; message: string; effect: string; next?: string } {
  if (thrown instanceof MusterError) return thrown.toJSON();
  const message =
    thrown instanceof InvariantError ? "an invariant of the node is broken" : "the node failed in a way that it did not foresee";
  return { code: "doors/unexpected", message, effect: "maybe", next: "see the node's log" };
}

export function badRequest(message: string, next = "see /openapi.json"): MusterError {
  return new MusterError("doors/bad-request", message, { next });
}
