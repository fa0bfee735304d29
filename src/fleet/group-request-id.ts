import type { RequestId } from "../groups/index.ts";
import { slotsCount, targetOfGroupKey } from "../tables/index.ts";
import { badRequestId } from "./group-errors.ts";

/** Where a write is counted: in one group, or in the groups of a service together, and then by its slot. */
export interface RequestScope {
  /** Key of the group's row, or of the row of the service's map. */
  readonly within: string;
  readonly slot: number | undefined;
}

/** A write, by its scope and its id in it: what `fleet.outcome` takes. */
export interface NamedRequest extends RequestScope {
  readonly id: RequestId;
}

const pattern = /^([0-9a-f]{16,64}@\d{1,15}\.\d{1,15}):([1-9]\d{0,14}):(?:#(\d{1,5}):)?(.+)$/;

/** `LEASE:SEQUENCE:TABLE/INSTANCE`, or `LEASE:SEQUENCE:#SLOT:TABLE/SERVICE`: it says nothing of where the slot is. */
export function requestIdOf({ within, slot }: RequestScope, { lease, sequence }: RequestId): string {
  return `${lease}:${sequence}:${slot === undefined ? "" : `#${slot}:`}${within}`;
}

/** Throws `fleet/bad-request-id`. */
export function parseRequestId(text: string): NamedRequest {
  const [, lease, sequence, slotText, within] = pattern.exec(text) ?? [];
  if (lease === undefined || within === undefined || targetOfGroupKey(within) === undefined) throw badRequestId(text);
  const slot = slotText === undefined ? undefined : Number(slotText);
  if (slot !== undefined && slot >= slotsCount) throw badRequestId(text);
  return { within, slot, id: { lease, sequence: Number(sequence) } };
}
