import { usageError } from "./errors.ts";
import type { Session } from "./session.ts";

/** The attributes of --where, all of its repetitions and commas together. */
export function whereOf({ options }: Session): Readonly<Record<string, string>> | undefined {
  const pairs = options.list("where", { split: true });
  if (pairs.length === 0) return undefined;
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf("=");
      if (equals < 1) throw usageError(`--where ${pair} is not NAME=VALUE`, "for example --where zone=a");
      return [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
}
