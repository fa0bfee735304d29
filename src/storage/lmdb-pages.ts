import { fstatSync, readSync } from "node:fs";
import { endianness } from "node:os";

/**
 * The pages of an LMDB file, read without LMDB. LMDB maps the file and follows every number it finds there, so that
 * a truncated or overwritten file ends the process with a signal instead of an error. This walk checks what LMDB relies on:
 * meta pages, page headers, node bounds, page numbers, counts. (Format: `liblmdb/mdb.c`, MDB_page, MDB_meta, MDB_node,
 * data version 2.)
 */

const headBytes = 24;
const metaEnd = headBytes + 152;
const magic = 0xbeefc0de;
const dataVersion = 2;
const noPage = 0xffff_ffff_ffff_ffffn;
const depthMax = 32;
const flag = { branch: 0x01, leaf: 0x02, overflow: 0x04, meta: 0x08 } as const;
const nodeHeadBytes = 8;
const bigData = 0x01;

export class PageError extends Error {}

interface Tree {
  readonly depth: number;
  readonly entries: number;
  /** Branch, leaf and overflow pages together. */
  readonly pages: number;
  readonly root: number | undefined;
}

export interface LmdbMeta {
  readonly pageBytes: number;
  readonly lastPage: number;
  /** The number of the last committed transaction. */
  readonly transaction: number;
  readonly free: Tree;
  readonly main: Tree;
}

export type VisitRecord = (key: Uint8Array, value: Uint8Array) => void;

/** The newer of the two meta pages. Throws `PageError`. */
export function readMeta(file: number): LmdbMeta {
  if (endianness() !== "LE") throw new PageError("this machine's byte order is not supported");
  const first = parseMeta(readAt(file, 0, metaEnd), 0);
  const second = parseMeta(readAt(file, first.pageBytes, metaEnd), 1);
  if (second.pageBytes !== first.pageBytes) throw new PageError("its two meta pages disagree");
  return second.transaction > first.transaction ? second : first;
}

/** Walks all pages that are in use, and shows every record in the order of keys; values are valid during the call. Throws `PageError`. */
export function walkPages(file: number, meta: LmdbMeta, visit: VisitRecord): void {
  const fileBytes = fstatSync(file).size;
  const highest = Math.max(meta.main.root ?? 0, meta.free.root ?? 0);
  if (fileBytes < (highest + 1) * meta.pageBytes) throw new PageError(`it was cut off at ${fileBytes} bytes`);
  const walk = new Walk(file, meta, fileBytes);
  walk.tree(meta.main, visit);
  walk.tree(meta.free, () => {});
}

class Walk {
  readonly #file: number;
  readonly #meta: LmdbMeta;
  readonly #fileBytes: number;
  /** One buffer a level: a child is read while its parent is still being followed. */
  readonly #levels: Buffer[] = [];
  /** A page that is used twice would be written twice. */
  readonly #seen: Uint8Array;
  #entries = 0;
  #pages = 0;

  constructor(file: number, meta: LmdbMeta, fileBytes: number) {
    this.#file = file;
    this.#meta = meta;
    this.#fileBytes = fileBytes;
    this.#seen = new Uint8Array((meta.lastPage >> 3) + 1);
  }

  tree(tree: Tree, visit: VisitRecord): void {
    this.#entries = 0;
    this.#pages = 0;
    if (tree.root !== undefined) this.#page(tree.root, tree.depth, 0, visit);
    if (this.#entries !== tree.entries) throw new PageError(`${this.#entries} of ${tree.entries} records are left`);
    if (this.#pages !== tree.pages) throw new PageError(`${this.#pages} of ${tree.pages} pages are left`);
  }

  #page(number: number, levelsLeft: number, level: number, visit: VisitRecord): void {
    const { pageBytes } = this.#meta;
    this.#use(number, 1);
    const page = (this.#levels[level] ??= Buffer.allocUnsafe(pageBytes));
    this.#read(number, page, pageBytes);
    const flags = page.readUInt16LE(18);
    const lower = page.readUInt16LE(20);
    const upper = page.readUInt16LE(22);
    const nodes = lower >> 1;
    if (lower > upper || upper > pageBytes - headBytes || (lower & 1) !== 0) throw new PageError(`page ${number} has impossible bounds`);
    const expected = levelsLeft === 1 ? flag.leaf : flag.branch;
    if ((flags & 0x7f) !== expected || nodes === 0) throw new PageError(`page ${number} is not what its tree says`);
    for (let index = 0; index < nodes; index++) {
      const at = headBytes + page.readUInt16LE(headBytes + index * 2);
      if (at < headBytes + upper || at + nodeHeadBytes > pageBytes) throw new PageError(`page ${number} has a node outside of itself`);
      if (expected === flag.branch) this.#branchNode(number, page, at, levelsLeft, level, visit);
      else this.#leafNode(number, page, at, visit);
    }
  }

  #branchNode(number: number, page: Buffer, at: number, levelsLeft: number, level: number, visit: VisitRecord): void {
    if (at + nodeHeadBytes + page.readUInt16LE(at + 6) > page.length) throw new PageError(`page ${number} has a key outside of itself`);
    const child = page.readUInt16LE(at) + page.readUInt16LE(at + 2) * 0x1_0000 + page.readUInt16LE(at + 4) * 0x1_0000_0000;
    this.#page(child, levelsLeft - 1, level + 1, visit);
  }

  #leafNode(number: number, page: Buffer, at: number, visit: VisitRecord): void {
    const valueBytes = page.readUInt16LE(at) + page.readUInt16LE(at + 2) * 0x1_0000;
    const flags = page.readUInt16LE(at + 4);
    const keyAt = at + nodeHeadBytes;
    const valueAt = keyAt + page.readUInt16LE(at + 6);
    const inPage = flags === bigData ? 8 : valueBytes;
    if (valueAt + inPage > page.length) throw new PageError(`page ${number} has a record outside of itself`);
    const value = flags === bigData ? this.#overflow(pageNumber(page, valueAt), valueBytes) : page.subarray(valueAt, valueAt + valueBytes);
    this.#entries++;
    visit(page.subarray(keyAt, valueAt), value);
    if (flags !== 0 && flags !== bigData) throw new PageError(`page ${number} has a record of a kind that is not used here`);
  }

