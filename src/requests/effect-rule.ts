import { type JsonValue, isRecord } from "../kernel/index.ts";
import { badDeclaration } from "./declaration-errors.ts";
import type { EffectRule, RequestBody, RequestEffect, RuleCondition } from "./options.ts";

/** Of one rule, conditions and rules behind `else` together. */
const partsMax = 64;
const depthMax = 8;
const valuesMax = 64;
const valueBytesMax = 256;
const pathSegmentsMax = 8;
const pathBytesMax = 256;

export function parseEffect(value: unknown): RequestEffect | undefined {
  return value === "read" || value === "repeatable" || value === "write" ? value : undefined;
}

/** Reads a rule as somebody has written it. Throws `requests/bad-declaration`. */
export function parseEffectRule(type: string, value: unknown): EffectRule {
  const parser = new RuleParser(type);
  return parser.rule(value, 0);
}

/** A path in a JSON body: names and numbers of items, with dots between them. Throws `requests/bad-declaration`. */
export function parsePath(type: string, value: unknown): string {
  if (typeof value === "string" && value.length <= pathBytesMax && Buffer.byteLength(value) <= pathBytesMax) {
    const segments = value.split(".");
    if (segments.length <= pathSegmentsMax && segments.every((segment) => segment !== "")) return value;
  }
  throw badDeclaration(
    type,
    `${JSON.stringify(value) ?? "nothing"} is no path in a body`,
    `write 1 to ${pathSegmentsMax} names, as in "file.op"`,
  );
}

class RuleParser {
  readonly #type: string;
  #parts = 0;

  constructor(type: string) {
    this.#type = type;
  }

  rule(value: unknown, depth: number): EffectRule {
    this.#count(depth);
    const { when, effect, else: otherwise } = this.#object(value, ["when", "effect", "else"], "a rule");
    const said = parseEffect(effect);
    if (said === undefined) throw this.#bad("the `effect` of a rule is read, repeatable or write");
    return { when: this.#condition(when, depth + 1), effect: said, else: parseEffect(otherwise) ?? this.rule(otherwise, depth + 1) };
  }

  #condition(value: unknown, depth: number): RuleCondition {
    this.#count(depth);
    if (!isRecord(value)) throw this.#bad("a condition is an object");
    if ("all" in value) return { all: this.#conditions(this.#object(value, ["all"], "all")["all"], depth) };
    if ("any" in value) return { any: this.#conditions(this.#object(value, ["any"], "any")["any"], depth) };
    if ("not" in value) return { not: this.#condition(this.#object(value, ["not"], "not")["not"], depth + 1) };
    const isOne = "exists" in value;
    const { path, in: values, exists } = this.#object(value, ["path", isOne ? "exists" : "in"], "a condition");
    if (!isOne) return { path: parsePath(this.#type, path), in: this.#values(values) };
    if (typeof exists !== "boolean") throw this.#bad("`exists` is true or false");
    return { path: parsePath(this.#type, path), exists };
  }

  #conditions(value: unknown, depth: number): readonly RuleCondition[] {
    if (!Array.isArray(value) || value.length === 0) throw this.#bad("`all` and `any` are lists of conditions");
    return value.map((one) => this.#condition(one, depth + 1));
  }

  #values(value: unknown): readonly (string | number | boolean | null)[] {
    if (!Array.isArray(value) || value.length === 0 || value.length > valuesMax)
      throw this.#bad(`\`in\` is a list of 1 to ${valuesMax} values`);
    return value.map((one: unknown) => {
      if (one === null || typeof one === "boolean" || (typeof one === "number" && Number.isFinite(one))) return one;
      if (typeof one === "string" && Buffer.byteLength(one) <= valueBytesMax) return one;
      throw this.#bad(`\`in\` holds texts of at most ${valueBytesMax} bytes, numbers, true, false and null`);
    });
  }

  /** An object with these fields and no others; a field that is missing is undefined. */
  #object(value: unknown, fields: readonly string[], what: string): Readonly<Record<string, unknown>> {
    if (!isRecord(value)) throw this.#bad(`${what} is an object with ${fields.join(", ")}`);
    for (const name of Object.keys(value)) if (!fields.includes(name)) throw this.#bad(`${JSON.stringify(name)} is not part of ${what}`);
    return value;
  }

  #count(depth: number): void {
    if (++this.#parts > partsMax || depth > depthMax)
      throw this.#bad(`a rule has at most ${partsMax} parts, ${depthMax} inside of one another`);
  }

  #bad(why: string): Error {
    return badDeclaration(this.#type, why, 'write {"when":{"path":"op","in":["put"]},"effect":"write","else":"read"}');
  }
}

/**
 * What a request with this body does. A rule is asked about objects and lists only: of any other body, and of bytes, it
 * can say nothing, so they are writes. What the path does not find is in no list.
 */
export function effectOfBody(effect: RequestEffect | EffectRule, body: RequestBody): RequestEffect {
  if (typeof effect === "string") return effect;
  if (typeof body !== "object" || body === null || body instanceof Uint8Array) return "write";
  let rule = effect;
  for (;;) {
    if (holds(rule.when, body)) return rule.effect;
    if (typeof rule.else === "string") return rule.else;
    rule = rule.else;
  }
}

/** The same of a body on its way: JSON as text, or bytes. */
export function effectOfEncoded(effect: RequestEffect | EffectRule, body: string | Uint8Array): RequestEffect {
  if (typeof effect === "string") return effect;
  if (typeof body !== "string") return "write";
  try {
    const value: JsonValue = JSON.parse(body);
    return effectOfBody(effect, value);
  } catch {
    return "write";
  }
}

/** The strictest thing that a rule can say. */
export function strictestOf(effect: RequestEffect | EffectRule): RequestEffect {
  return typeof effect === "string" ? effect : "write";
}

function holds(condition: RuleCondition, body: JsonValue): boolean {
  if ("all" in condition) return condition.all.every((one) => holds(one, body));
  if ("any" in condition) return condition.any.some((one) => holds(one, body));
  if ("not" in condition) return !holds(condition.not, body);
  const found = valueAt(body, condition.path);
  if ("exists" in condition) return (found !== undefined) === condition.exists;
  return found !== undefined && (typeof found !== "object" || found === null) && condition.in.includes(found);
}

/** Undefined where the path leads nowhere. */
export function valueAt(body: JsonValue, path: string): JsonValue | undefined {
  let value: JsonValue | undefined = body;
  for (const segment of path.split(".")) {
    if (Array.isArray(value)) value = /^\d{1,9}$/.test(segment) ? value[Number(segment)] : undefined;
    else if (value !== undefined && isRecord(value)) value = Object.hasOwn(value, segment) ? value[segment] : undefined;
    else return undefined;
  }
  return value;
}
