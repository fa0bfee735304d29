import { MusterError, errorOf, isRecord } from "../kernel/index.ts";
import { usageError } from "./errors.ts";
import { camelOf, kebabOf } from "./options.ts";
import { nearest } from "./suggest.ts";

/** What a configuration file may say: the options of each verb, by kebab name without dashes. */
export interface KnownOptions {
  readonly global: ReadonlySet<string>;
  readonly verbs: ReadonlyMap<string, ReadonlySet<string>>;
}

const fileCharactersMax = 1024 * 1024;

/**
 * Reads a YAML file of options, in kebab or camel case. At the top level an option counts for every verb that has it; below a
 * verb's name for that verb only, and wins. Returns camel names. A name that no verb knows is refused, with the nearest
 * one that is known. Throws `cli/usage` and `cli/bad-config`.
 */
export async function parseConfigFile(
  text: string,
  path: string,
  verb: string,
  known: KnownOptions,
): Promise<Readonly<Record<string, unknown>>> {
  if (text.length > fileCharactersMax) throw badConfig(path, `it has more than ${fileCharactersMax} characters`);
  const { parse } = await import("yaml");
  let document: unknown;
  try {
    document = parse(text, { maxAliasCount: 100 });
  } catch (thrown) {
    throw badConfig(path, errorOf(thrown).message.split("\n")[0] ?? "it is not YAML");
  }
  if (document === null || document === undefined) return {};
  if (!isRecord(document)) throw badConfig(path, "it is not a mapping of options");
  const everywhere = new Set([...known.global, ...[...known.verbs.values()].flatMap((options) => [...options])]);
  const general: Record<string, unknown> = {};
  let special: Readonly<Record<string, unknown>> = {};
  for (const [written, value] of Object.entries(document)) {
    const name = kebabOf(written);
    const section = known.verbs.get(name);
    if (section !== undefined && isRecord(value)) {
      const options = readSection(value, new Set([...section, ...known.global]), `${path}, ${name}`);
      if (name === verb) special = options;
    } else if (everywhere.has(name)) general[camelOf(name)] = value;
    else throw unknownOption(written, [...everywhere, ...known.verbs.keys()], path);
  }
  return { ...general, ...special };
}

function readSection(
  section: Readonly<Record<string, unknown>>,
  known: ReadonlySet<string>,
  where: string,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(section).map(([written, value]) => {
      const name = kebabOf(written);
      if (!known.has(name)) throw unknownOption(written, known, where);
      return [camelOf(name), value];
    }),
  );
}

function unknownOption(name: string, known: Iterable<string>, where: string): MusterError {
  const meant = nearest(kebabOf(name), known);
  return usageError(
    `"${name}" in ${where} is not an option`,
    meant === undefined ? "see `muster help` for the options" : `did you mean "${meant}"?`,
  );
}

function badConfig(path: string, why: string): MusterError {
  return new MusterError("cli/bad-config", `the configuration file ${path} cannot be used: ${why}`, {
    next: 'write one option a line, for example "listen: 127.0.0.1:7550"',
  });
}
