import { badRequest } from "./errors.ts";

/**
 * What a request's address names. Read from the raw address and not from a router's decoded one: a key may hold slashes,
 * as they are or escaped, and percent signs.
 */
export class RequestAddress {
  readonly #url: URL;
  readonly #segments: readonly string[];

  constructor(url: string) {
    this.#url = new URL(url);
    this.#segments = this.#url.pathname.split("/").slice(1);
  }

  /** One segment, decoded. */
  segment(index: number): string {
    return decode(this.#segments[index] ?? "");
  }

  /** Everything from a segment on, without `behind` at its end, decoded. */
  rest(index: number, behind = ""): string {
    const raw = this.#segments.slice(index).join("/");
    return decode(behind !== "" && raw.endsWith(behind) ? raw.slice(0, -behind.length) : raw);
  }

  query(name: string): string | undefined {
    return this.#url.searchParams.get(name) ?? undefined;
  }

  queries(name: string): readonly string[] {
    return this.#url.searchParams.getAll(name);
  }

  /** True for `?name`, `?name=1` and `?name=true`. */
  flag(name: string): boolean {
    const value = this.query(name);
    if (value === undefined || value === "false" || value === "0") return false;
    if (value === "" || value === "true" || value === "1") return true;
    throw badRequest(`"${name}" is neither true nor false`);
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw badRequest(`"${text}" is not percent-encoded UTF-8`);
  }
}
