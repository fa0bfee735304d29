import { type JsonValue, isRecord } from "../kernel/index.ts";
import { unexpectedFrame } from "./errors.ts";
import type { VersionRange } from "./options.ts";

export interface Hello {
  readonly versions: VersionRange;
  readonly hello: unknown;
}

/** The first frame of each side; both send it without waiting for the other. */
export function formHello(versions: VersionRange, hello: JsonValue): JsonValue {
  return { versions: [versions.min, versions.max], hello };
}

/** Throws `link/unexpected-frame` when it is not the hello of a Muster node. */
export function parseHello(value: unknown): Hello {
  if (isRecord(value) && Array.isArray(value["versions"]) && value["versions"].length === 2) {
    const [min, max]: unknown[] = value["versions"];
    if (isVersion(min) && isVersion(max) && min <= max) return { versions: { min, max }, hello: value["hello"] };
  }
  throw unexpectedFrame("its hello names no protocol versions");
}

/** The highest version that both speak. */
export function agreeVersion(ours: VersionRange, theirs: VersionRange): number | undefined {
  const highest = Math.min(ours.max, theirs.max);
  return highest >= Math.max(ours.min, theirs.min) ? highest : undefined;
}

function isVersion(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
