import type { StoredEntry } from "../storage/index.ts";
import type { CarriedRow, RowName } from "./messages.ts";
import { batchBytesMax } from "./options.ts";

/** What one batch carries of all this. */
export interface CopiesBatch {
  readonly entries: readonly { readonly table: number; readonly key: string; readonly bytes: Uint8Array | undefined }[];
  readonly generation: number | undefined;
  readonly staged: number;
  readonly swept: number;
}

/** Rows of one commit: the program stands still while it is written. */
const stagedRowsMax = 4096;
const sweptRowsMax = 4096;
/** Beside other work. */
const sweptRowsAside = 256;
/** Numbers of tables that one copy of the state takes in the store. */
const tablesMax = 8;
/** Of generations; after so many they begin again, and the rows of the first are long gone. */
const generationsMax = 2 ** 24;

/**
 * Copies of the state in one store, by generation: the one that counts, at most one on its way in, and leftovers. A copy that comes
 * from another server is written beside the old one, in commits of bounded size, and takes its place by one mark: so a crash at any
 * instant leaves the old state or the new one, whole, and no commit is longer than others. Then the old one is swept, a little at a time.
 */
export class StoredCopies {
  #current = 0;
  #newest = 0;
  /** On its way in. */
  #generation: number | undefined;
  #staged: CarriedRow[] = [];
  #taken = 0;
  #durable = 0;
  /** To be deleted, as they are called in the store. */
  #stale: RowName[] = [];
  #swept = 0;

  get current(): number {
    return this.#current;
  }

  /** Rows of the copy on its way in that are durable. */
  get durable(): number {
    return this.#durable;
  }

  /** Rows wait to be written. */
  get isStaging(): boolean {
    return this.#taken < this.#staged.length;
  }

  get isSweeping(): boolean {
    return this.#swept < this.#stale.length;
  }

  /** Returns the rows of the copy that counts; what is left of others goes. */
  open(generation: number, stored: Iterable<StoredEntry>): readonly CarriedRow[] {
    this.#current = generation;
    this.#newest = generation;
    const rows: CarriedRow[] = [];
    for (const { table, key, bytes } of stored) {
      const place = placeOf(table);
      if (place.generation === generation) rows.push({ table: place.table, key, bytes });
      else this.#stale.push({ table, key });
      if (place.generation > this.#newest) this.#newest = place.generation;
    }
    return rows;
  }

  /** The number of a table of the copy that counts. */
  tableOf(table: number): number {
    return this.#current * tablesMax + table;
  }

  /** Begins another copy; one that was on its way in goes. */
  begin(): void {
    this.drop();
    this.#newest = (this.#newest + 1) % generationsMax;
    this.#generation = this.#newest;
  }

  add(rows: readonly CarriedRow[]): void {
    for (const row of rows) this.#staged.push(row);
  }

  /** The copy on its way in comes to nothing. */
  drop(): void {
    const generation = this.#generation;
    if (generation === undefined) return;
    for (const { table, key } of this.#staged.slice(0, this.#taken)) this.#stale.push({ table: generation * tablesMax + table, key });
    this.#end();
  }

  /** What came in takes the place of the copy that counted, whose rows these are. All of it is durable. */
  adopt(old: Iterable<RowName>): void {
    for (const { table, key } of old) this.#stale.push({ table: this.tableOf(table), key });
    this.#current = this.#generation ?? this.#current;
    this.#end();
  }

  #end(): void {
    this.#generation = undefined;
    this.#staged = [];
    this.#taken = 0;
    this.#durable = 0;
  }

  /** What goes into the batch that begins. */
  take(): CopiesBatch {
    const generation = this.#generation;
    const entries: { table: number; key: string; bytes: Uint8Array | undefined }[] = [];
    const from = this.#taken;
    let bytes = 0;
    for (let row = this.#staged[from]; row !== undefined && generation !== undefined; row = this.#staged[this.#taken]) {
      bytes += row.bytes.length + row.key.length;
      if (this.#taken > from && (bytes > batchBytesMax || this.#taken - from >= stagedRowsMax)) break;
      entries.push({ table: generation * tablesMax + row.table, key: row.key, bytes: row.bytes });
      this.#taken++;
    }
    // As much goes as comes: a copy that is begun again and again does not fill the disk.
    const sweptMax = entries.length > 0 ? sweptRowsMax : sweptRowsAside;
    const stale = this.#stale.slice(this.#swept, this.#swept + sweptMax);
    for (const { table, key } of stale) entries.push({ table, key, bytes: undefined });
    return { entries, generation, staged: this.#taken - from, swept: stale.length };
  }

  /** The batch has become durable. */
  kept({ generation, staged, swept }: CopiesBatch): void {
    if (generation === this.#generation) this.#durable += staged;
    this.#swept += swept;
    if (this.#swept < this.#stale.length) return;
    this.#stale = [];
    this.#swept = 0;
  }

  /** Nothing of the batch was kept. */
  refused({ generation, staged }: CopiesBatch): void {
    if (generation === this.#generation) this.#taken -= staged;
  }
}

/** Which copy, and which of its tables, a table of the store is. */
export function placeOf(stored: number): { readonly generation: number; readonly table: number } {
  return { generation: Math.floor(stored / tablesMax), table: stored % tablesMax };
}
