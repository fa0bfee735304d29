import { parseAddress } from "../transport/index.ts";
import { usageError } from "./errors.ts";
import type { Session } from "./session.ts";

/** The addresses of --parent; refused here, so that a mistyped one is not retried for ever. */
export function parentsOf({ options }: Session): readonly string[] {
  const parents = options.list("parent", { split: true });
  if (parents.length === 0) throw usageError("--parent is missing", "name the directory or a relay: --parent 10.0.0.1:7550");
  for (const parent of parents) parseAddress(parent);
  return parents;
}
