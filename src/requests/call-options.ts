import type { FindOptions } from "../find/index.ts";
import { parseCopies } from "./declarations.ts";
import * as errors from "./errors.ts";
import { type RequestOptions, deadlineMsDefault, deadlineMsMax, typeNameBytesMax } from "./options.ts";

/**
 * How long a request may take, in milliseconds. Throws `requests/bad-type`, `requests/bad-deadline`, `requests/bad-copies`, and
 * `requests/aborted` for what is given up before it begins.
 */
export function checkCall(key: string, type: string, options: RequestOptions | undefined): number {
  if (typeof type !== "string" || type.length === 0 || type.length > typeNameBytesMax) throw errors.badType(type);
  if (options === undefined) return deadlineMsDefault;
  const { deadlineMs = deadlineMsDefault, signal, copies } = options;
  if (!(deadlineMs >= 1 && deadlineMs <= deadlineMsMax)) throw errors.badDeadline(deadlineMs);
  if (signal?.aborted === true) throw errors.aborted(key, type, "none", signal.reason);
  if (copies !== undefined) parseCopies(copies);
  return deadlineMs;
}

export function findOptionsOf({ where, policy, seed }: RequestOptions): FindOptions | undefined {
  if (where === undefined && policy === undefined && seed === undefined) return undefined;
  return {
    ...(where === undefined ? {} : { where }),
    ...(policy === undefined ? {} : { policy }),
    ...(seed === undefined ? {} : { seed }),
  };
}
