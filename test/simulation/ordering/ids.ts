import type { RequestId } from "../../../src/groups/index.ts";

/** A request's name in reports, stamps and maps. */
export function idText({ lease, sequence }: RequestId): string {
  return `${lease}/${sequence}`;
}
