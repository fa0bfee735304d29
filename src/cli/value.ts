import { type JsonValue, errorOf } from "../kernel/index.ts";
import { type ServerRoute, parseRouteText } from "../tables/index.ts";
import { usageError } from "./errors.ts";

/**
 * Reads the VALUE of the command line: `HOST9:1872`, optionally followed by JSON, is a server route; other JSON is itself; anything
 * else is a text. Text that begins like JSON and is not is refused: a lost brace should not become a value.
 */
export function parseCommandValue(text: string): JsonValue {
  const trimmed = text.trim();
  if (/^[^\s:"[\]{}]+:\d{1,5}(\s+\S[\s\S]*)?$/.test(trimmed)) return { ...parseRoute(trimmed) };
  try {
    const value: JsonValue = JSON.parse(trimmed);
    return value;
  } catch (thrown) {
    if (/^[[{"]/.test(trimmed))
      throw usageError(`the value is not JSON: ${errorOf(thrown).message}`, 'write HOST9:1872, {"a":1} or MDS.1, quoted for the shell');
    return trimmed;
  }
}

/** The JSON of an option such as `--data`. */
export function parseJsonOption(flag: string, text: string): JsonValue {
  try {
    const value: JsonValue = JSON.parse(text);
    return value;
  } catch (thrown) {
    throw usageError(`${flag} is not JSON: ${errorOf(thrown).message}`, `for example ${flag} '{"zone":"a"}'`);
  }
}

function parseRoute(text: string): ServerRoute {
  try {
    return parseRouteText(text);
  } catch (thrown) {
    throw usageError(errorOf(thrown).message, 'write HOST9:1872, or HOST9:1872 {"zone":"a"} quoted for the shell');
  }
}