  #overflow(number: number, valueBytes: number): Buffer {
    const { pageBytes } = this.#meta;
    const pages = Math.floor((headBytes - 1 + valueBytes) / pageBytes) + 1;
    this.#use(number, pages);
    const run = Buffer.allocUnsafe(headBytes + valueBytes);
    this.#read(number, run, run.length);
    if ((run.readUInt16LE(18) & 0x7f) !== flag.overflow || run.readUInt32LE(20) < pages)
      throw new PageError(`page ${number} is not the long record that its tree says`);
    // A record that has become shorter keeps the pages it had.
    const spare = run.readUInt32LE(20) - pages;
    if (spare > 0) this.#use(number + pages, spare);
    return run.subarray(headBytes);
  }

  #use(number: number, pages: number): void {
    if (number < 2 || number + pages - 1 > this.#meta.lastPage) throw new PageError(`it refers to page ${number}, which does not exist`);
    for (let page = number; page < number + pages; page++) {
      const mask = 1 << (page & 7);
      const seen = this.#seen[page >> 3] ?? 0;
      if ((seen & mask) !== 0) throw new PageError(`page ${page} is used twice`);
      this.#seen[page >> 3] = seen | mask;
    }
    this.#pages += pages;
  }

  #read(number: number, into: Buffer, length: number): void {
    const at = number * this.#meta.pageBytes;
    if (at + length > this.#fileBytes || readSync(this.#file, into, 0, length, at) !== length)
      throw new PageError(`page ${number} is cut off`);
    if (pageNumber(into, 0) !== number) throw new PageError(`page ${number} holds something else`);
  }
}

function parseMeta(page: Buffer, number: number): LmdbMeta {
  if (page.readUInt32LE(24) !== magic) throw new PageError("it does not begin like an LMDB file");
  if (pageNumber(page, 0) !== number || (page.readUInt16LE(18) & flag.meta) === 0) throw new PageError("its meta page is overwritten");
  const version = page.readUInt16LE(28);
  if (version !== dataVersion) throw new PageError(`it has LMDB data version ${version}, not ${dataVersion}`);
  const pageBytes = page.readUInt32LE(48);
  if (pageBytes < 512 || pageBytes > 65_536 || (pageBytes & (pageBytes - 1)) !== 0)
    throw new PageError(`${pageBytes} bytes cannot be a page`);
  return {
    pageBytes,
    free: parseTree(page, 48),
    main: parseTree(page, 96),
    lastPage: wholeNumber(page, 144),
    transaction: wholeNumber(page, 152),
  };
}

/** MDB_db: pad 4, flags 2, depth 2, branch pages 8, leaf pages 8, overflow pages 8, entries 8, root 8. */
function parseTree(page: Buffer, at: number): Tree {
  const depth = page.readUInt16LE(at + 6);
  const root = page.readBigUInt64LE(at + 40) === noPage ? undefined : wholeNumber(page, at + 40);
  if (depth > depthMax || (depth === 0) !== (root === undefined)) throw new PageError("its meta page is overwritten");
  const pages = wholeNumber(page, at + 8) + wholeNumber(page, at + 16) + wholeNumber(page, at + 24);
  return { depth, root, pages, entries: wholeNumber(page, at + 32) };
}

function wholeNumber(bytes: Buffer, at: number): number {
  const value = Number(bytes.readBigUInt64LE(at));
  if (!Number.isSafeInteger(value)) throw new PageError("a number in it is impossible");
  return value;
}

/** Page numbers beyond 2⁵³ cannot exist; they come out as a number that no check lets pass. */
function pageNumber(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 0x1_0000_0000;
}

function readAt(file: number, at: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  const read = readSync(file, bytes, 0, length, at);
  if (read !== length) throw new PageError(`it was cut off at ${at + read} bytes`);
  return bytes;
}
