import { isRecord, parseDurationMs } from "../kernel/index.ts";
import { usageError } from "./errors.ts";

/**
 * What was given to one verb, by the command line, the environment or the configuration file, under the names of the long
 * options in camel case. The one place where an option gets its type; a wrong one is a usage error that names it.
 */
export class Options {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  flag(name: string): boolean {
    const value = this.#values[name];
    if (value === undefined) return false;
    if (typeof value === "boolean") return value;
    throw usageError(`${flagOf(name)} is either given or not`, `write ${flagOf(name)}, or ${name}: true in the configuration file`);
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    if (value === undefined) return undefined;
    if (typeof value === "string" && value !== "") return value;
    if (typeof value === "number") return String(value);
    throw usageError(`${flagOf(name)} needs a value`, `write ${flagOf(name)} VALUE`);
  }

  required(name: string, example: string): string {
    const value = this.text(name);
    if (value === undefined) throw usageError(`${flagOf(name)} is missing`, `for example ${flagOf(name)} ${example}`);
    return value;
  }

  /** A repeatable option; in the configuration file a list or a single text. A comma separates as well where `split` is set. */
  list(name: string, options: { readonly split?: boolean } = {}): readonly string[] {
    const value = this.#values[name];
    const items: readonly unknown[] = value === undefined ? [] : Array.isArray(value) ? value : [value];
    const texts = items.map((item) => {
      if (typeof item === "string" && item !== "") return item;
      if (typeof item === "number") return String(item);
      throw usageError(`${flagOf(name)} needs texts`, `write ${flagOf(name)} VALUE, once for each`);
    });
    return options.split === true
      ? texts.flatMap((text) => text.split(",").map((part) => part.trim())).filter((text) => text !== "")
      : texts;
  }

  integer(name: string, min: number, max: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw usageError(`${flagOf(name)} ${text} is not an integer from ${min} to ${max}`, `for example ${flagOf(name)} ${min}`);
  }

  durationMs(name: string): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : parseDurationMs(text);
  }

  choice<const Choice extends string>(name: string, choices: readonly Choice[]): Choice | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    throw usageError(`${flagOf(name)} ${text} is not one of ${choices.join(", ")}`, `for example ${flagOf(name)} ${choices[0]}`);
  }

  /** NAME=VALUE pairs; in the configuration file a list of such texts, or an object. */
  pairs(name: string): Readonly<Record<string, string>> {
    const value = this.#values[name];
    if (isRecord(value)) return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, String(inner)]));
    return Object.fromEntries(
      this.list(name).map((pair) => {
        const equals = pair.indexOf("=");
        if (equals < 1) throw usageError(`${flagOf(name)} ${pair} is not NAME=VALUE`, `write ${flagOf(name)} NAME=VALUE`);
        return [pair.slice(0, equals), pair.slice(equals + 1)];
      }),
    );
  }
}

/** `maxPeriod` → `--max-period`. */
export function flagOf(name: string): string {
  return `--${kebabOf(name)}`;
}

export function kebabOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

export function camelOf(name: string): string {
  return name.replaceAll(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
