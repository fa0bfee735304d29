import { type JsonValue, MusterError, isRecord, limits } from "../kernel/index.ts";

/** The table of what is known of entries besides their validity; a row's key is "TABLE/KEY" of the entry that it is about. */
export const statesTable = "states";

/**
 * Why an entry is, or is not, to be used. Avoided while others are left:
 * - `stalled`: the program lives but its event loop does not turn;
 * - `draining`: it takes no new work and will end;
 * - `suspect`: it is silent together with too many others, so it is not given up yet;
 * - `unwatched`: nobody watches it, because its host's agent is away;
 * - `apart`: it cannot come into its ordering group, and says why.
 *
 * Told, without consequence for lookups:
 * - `doubted`: a caller could not reach it; its owner looks;
 * - `dead`: its process ended; `hung`: its heartbeat missed its own period; `stopped`: it left in good order; `gone`: its host is gone.
 */
export type StateName = "stalled" | "draining" | "suspect" | "unwatched" | "apart" | "doubted" | "dead" | "hung" | "stopped" | "gone";

export const stateNames: readonly StateName[] = Object.freeze([
  "stalled",
  "draining",
  "suspect",
  "unwatched",
  "apart",
  "doubted",
  "dead",
  "hung",
  "stopped",
  "gone",
]);

const avoided: ReadonlySet<StateName> = new Set<StateName>(["stalled", "draining", "suspect", "unwatched", "apart"]);

/** One row of `states`, parsed. */
export interface EntryState {
  readonly state: StateName;
  /** One sentence for people, at most 500 characters. */
  readonly reason: string;
  /** The node that says so. */
  readonly by: string;
  readonly sinceUnixMs: number;
}

const reasonCharactersMax = 500;

/** Whether lookups pass over an entry in this state while others are left. */
export function isAvoided(state: StateName): boolean {
  return avoided.has(state);
}

/** The key of the row about an entry; undefined when it would be longer than a key may be (then no state can be kept). */
export function stateKey(table: string, key: string): string | undefined {
  const name = `${table}/${key}`;
  return Buffer.byteLength(name) > limits.keyBytesMax ? undefined : name;
}

/** The entry that a row of `states` is about. Table names hold no slash. */
export function targetOfStateKey(key: string): { readonly table: string; readonly key: string } | undefined {
  const slash = key.indexOf("/");
  return slash < 1 || slash === key.length - 1 ? undefined : { table: key.slice(0, slash), key: key.slice(slash + 1) };
}

/** Reads a row of `states`. Throws `tables/bad-state`. */
export function parseState(value: JsonValue): EntryState {
  const next = `write { "state", "reason", "by", "sinceUnixMs" } with a state of ${stateNames.join(", ")}`;
  if (!isRecord(value)) throw new MusterError("tables/bad-state", "a state is not an object", { next });
  const { state, reason, by, sinceUnixMs } = value;
  const name = stateNames.find((known) => known === state);
  if (name === undefined) throw new MusterError("tables/bad-state", "the state is not a known one", { next });
  if (typeof reason !== "string" || reason.length > reasonCharactersMax || typeof by !== "string" || typeof sinceUnixMs !== "number")
    throw new MusterError(
      "tables/bad-state",
      `"reason" (at most ${reasonCharactersMax} characters), "by" or "sinceUnixMs" is missing or wrong`,
      {
        next,
      },
    );
  return { state: name, reason, by, sinceUnixMs };
}
