import { createHash } from "node:crypto";
import type { KeyedReader, KeyedTransaction } from "./muster.ts";

/** A key of the state has at most 512 bytes and a name 1,024: longer names are cut into chunks of this size. */
const chunkBytesMin = 400;
const pageRows = 1000;

/**
 * Rows by name, for listings in the order of the names' UTF-8 bytes. A name below 400 bytes is one row. The first 400 bytes of a longer one
 * are a row that counts how many names go on below it, and the rest is a row, or a chunk and a rest, in the space of that beginning.
 */
export function readName(rows: KeyedReader, partition: number, name: string): Uint8Array | undefined {
  return rows.get(pathOf(partition, name).leaf);
}

export function writeName(rows: KeyedTransaction, partition: number, name: string, bytes: Uint8Array): void {
  const { chunks, leaf } = pathOf(partition, name);
  if (rows.get(leaf) === undefined) for (const chunk of chunks) count(rows, chunk, 1);
  rows.put(leaf, bytes);
}

export function removeName(rows: KeyedTransaction, partition: number, name: string): void {
  const { chunks, leaf } = pathOf(partition, name);
  if (rows.get(leaf) === undefined) return;
  for (const chunk of chunks) count(rows, chunk, -1);
  rows.delete(leaf);
}

/** What is kept for the names with this prefix that come after the given one, in order. */
export function* listNames(rows: KeyedReader, partition: number, prefix: string, after?: string): Generator<Uint8Array> {
  yield* walk(rows, { partition, head: "" }, ordered(prefix), after === undefined ? undefined : ordered(after));
}

/** Where the rests of the names stand that begin with `head`. */
interface Space {
  readonly partition: number;
  readonly head: string;
}

/** Key by key, `prefix` and `after` without the space's head. */
function* walk(rows: KeyedReader, space: Space, prefix: string, after: string | undefined): Generator<Uint8Array> {
  const { partition, head } = space;
  const into = (chunk: string): Space => ({ partition, head: head + chunk });
  const wanted = cut(prefix);
  const passed = after === undefined ? undefined : cut(after);
  if (passed?.rest !== undefined && (wanted.rest === undefined ? passed.chunk.startsWith(prefix) : passed.chunk === wanted.chunk))
    yield* walk(rows, into(passed.chunk), wanted.rest ?? "", passed.rest);
  if (wanted.rest !== undefined) {
    if (passed === undefined || passed.chunk < wanted.chunk) yield* walk(rows, into(wanted.chunk), wanted.rest, undefined);
    return;
  }
  const keys = keyOf(space, "");
  let from = passed === undefined ? undefined : keys + passed.chunk;
  for (;;) {
    const page = rows.list(keys + prefix, { limit: pageRows, ...(from === undefined ? {} : { after: from }) });
    for (const { key, bytes } of page) {
      const chunk = key.slice(keys.length);
      if (isWhole(chunk)) yield* walk(rows, into(chunk), "", undefined);
      else yield bytes;
    }
    if (page.length < pageRows) return;
    from = page.at(-1)?.key;
  }
}

/** The rows of one name: its full chunks, and the one that holds what is kept. */
function pathOf(partition: number, name: string): { readonly chunks: readonly string[]; readonly leaf: string } {
  const chunks: string[] = [];
  let head = "";
  for (let text = ordered(name); ; ) {
    const { chunk, rest } = cut(text);
    const key = keyOf({ partition, head }, chunk);
    if (rest === undefined) return { chunks, leaf: key };
    chunks.push(key);
    head += chunk;
    text = rest;
  }
}

function keyOf({ partition, head }: Space, chunk: string): string {
  return head === "" ? `name/${partition}/${chunk}` : `rest/${partition}/${digestOf(head)}/${chunk}`;
}

function digestOf(head: string): string {
  return createHash("sha256").update(head).digest("hex").slice(0, 32);
}

/** The shortest beginning of 400 bytes, and what follows it; `rest` undefined: the text is shorter. */
function cut(text: string): { readonly chunk: string; readonly rest: string | undefined } {
  let bytes = 0;
  let length = 0;
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    length += character.length;
    if (bytes >= chunkBytesMin) return { chunk: text.slice(0, length), rest: text.slice(length) };
  }
  return { chunk: text, rest: undefined };
}

function isWhole(chunk: string): boolean {
  return chunk.length * 3 >= chunkBytesMin && Buffer.byteLength(chunk) >= chunkBytesMin;
}

function count(rows: KeyedTransaction, key: string, by: 1 | -1): void {
  const names = Number(Buffer.from(rows.get(key) ?? []).toString()) + by;
  if (names > 0) rows.put(key, Buffer.from(String(names)));
  else rows.delete(key);
}

/**
 * Keys are in the order of their UTF-16 units, names in that of their UTF-8 bytes: the two differ only above U+D7FF, so characters from
 * there on get one more in front that puts them in their place.
 */
function ordered(name: string): string {
  return name.replaceAll(/[\u{E000}-\u{10FFFF}]/gu, (character) => (character.length === 1 ? `\uE000${character}` : `\uE001${character}`));
}
