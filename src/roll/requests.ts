import { type JsonValue, MusterError, isRecord, limits } from "../kernel/index.ts";
import { type EntryState, parseState } from "../tables/index.ts";

/**
 * What a writer asks for, before the directory has resolved it into effects. One parser stands at the border: whatever
 * comes from a link or a door passes through `parseOperations` and `parseConditions`.
 */
export type RequestOperation =
  | { readonly op: "add"; readonly table: string; readonly key: string; readonly value: JsonValue; readonly valid: boolean }
  | { readonly op: "delete"; readonly table: string; readonly key: string; readonly force: boolean }
  | { readonly op: "set-valid"; readonly table: string; readonly key: string; readonly valid: boolean }
  /** Binds an entry to the writer's live program and sets it valid; without a value the entry must exist. */
  | {
      readonly op: "bind";
      readonly table: string;
      readonly key: string;
      readonly value?: JsonValue;
      readonly watcher: string;
      readonly valid: boolean;
    }
  /** The orderly end of a bound entry by its own program. */
  | { readonly op: "unbind"; readonly table: string; readonly key: string }
  /** Said by the watcher of a program: it is gone, or its heartbeat lapsed. Names the incarnation it is about. */
  | {
      readonly op: "lapse";
      readonly table: string;
      readonly key: string;
      readonly incarnation: number;
      readonly action: "invalidate" | "delete";
      /** What it is now and why, for the table of states: written by the same change. */
      readonly state?: EntryState;
    };

export interface Condition {
  readonly table: string;
  readonly key: string;
  /** "epoch.sequence" of the row as it must be, or "absent". */
  readonly revision: string;
}

export interface ChangeRequest {
  /** The writer's session: the sequence of the change that admitted it. */
  readonly session: number;
  /** Number of this change within the session, from 1, without gaps. */
  readonly number: number;
  /** The writer's first incomplete number: outcomes below it may be forgotten. */
  readonly low: number;
  readonly operations: readonly RequestOperation[];
  readonly conditions: readonly Condition[];
  /** Nodes that take part besides those whose interest is touched; carried from the start, used by coherent changes. */
  readonly participants?: readonly string[];
  readonly coherent?: boolean;
}

export type Outcome =
  | { readonly ok: true; readonly epoch: number; readonly sequence: number }
  | { readonly ok: false; readonly error: { readonly code: string; readonly message: string; readonly next?: string } };

function refuse(what: string): never {
  throw new MusterError("roll/bad-change", `this change cannot be read: ${what}`, {
    next: 'send { operations: [{ op: "add" | "delete" | "set-valid", table, key, … }] }',
  });
}

function text(record: Readonly<Record<string, unknown>>, name: string): string {
  const value = record[name];
  return typeof value === "string" ? value : refuse(`"${name}" is missing or not a text`);
}

function parseOperation(input: unknown): RequestOperation {
  if (!isRecord(input)) refuse("an operation is not an object");
  const table = text(input, "table");
  const key = text(input, "key");
  switch (input["op"]) {
    case "add":
      if (input["value"] === undefined) refuse(`the added entry "${key}" has no value`);
      return { op: "add", table, key, value: parseJson(input["value"]), valid: input["valid"] !== false };
    case "delete":
      return { op: "delete", table, key, force: input["force"] === true };
    case "set-valid":
      if (typeof input["valid"] !== "boolean") refuse('"valid" is not a boolean');
      return { op: "set-valid", table, key, valid: input["valid"] };
    case "bind": {
      const value = input["value"] === undefined ? {} : { value: parseJson(input["value"]) };
      return { op: "bind", table, key, ...value, watcher: text(input, "watcher"), valid: input["valid"] !== false };
    }
    case "unbind":
      return { op: "unbind", table, key };
    case "lapse": {
      const { incarnation, action } = input;
      if (typeof incarnation !== "number" || (action !== "invalidate" && action !== "delete")) refuse("a lapse without incarnation");
      const state = input["state"] === undefined ? {} : { state: parseState(parseJson(input["state"])) };
      return { op: "lapse", table, key, incarnation, action, ...state };
    }
    default:
      return refuse(`"${String(input["op"])}" is not an operation`);
  }
}

/** As deep as the tables take them. */
const jsonDepthMax = 64;

/** Only a check of depth and kind: the text came through `JSON.parse`, so it is JSON already. */
function parseJson(value: unknown, depth = 0): JsonValue {
  if (depth > jsonDepthMax) return refuse(`a value is nested deeper than ${jsonDepthMax} levels`);
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map((inner) => parseJson(inner, depth + 1));
  if (isRecord(value)) return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, parseJson(inner, depth + 1)]));
  return refuse("a value is not JSON");
}

/** At most 100 operations; throws `roll/bad-change` or `roll/change-too-large`. */
export function parseOperations(input: unknown): readonly RequestOperation[] {
  if (!Array.isArray(input) || input.length === 0) refuse("it has no operations");
  if (input.length > limits.changeOperationsMax)
    throw new MusterError(
      "roll/change-too-large",
      `a change holds at most ${limits.changeOperationsMax} operations, this one has ${input.length}`,
      {
        next: "split it into several changes",
      },
    );
  return input.map(parseOperation);
}

export function parseConditions(input: unknown): readonly Condition[] {
  if (input === undefined) return [];
  if (!Array.isArray(input) || input.length > limits.changeOperationsMax) refuse("its conditions are not a list of at most 100");
  return input.map((condition: unknown) => {
    if (!isRecord(condition)) refuse("a condition is not an object");
    const revision = text(condition, "revision");
    if (revision !== "absent" && !/^\d+\.\d+$/.test(revision)) refuse(`"${revision}" is not a revision`);
    return { table: text(condition, "table"), key: text(condition, "key"), revision };
  });
}

function count(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : refuse("a number is missing");
}

export function parseChangeRequest(input: unknown): ChangeRequest {
  if (!isRecord(input)) refuse("it is not an object");
  const participants = input["participants"];
  return {
    session: count(input["session"]),
    number: count(input["number"]),
    low: count(input["low"]),
    operations: parseOperations(input["operations"]),
    conditions: parseConditions(input["conditions"]),
    ...(Array.isArray(participants) ? { participants: participants.filter((name) => typeof name === "string").slice(0, 1000) } : {}),
    ...(input["coherent"] === true ? { coherent: true } : {}),
  };
}

export function parseOutcome(input: unknown): Outcome {
  if (isRecord(input) && input["ok"] === true) return { ok: true, epoch: count(input["epoch"]), sequence: count(input["sequence"]) };
  if (isRecord(input) && isRecord(input["error"])) {
    const { code, message, next } = input["error"];
    const error = { code: String(code), message: String(message), ...(typeof next === "string" ? { next } : {}) };
    return { ok: false, error };
  }
  return refuse("its outcome is not one");
}
