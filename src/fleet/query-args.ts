import { MusterError, isRecord } from "../kernel/index.ts";
import type { FindOptions, FindPolicy, Where } from "./fleet.ts";

/**
 * The one parser of what a query is asked with: it comes from a link, from HTTP or from the command line, and is `unknown`
 * until it has passed here. Everything that is refused is `fleet/bad-query`.
 */
export class QueryArgs {
  readonly #verb: string;
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(verb: string, args: unknown) {
    this.#verb = verb;
    if (args === undefined || args === null) this.#fields = {};
    else if (isRecord(args)) this.#fields = args;
    else throw this.#bad("its arguments are not an object");
  }

  /** A text that must be there and must not be empty. */
  text(name: string): string {
    const value = this.optionalText(name);
    if (value === undefined || value === "") throw this.#bad(`"${name}" is missing`);
    return value;
  }

  optionalText(name: string): string | undefined {
    const value = this.#fields[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== "string") throw this.#bad(`"${name}" is not a text`);
    if (value.length > textCharactersMax) throw this.#bad(`"${name}" has ${value.length} characters, the limit is ${textCharactersMax}`);
    return value;
  }

  /** A partition's key: a text or a safe integer. */
  textOrNumber(name: string): string | number {
    const value = this.#fields[name];
    if (typeof value !== "number") return this.text(name);
    if (!Number.isSafeInteger(value)) throw this.#bad(`"${name}" is not a safe integer`);
    return value;
  }

  /** From 1 to `max`; `max` when it is not given. */
  limit(name: string, max: number): number {
    const value = this.#fields[name];
    if (value === undefined || value === null) return max;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > max)
      throw this.#bad(`"${name}" is not an integer from 1 to ${max}`);
    return value;
  }

  /** `{ where, policy, seed }` as `find` takes them; undefined when none is given, so that the memoised answer is used. */
  findOptions(): FindOptions | undefined {
    const where = this.where();
    const policy = this.#policy();
    const seed = this.optionalText("seed");
    if (where === undefined && policy === undefined && seed === undefined) return undefined;
    return {
      ...(where === undefined ? {} : { where }),
      ...(policy === undefined ? {} : { policy }),
      ...(seed === undefined ? {} : { seed }),
    };
  }

  /** An object of attributes, or the text form "zone=a,version=2". */
  where(): Where | undefined {
    const value = this.#fields["where"];
    if (value === undefined || value === null || value === "") return undefined;
    try {
      return typeof value === "string" ? parseWhereText(value) : parseWhereRecord(value);
    } catch (thrown) {
      if (thrown instanceof MusterError) throw this.#bad(thrown.message);
      throw thrown;
    }
  }

  #policy(): FindPolicy | undefined {
    const value = this.optionalText("policy");
    switch (value) {
      case undefined:
      case "round-robin":
      case "primary-first":
      case "weighted":
      case "rendezvous":
        return value;
      default:
        throw this.#bad(`"${value}" is not a policy`, "use round-robin, primary-first, weighted or rendezvous");
    }
  }

  #bad(why: string, next = "what each query takes is in docs/concepts.md and /openapi.json"): MusterError {
    return new MusterError("fleet/bad-query", `the query "${this.#verb}" cannot be answered: ${why}`, { next });
  }
}

const textCharactersMax = 4096;
const attributesMax = 32;

function parseWhereRecord(value: unknown): Where {
  if (!isRecord(value)) throw badWhere('"where" is not an object of attributes');
  const entries = Object.entries(value);
  if (entries.length > attributesMax) throw badWhere(`"where" has more than ${attributesMax} attributes`);
  return Object.fromEntries(
    entries.map(([name, wanted]) => {
      if (typeof wanted === "string" || typeof wanted === "number" || typeof wanted === "boolean") return [name, wanted];
      throw badWhere(`the attribute "${name}" is neither a text, a number nor a boolean`);
    }),
  );
}

/** Reads "zone=a,version=2". Values compare by their text, so "2" finds the number 2. Throws `fleet/bad-where`. */
export function parseWhereText(text: string): Where {
  const pairs = text.split(",");
  if (pairs.length > attributesMax) throw badWhere(`there are more than ${attributesMax} attributes`);
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf("=");
      const name = pair.slice(0, equals).trim();
      if (equals < 1 || name === "") throw badWhere(`"${pair}" is not NAME=VALUE`);
      return [name, pair.slice(equals + 1).trim()];
    }),
  );
}

function badWhere(why: string): MusterError {
  return new MusterError("fleet/bad-where", why, { next: "write zone=a, or zone=a,version=2" });
}
