import { assert } from "../kernel/index.ts";
import type { Entry } from "./entry.ts";
import type { Position } from "./ports.ts";

/** The kept part of a log in memory: entries base + 1 … end, without gaps. */
export class EntryList {
  #base: Position = { epoch: 0, index: 0 };
  #entries: (Entry | undefined)[] = [];
  /** Bytes of all entries up to each of `#entries`, counted since the list was begun. */
  #sums: number[] = [];
  #sumBefore = 0;
  /** Dropped ones at the front of the arrays; cut off together now and then. */
  #dropped = 0;

  /** The last entry that was dropped, or what a snapshot stands for. */
  get base(): Position {
    return this.#base;
  }

  get end(): number {
    return this.#base.index + this.#entries.length - this.#dropped;
  }

  get last(): Position {
    const entry = this.#entries[this.#entries.length - 1];
    return this.#entries.length === this.#dropped || entry === undefined ? this.#base : { epoch: entry.epoch, index: entry.index };
  }

  at(index: number): Entry | undefined {
    return index <= this.#base.index ? undefined : this.#entries[index - this.#base.index - 1 + this.#dropped];
  }

  /** Undefined for what is not known any more, or not yet. */
  epochAt(index: number): number | undefined {
    return index === this.#base.index ? this.#base.epoch : this.at(index)?.epoch;
  }

  has({ epoch, index }: Position): boolean {
    return this.epochAt(index) === epoch;
  }

  append(entry: Entry): void {
    assert(entry.index === this.end + 1, `entry ${entry.index} follows ${this.end}`);
    this.#entries.push(entry);
    this.#sums.push(this.#sumAt(this.end - 1) + entry.bytes.length);
  }

  /** Drops what comes after `end`. */
  cut(end: number): void {
    assert(end >= this.#base.index, "only kept entries are cut off");
    this.#entries.length = end - this.#base.index + this.#dropped;
    this.#sums.length = this.#entries.length;
  }

  /** Drops what comes before, `index` included. */
  dropTo(index: number): void {
    if (index <= this.#base.index) return;
    const entry = this.at(index);
    assert(entry !== undefined, "only kept entries are dropped");
    this.#sumBefore = this.#sumAt(index);
    const dropped = this.#dropped + index - this.#base.index;
    this.#entries.fill(undefined, this.#dropped, dropped);
    this.#dropped = dropped;
    this.#base = { epoch: entry.epoch, index };
    if (this.#dropped < 1024 || this.#dropped * 2 < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#dropped);
    this.#sums = this.#sums.slice(this.#dropped);
    this.#dropped = 0;
  }

  reset(base: Position): void {
    this.#base = base;
    this.#entries = [];
    this.#sums = [];
    this.#sumBefore = 0;
    this.#dropped = 0;
  }

  /** Bytes of the entries after `from` up to `to`. */
  bytesBetween(from: number, to: number): number {
    return this.#sumAt(to) - this.#sumAt(from);
  }

  /** Entries after `after` up to `to`, closed at `bytesMax`; at least one if there is one. */
  slice(after: number, to: number, bytesMax: number): Entry[] {
    const entries: Entry[] = [];
    let bytes = 0;
    for (let index = after + 1; index <= to; index++) {
      const entry = this.at(index);
      if (entry === undefined || (entries.length > 0 && bytes + entry.bytes.length > bytesMax)) break;
      entries.push(entry);
      bytes += entry.bytes.length;
    }
    return entries;
  }

  /** The oldest index that must stay when at most so many bytes and entries are kept; never more than `to` + 1. */
  keepFrom(to: number, bytesMax: number, entriesMax: number): number {
    let from = Math.max(this.#base.index + 1, this.end - entriesMax + 1);
    while (from <= to && this.bytesBetween(from - 1, this.end) > bytesMax) from++;
    return Math.min(from, to + 1);
  }

  #sumAt(index: number): number {
    if (index <= this.#base.index) return this.#sumBefore;
    return this.#sums[index - this.#base.index - 1 + this.#dropped] ?? this.#sumBefore;
  }
}
