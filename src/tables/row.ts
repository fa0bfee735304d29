import { EntryView } from "./entry.ts";
import type { HostRows } from "./host-rows.ts";
import type { TableRows } from "./table-rows.ts";

/** A row as it is stored and sent: what the directory wrote, without what replicas derive. */
export interface StoredRow {
  readonly key: string;
  /** The value as canonical JSON. */
  readonly text: string;
  /** The row's own validity, whatever its host does. */
  readonly flag: boolean;
  readonly epoch: number;
  readonly sequence: number;
  /** "" for a standing entry. */
  readonly owner: string;
  /** 0 for a standing entry. */
  readonly incarnation: number;
}

export const removedMark = -1;

/**
 * One row in memory. It is changed in place, so that updating a row touches neither the map of keys nor the sorted
 * index, and it knows its host's rows through links of its own, so that a host's end finds them without another index.
 * A million of these are the replica: every field costs 8 MB.
 */
export class Row implements StoredRow {
  readonly table: TableRows;
  readonly key: string;
  text: string;
  flag: boolean;
  epoch: number;
  sequence: number;
  owner: string;
  incarnation: number;
  host: HostRows | undefined = undefined;
  previousOnHost: Row | undefined = undefined;
  nextOnHost: Row | undefined = undefined;
  /** What was handed out last; stale when the host's state differs from what it shows. */
  view: EntryView | undefined = undefined;
  /** The number of the load that last mentioned the row; `removedMark` once it is out of its table. */
  mark = 0;

  constructor(
    table: TableRows,
    key: string,
    text: string,
    flag: boolean,
    epoch: number,
    sequence: number,
    owner: string,
    incarnation: number,
  ) {
    this.table = table;
    this.key = key;
    this.text = text;
    this.flag = flag;
    this.epoch = epoch;
    this.sequence = sequence;
    this.owner = owner;
    this.incarnation = incarnation;
  }

  /** The validity that everybody sees. */
  get valid(): boolean {
    return this.flag && (this.host === undefined || this.host.alive);
  }

  /** The frozen view of the row as it is now; `keep` remembers it for the next caller. */
  entry(keep = true): EntryView {
    const valid = this.valid;
    const known = this.view;
    if (known !== undefined && known.valid === valid) return known;
    const owner = this.owner === "" ? null : this.owner;
    const view = new EntryView(this.table.name, this.key, this.text, valid, this.epoch, this.sequence, owner);
    if (keep) this.view = view;
    return view;
  }
}
