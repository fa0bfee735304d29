import { type Operation, type Value, describeOperation } from "../writes/history.ts";
import type { SessionRead } from "./caller.ts";

/**
 * What is wrong with `session` reads of keys that move between groups; undefined when nothing is. Each shows a committed value, and none that is
 * older than what the same program had written or read of that key before. Values of a key are all different, so each is one version.
 */
export function checkSessionReads(
  history: readonly Operation[],
  sessions: readonly SessionRead[],
  versionsOf: (key: string) => readonly Value[],
): string | undefined {
  const seen = [
    ...history.flatMap(({ client, key, kind, argument, respondedMs, result }) =>
      respondedMs === undefined ? [] : [{ client, key, respondedMs, value: kind === "put" ? (argument ?? null) : (result ?? null) }],
    ),
    ...sessions,
  ];
  const versionOf = (key: string, value: Value): number => (value === null ? 0 : versionsOf(key).indexOf(value) + 1);
  for (const read of sessions) {
    const { client, key, value, invokedMs, respondedMs } = read;
    const version = versionOf(key, value);
    const shown = describeOperation({ client, key, kind: "session-read", invokedMs, respondedMs, result: value });
    if (value !== null && version === 0) return `a value that was never committed: ${shown}`;
    for (const before of seen)
      if (before.client === client && before.key === key && before.respondedMs < invokedMs && versionOf(key, before.value) > version)
        return `a session went back: ${shown}, after it had seen ${String(before.value)}`;
  }
  return undefined;
}
