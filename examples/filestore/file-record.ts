import { StoreError } from "./errors.ts";

export const nameBytesMax = 1024;
export const copiesOfAFile = 2;

/** What a metadata server keeps about a file. Times are Unix milliseconds. */
export interface FileRecord {
  readonly name: string;
  /** The object that holds the bytes; a new one for every PUT. */
  readonly object: string;
  readonly size: number;
  readonly sha256: string;
  readonly type: string;
  /** The bitfile servers that hold the object, e.g. `["BSS.1", "BSS.3"]`. */
  readonly copies: readonly string[];
  readonly createdUnixMs: number;
  readonly modifiedUnixMs: number;
}

/** A record with the version that its next change must name. Versions of a store never come back. */
export interface VersionedRecord extends FileRecord {
  readonly version: number;
}

export function parseObjectId(text: string): string {
  if (!/^[0-9a-f]{32}$/.test(text))
    throw new StoreError(400, "filestore/bad-object-id", `"${text.slice(0, 64)}" is not an object id`, {
      next: "an object id is 32 hexadecimal characters in lower case",
    });
  return text;
}

/** Reads a file's name from a percent-encoded path. */
export function parseFileName(encoded: string): string {
  let name: string;
  try {
    name = decodeURIComponent(encoded);
  } catch {
    throw new StoreError(400, "filestore/bad-name", "the name is not percent-encoded UTF-8", {
      next: "encode the bytes of the name as UTF-8, each special byte as %XX",
    });
  }
  const bytes = Buffer.byteLength(name);
  if (bytes === 0) throw new StoreError(400, "filestore/bad-name", "the name is empty", { next: "use /files/NAME" });
  if (bytes > nameBytesMax)
    throw new StoreError(400, "filestore/bad-name", `the name has ${bytes} bytes, more than ${nameBytesMax}`, {
      next: `shorten it to ${nameBytesMax} bytes of UTF-8`,
    });
  return name;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** The one parser of records, for what comes from other servers and from disk alike. */
export function parseFileRecord(value: unknown): FileRecord {
  const refuse = (what: string): never => {
    throw new StoreError(400, "filestore/bad-record", `the record's ${what} is missing or malformed`);
  };
  if (typeof value !== "object" || value === null) return refuse("body");
  const { name, object, size, sha256, type, copies, createdUnixMs, modifiedUnixMs } = value as Record<string, unknown>;
  if (typeof name !== "string" || name === "" || Buffer.byteLength(name) > nameBytesMax) return refuse("name");
  if (typeof object !== "string") return refuse("object");
  if (!isCount(size)) return refuse("size");
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) return refuse("sha256");
  if (typeof type !== "string" || type.length > 255) return refuse("type");
  if (!Array.isArray(copies) || copies.length === 0 || copies.length > 8) return refuse("copies");
  if (!copies.every((copy): copy is string => typeof copy === "string")) return refuse("copies");
  if (!isCount(createdUnixMs) || !isCount(modifiedUnixMs)) return refuse("times");
  return { name, object: parseObjectId(object), size, sha256, type, copies, createdUnixMs, modifiedUnixMs };
}

export function parseVersionedRecord(value: unknown): VersionedRecord {
  const record = parseFileRecord(value);
  const version = typeof value === "object" && value !== null && "version" in value ? value.version : undefined;
  if (!isCount(version)) throw new StoreError(400, "filestore/bad-record", "the record's version is missing or malformed");
  return { ...record, version };
}

/** A file as clients see it. */
export function describeFile({
  name,
  size,
  sha256,
  type,
  copies,
  createdUnixMs,
  modifiedUnixMs,
}: FileRecord): Readonly<Record<string, unknown>> {
  const created = new Date(createdUnixMs).toISOString();
  return { name, size, sha256, type, copies, created, modified: new Date(modifiedUnixMs).toISOString() };
}

/** The order of listings: by the bytes of the UTF-8 names. */
export function compareNames(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
