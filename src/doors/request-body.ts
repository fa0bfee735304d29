import { type JsonValue, MusterError, errorOf, isRecord, limits, parseRevision } from "../kernel/index.ts";
import { badRequest } from "./errors.ts";
import type { HttpCondition, HttpOperation } from "./http-fleet.ts";

/** A change holds at most 1 MiB; so does any request. */
export const bodyBytesMax = limits.changeBytesMax;

/** Reads a JSON object of at most `bodyBytesMax` bytes. Throws `doors/bad-request` and `doors/too-large`. */
export async function readObject(request: Request): Promise<Readonly<Record<string, unknown>>> {
  const text = await readText(request);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (thrown) {
    throw badRequest(`the body is not JSON: ${errorOf(thrown).message}`);
  }
  if (!isRecord(body)) throw badRequest("the body is not a JSON object");
  return body;
}

async function readText(request: Request): Promise<string> {
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > bodyBytesMax) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) throw tooLarge();
    chunks.push(chunk);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw badRequest("the body is not UTF-8");
  }
}

function tooLarge(): MusterError {
  return new MusterError("doors/too-large", `a request holds at most ${bodyBytesMax} bytes`, { next: "split it into several changes" });
}

/** The body of a PUT: `{ value, valid? }`. */
export function parsePut(body: Readonly<Record<string, unknown>>): { readonly value: JsonValue; readonly valid: boolean } {
  const value = parseJson(body["value"]);
  if (value === undefined) throw badRequest('"value" is missing', 'send { "value": …, "valid": true }');
  return { value, valid: optionalFlag(body, "valid") ?? true };
}

export interface HeartbeatBody {
  readonly maxPeriodMs: number;
  readonly onExpiry?: JsonValue;
  readonly value?: JsonValue;
}

/** `{ maxPeriodMs, onExpiry?, value? }`; the node checks their ranges. */
export function parseHeartbeat(body: Readonly<Record<string, unknown>>): HeartbeatBody {
  const { maxPeriodMs } = body;
  if (typeof maxPeriodMs !== "number") throw badRequest('"maxPeriodMs" is not a number', 'send { "maxPeriodMs": 3000 }');
  const onExpiry = parseJson(body["onExpiry"]);
  const value = parseJson(body["value"]);
  if (onExpiry !== undefined && !isRecord(onExpiry)) throw badRequest('"onExpiry" is not an object', 'send { "action": "invalidate" }');
  return { maxPeriodMs, ...(onExpiry === undefined ? {} : { onExpiry }), ...(value === undefined ? {} : { value }) };
}

export interface ChangeBody {
  readonly operations: readonly HttpOperation[];
  readonly ifRevision: readonly HttpCondition[];
  readonly coherent: boolean;
}

/** `{ operations, ifRevision?, coherent? }`. */
export function parseChange(body: Readonly<Record<string, unknown>>): ChangeBody {
  const { operations, ifRevision = [] } = body;
  if (!Array.isArray(operations) || operations.length === 0) throw badRequest('"operations" is not a list with at least one operation');
  if (operations.length > limits.changeOperationsMax)
    throw new MusterError("doors/too-large", `a change holds at most ${limits.changeOperationsMax} operations`, {
      next: "split it into several changes",
    });
  if (!Array.isArray(ifRevision) || ifRevision.length > limits.changeOperationsMax)
    throw badRequest(`"ifRevision" is not a list of at most ${limits.changeOperationsMax} conditions`);
  return {
    operations: operations.map(parseOperation),
    ifRevision: ifRevision.map(parseCondition),
    coherent: optionalFlag(body, "coherent") ?? false,
  };
}

function parseOperation(input: unknown): HttpOperation {
  if (!isRecord(input)) throw badRequest("an operation is not an object");
  const table = text(input, "table");
  const key = text(input, "key");
  switch (input["op"]) {
    case "add": {
      const value = parseJson(input["value"]);
      if (value === undefined) throw badRequest(`the operation that adds ${JSON.stringify(key)} has no "value"`);
      return { op: "add", table, key, value, valid: optionalFlag(input, "valid") ?? true };
    }
    case "delete":
      return { op: "delete", table, key, force: optionalFlag(input, "force") ?? false };
    case "set-valid": {
      const valid = optionalFlag(input, "valid");
      if (valid === undefined) throw badRequest('"valid" is missing');
      return { op: "set-valid", table, key, valid };
    }
    default:
      throw badRequest(`${JSON.stringify(input["op"])} is not an operation`, 'use "add", "delete" or "set-valid"');
  }
}

function parseCondition(input: unknown): HttpCondition {
  if (!isRecord(input)) throw badRequest("a condition is not an object");
  return { table: text(input, "table"), key: text(input, "key"), revision: parseRevisionText(text(input, "revision")) };
}

/** "epoch.sequence" or "absent". */
export function parseRevisionText(value: string): string {
  if (value === "absent" || parseRevision(value) !== undefined) return value;
  throw badRequest(`${JSON.stringify(value)} is not a revision`, 'write "epoch.sequence", as the entry shows it');
}

function text(record: Readonly<Record<string, unknown>>, name: string): string {
  const value = record[name];
  if (typeof value !== "string") throw badRequest(`"${name}" is missing or not a text`);
  return value;
}

function optionalFlag(record: Readonly<Record<string, unknown>>, name: string): boolean | undefined {
  const value = record[name];
  if (value === undefined || typeof value === "boolean") return value;
  throw badRequest(`"${name}" is neither true nor false`);
}

/** What came out of `JSON.parse` is JSON; undefined when it was not there. */
function parseJson(value: unknown): JsonValue | undefined {
  return value as JsonValue | undefined;
}
