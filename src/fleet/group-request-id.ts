import type { RequestId } from "../groups/index.ts";
import { targetOfGroupKey } from "../tables/index.ts";
import { badRequestId } from "./group-errors.ts";

/** A write, by the group's key and its id in it: what `fleet.outcome` takes. */
export interface NamedRequest {
  readonly group: string;
  readonly id: RequestId;
}

const pattern = /^([0-9a-f]{16,64}@\d{1,15}\.\d{1,15}):([1-9]\d{0,14}):(.+)$/;

/** `LEASE:SEQUENCE:TABLE/INSTANCE`. */
export function requestIdOf(group: string, { lease, sequence }: RequestId): string {
  return `${lease}:${sequence}:${group}`;
}

/** Throws `fleet/bad-request-id`. */
export function parseRequestId(text: string): NamedRequest {
  const [, lease, sequence, group] = pattern.exec(text) ?? [];
  if (lease === undefined || group === undefined || targetOfGroupKey(group) === undefined) throw badRequestId(text);
  return { group, id: { lease, sequence: Number(sequence) } };
}
