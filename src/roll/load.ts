import { MusterError } from "../kernel/index.ts";
import type { Replica, StagedLoad, StoredRow } from "../tables/index.ts";
import { ByteReader, ByteWriter } from "../wire/index.ts";
import { type Range, touches } from "./interest.ts";

const record = { put: 0, keep: 1, remove: 2 } as const;

/**
 * One range of the roll on its way to a child that cannot be served from the ring. Rows go out in key order while changes
 * go on; what changes meanwhile is remembered by key and sent again at the end, so the load needs no frozen copy, no
 * ring, and memory only for keys. The child shows nothing before the end mark.
 */
export class OutgoingLoad {
  readonly ranges: readonly Range[];
  readonly #replica: Replica;
  /** Rows at or below this sequence are right at the child already and travel as their key only. */
  readonly #keepBelow: number;
  readonly #dirty = new Map<string, { readonly table: number; readonly key: string }>();
  readonly #writer: ByteWriter;
  readonly #rows: Iterator<StoredRow>;
  readonly #partBytes: number;
  /** The table that the walk is in. */
  #table = 0;
  #walked = false;

  constructor(options: {
    readonly replica: Replica;
    readonly ranges: readonly Range[];
    readonly keepBelow: number;
    readonly partBytes: number;
  }) {
    this.#partBytes = options.partBytes;
    // A part and the row that makes it full, so that the usual part is written where it stays.
    this.#writer = new ByteWriter(options.partBytes + 4096);
    this.ranges = options.ranges;
    this.#replica = options.replica;
    this.#keepBelow = options.keepBelow;
    this.#rows = this.#walk();
  }

  /** A row changed while the load is under way. */
  touched(table: number, tableName: string, key: string): void {
    if (touches(this.ranges, tableName, key)) this.#dirty.set(`${table}\u0000${key}`, { table, key });
  }

  get dirty(): number {
    return this.#dirty.size;
  }

  *#walk(): Iterator<StoredRow> {
    for (const table of this.#replica.tableNumbers()) {
      this.#table = table;
      const name = this.#replica.tableByNumber(table)?.name;
      for (const { table: wanted, prefix } of this.ranges) {
        if (wanted !== "*" && wanted !== name) continue;
        const first = prefix === "" ? undefined : this.#replica.row(table, prefix);
        if (first !== undefined) yield first;
        for (const row of this.#replica.entries(table, prefix)) {
          if (!row.key.startsWith(prefix)) break;
          yield row;
        }
      }
    }
  }

  /**
   * The next part, or undefined when there is nothing left but the end mark. After undefined nothing may run before the
   * end mark is queued, or a change would be missed.
   */
  next(): Uint8Array | undefined {
    const writer = this.#writer;
    while (!this.#walked && writer.length < this.#partBytes) {
      const { done, value } = this.#rows.next();
      if (done === true) this.#walked = true;
      else if (this.#dirty.size === 0 || !this.#dirty.has(`${this.#table}\u0000${value.key}`)) this.#write(this.#table, value.key, value);
    }
    if (this.#walked)
      for (const [name, { table, key }] of this.#dirty) {
        if (writer.length >= this.#partBytes) break;
        this.#dirty.delete(name);
        this.#write(table, key, this.#replica.row(table, key));
      }
    return writer.length > 0 ? writer.take() : undefined;
  }

  #write(table: number, key: string, row: StoredRow | undefined): void {
    const writer = this.#writer;
    if (row === undefined) writer.u8(record.remove);
    else if (row.sequence <= this.#keepBelow) writer.u8(record.keep);
    else writer.u8(record.put);
    writer.varint(table);
    writer.string(key);
    if (row === undefined || row.sequence <= this.#keepBelow) return;
    writer.varint(row.epoch);
    writer.varint(row.sequence);
    writer.u8(row.flag ? 1 : 0);
    writer.varint(row.incarnation);
    writer.string(row.owner);
    writer.string(row.text);
  }
}

/** Reads one part into the staging; throws `wire/*` or `roll/bad-load` on anything else. */
export function readLoadPart(body: Uint8Array, load: StagedLoad): void {
  const reader = new ByteReader(body);
  while (reader.remaining > 0) {
    const kind = reader.u8();
    const table = reader.varint();
    const key = reader.string();
    switch (kind) {
      case record.put: {
        const epoch = reader.varint();
        const sequence = reader.varint();
        const valid = reader.u8() === 1;
        const incarnation = reader.varint();
        const owner = reader.string();
        load.put(table, key, reader.string(), valid, owner, incarnation, epoch, sequence);
        break;
      }
      case record.keep:
        load.keep(table, key);
        break;
      case record.remove:
        load.remove(table, key);
        break;
      default:
        throw new MusterError("roll/bad-load", `a load holds a record of unknown kind ${kind}`);
    }
  }
}
