/**
 * What the checkers of writes are fed with, by simulations and by runs of real processes alike: a list of operations in any order,
 * each on one key of the replicated state, as the one who asked saw it.
 *
 * | kind | argument | result when it succeeded |
 * |---|---|---|
 * | `put` | the value | null |
 * | `append` | the text that is added behind the value (a missing one is "") | the whole new value |
 * | `add` | a whole number (a missing value, or none that is a number, is 0) | the new number as text |
 * | `cas` | the value that replaces `expected` | "done" or "differs" |
 * | `delete` | | the value that was there, or null |
 * | `read` | | the value or null, of a `latest` read |
 * | `session-read` | | the value or null, of a `session` read |
 *
 * Times are milliseconds of one clock that all of them share (in a run of processes: the monotonic clock of the one machine).
 * Leave out what is known to have had no effect: refusals, `abandoned`, errors that a handler threw. Keep what has no known
 * outcome, without `respondedMs`.
 */
export interface Operation {
  /** Who asked: a session. Operations of one client may overlap. */
  readonly client: string;
  readonly key: string;
  readonly kind: OperationKind;
  readonly argument?: string | undefined;
  /** Of a `cas`: the value that it replaces, null when there must be none. */
  readonly expected?: string | null | undefined;
  readonly invokedMs: number;
  /** Undefined: nobody knows; it may have taken effect at any time since `invokedMs`, may yet, or never will. */
  readonly respondedMs?: number | undefined;
  readonly result?: string | null | undefined;
  /** The position that the answer named: of a write its own entry, of a read the entries that it had seen. */
  readonly position?: Place | undefined;
}

export type OperationKind = "put" | "append" | "add" | "cas" | "delete" | "read" | "session-read";

export interface Place {
  readonly epoch: number;
  readonly index: number;
}

/** The value of one key; null when there is none. */
export type Value = string | null;

export interface Applied {
  readonly value: Value;
  readonly result: string | null;
}

/** What an operation does to the value of its key when nobody else is there: the specification that histories are held to. */
export function apply(operation: Pick<Operation, "kind" | "argument" | "expected">, value: Value): Applied {
  const { kind, argument = "", expected = null } = operation;
  switch (kind) {
    case "put":
      return { value: argument, result: null };
    case "append": {
      const longer = (value ?? "") + argument;
      return { value: longer, result: longer };
    }
    case "add": {
      const sum = String((Number(value ?? 0) || 0) + Number(argument));
      return { value: sum, result: sum };
    }
    case "cas":
      return value === expected ? { value: argument, result: "done" } : { value, result: "differs" };
    case "delete":
      return { value: null, result: value };
    case "read":
    case "session-read":
      return { value, result: value };
  }
}

/** For reports. */
export function describeOperation({ client, key, kind, argument, expected, invokedMs, respondedMs, result, position }: Operation): string {
  const what = [argument, expected === undefined ? undefined : `for ${expected}`].filter((part) => part !== undefined).join(" ");
  const end = respondedMs === undefined ? "no outcome" : `${respondedMs.toFixed(2)} ${String(result)}`;
  const at = position === undefined ? "" : ` at ${position.epoch}.${position.index}`;
  return `${client} ${kind} ${key}${what === "" ? "" : ` ${what}`} [${invokedMs.toFixed(2)}, ${end}]${at}`;
}
