import { MusterError, limits } from "../kernel/index.ts";

/**
 * Keys are dotted paths: `MDS` ⊃ `MDS.1` ⊃ `MDS.1.1`. The roll itself gives the dots no meaning; `find` does. Keys stay
 * plain strings once they are parsed: they are compared and hashed on the hottest paths.
 */
const control = /\p{Cc}/u;
const printableAscii = /^[\x20-\x7e]+$/;

/**
 * Accepts the key of an entry: 1 … 512 bytes of UTF-8, no control characters, no lone surrogates.
 * Throws `tables/bad-key`.
 */
export function parseKey(value: unknown): string {
  if (typeof value !== "string" || value.length === 0) throw badKey("a key is a text that is not empty");
  if (printableAscii.test(value)) {
    if (value.length > limits.keyBytesMax) throw badKey(`the key has ${value.length} bytes, the limit is ${limits.keyBytesMax}`);
    return value;
  }
  if (!value.isWellFormed()) throw badKey("the key holds half of a surrogate pair");
  if (control.test(value)) throw badKey("the key holds a control character");
  const bytes = Buffer.byteLength(value);
  if (bytes > limits.keyBytesMax) throw badKey(`the key has ${bytes} bytes, the limit is ${limits.keyBytesMax}`);
  return value;
}

/** Accepts a prefix to search by: like a key, but it may be empty (the whole table). Throws `tables/bad-key`. */
export function parsePrefix(value: unknown): string {
  return value === "" ? "" : parseKey(value);
}

/** Accepts a plain table name, 1 … 64 characters of `a-z 0-9 . _ -`, first a letter or digit. Throws `tables/bad-table-name`. */
export function parseTableName(value: unknown): string {
  if (typeof value === "string" && value.length <= limits.tableNameBytesMax && /^[a-z0-9][a-z0-9._-]*$/.test(value)) return value;
  throw new MusterError("tables/bad-table-name", `${quote(value)} is not a table name`, {
    next: `use 1 to ${limits.tableNameBytesMax} of the characters a-z 0-9 . _ - and begin with a letter or digit`,
  });
}

/** Accepts a symbolic table name such as `DSD_MTID_CACHE`. Throws `tables/bad-symbol`. */
export function parseSymbol(value: unknown): string {
  if (typeof value === "string" && value.length <= limits.tableNameBytesMax && /^[A-Z][A-Z0-9_]*$/.test(value)) return value;
  throw new MusterError("tables/bad-symbol", `${quote(value)} is not a symbolic table name`, {
    next: `use 1 to ${limits.tableNameBytesMax} of the characters A-Z 0-9 _ and begin with a letter`,
  });
}

/** Accepts a host name, 1 … 253 characters of `A-Z a-z 0-9 . _ -`; dots are allowed. Throws `tables/bad-host-name`. */
export function parseHostName(value: unknown): string {
  if (typeof value === "string" && value.length <= 253 && /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(value)) return value;
  throw new MusterError("tables/bad-host-name", `${quote(value)} is not a host name`, {
    next: "use 1 to 253 of the characters A-Z a-z 0-9 . _ - and begin with a letter or digit",
  });
}

/** The host and the number that a host route's key names: `HOST9.1` is route 1 of HOST9; undefined when it names none. */
export function parseHostRouteKey(key: string): { readonly host: string; readonly number: number } | undefined {
  const dot = key.lastIndexOf(".");
  if (dot < 1 || !/^(0|[1-9]\d{0,5})$/.test(key.slice(dot + 1))) return undefined;
  return { host: key.slice(0, dot), number: Number(key.slice(dot + 1)) };
}

/** True when `key` lies strictly below `ancestor` by segments: `MDS.1.1` is below `MDS.1`, `MDS.10` is not. */
export function isBelow(key: string, ancestor: string): boolean {
  return key.length > ancestor.length && key.charCodeAt(ancestor.length) === 0x2e && key.startsWith(ancestor);
}

/** What a message shows of something that was refused: short, and safe to print. */
export function quote(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : String(typeof value);
  return text.length > 80 ? `${text.slice(0, 77)}…"` : text;
}

function badKey(message: string): MusterError {
  return new MusterError("tables/bad-key", message, {
    next: `use 1 to ${limits.keyBytesMax} bytes of printable text, such as MDS.1.1`,
  });
}
