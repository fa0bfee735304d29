import type { StoreBatch } from "../../../src/storage/index.ts";
import { type GroupRow, parseGroupRow, parseText, tableNumbers } from "../../../src/tables/index.ts";
import { decodeChanges } from "../../../src/wire/index.ts";
import { violation } from "./violation.ts";

/** A row as the history knows it. */
export interface KnownRow {
  readonly text: string;
  readonly valid: boolean;
  readonly owner: string;
  readonly incarnation: number;
  readonly epoch: number;
  readonly sequence: number;
}

interface Version {
  readonly sequence: number;
  readonly row: KnownRow | undefined;
}

/**
 * What was committed, in order, and from it the state of the whole roll at any revision: the truth that every node is
 * compared with. It is written by the store itself at the instant a commit becomes durable.
 */
export class History {
  readonly #versions = new Map<string, Version[]>();
  /** Every write in order. */
  #writes: { readonly sequence: number; readonly name: string }[] = [];
  /** Rows that name members, of which one is the primary. */
  readonly #memberRows = new Set<string>();
  readonly #sessions = new Map<number, Uint8Array>();
  /** Told of each bound entry, or host, that a change makes invalid. */
  invalidated: (table: number, key: string, row: KnownRow) => void = () => {};
  #last = 0;
  #epoch = 0;
  changes = 0;
  reigns = 0;
  rebased = 0;
  /** Epochs that ordering groups went through. */
  groupEpochs = 0;

  get last(): number {
    return this.#last;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** All keys that ever were. */
  keys(): IterableIterator<string> {
    return this.#versions.keys();
  }

  at(name: string, sequence: number): KnownRow | undefined {
    const versions = this.#versions.get(name);
    if (versions === undefined) return undefined;
    for (let index = versions.length - 1; index >= 0; index--) {
      const version = versions[index];
      if (version !== undefined && version.sequence <= sequence) return version.row;
    }
    return undefined;
  }

  /** The rows written after `from` and up to `to`; some of them more than once. */
  *writtenBetween(from: number, to: number): Iterable<string> {
    let low = 0;
    let high = this.#writes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#writes[middle]?.sequence ?? 0) <= from) low = middle + 1;
      else high = middle;
    }
    for (let index = low; index < this.#writes.length; index++) {
      const write = this.#writes[index];
      if (write === undefined || write.sequence > to) return;
      yield write.name;
    }
  }

  /** The writers as they are kept, and how many outcomes of each. */
  *sessions(): Iterable<{ readonly id: number; readonly outcomes: number }> {
    for (const [id, bytes] of this.#sessions) {
      const stored: { outcomes: readonly unknown[] } = JSON.parse(Buffer.from(bytes).toString());
      yield { id, outcomes: stored.outcomes.length };
    }
  }

  /** How often a row was written: once for a mark, which nobody else writes and nobody deletes. */
  writes(name: string): number {
    return this.#versions.get(name)?.filter(({ row }) => row !== undefined).length ?? 0;
  }

  firstSequence(name: string): number | undefined {
    return this.#versions.get(name)?.find(({ row }) => row !== undefined)?.sequence;
  }

  /** A change became durable. */
  committed(bytes: Uint8Array): void {
    let epoch = 0;
    let sequence = 0;
    const put = (table: number, key: string, row: KnownRow | undefined) => {
      const name = `${table}\u0000${key}`;
      if (table === tableNumbers.groups && row !== undefined) this.#checkEpoch(key, this.at(name, sequence), row);
      const versions = this.#versions.get(name);
      if (versions === undefined) this.#versions.set(name, [{ sequence, row }]);
      else versions.push({ sequence, row });
      this.#writes.push({ sequence, name });
      if (row?.text.startsWith('{"members":') === true) this.#memberRows.add(name);
    };
    decodeChanges(bytes, {
      begin: (e, s) => {
        epoch = e;
        sequence = s;
        if (s !== this.#last + 1) violation("I2", `revision ${e}.${s} follows ${this.#epoch}.${this.#last}`);
        if (e < this.#epoch) violation("I3", `epoch ${e} follows ${this.#epoch}`);
        if (e > this.#epoch) this.reigns++;
        this.#last = s;
        this.#epoch = e;
        this.changes++;
      },
      put: (table, key, text, valid, owner, incarnation) => {
        const before = this.at(`${table}\u0000${key}`, sequence);
        if (before?.valid === true && !valid) this.invalidated(table, key, before);
        if (incarnation > 0 && before !== undefined && incarnation < before.incarnation)
          violation("I9", `${key} goes back to incarnation ${incarnation} from ${before.incarnation} at ${sequence}`);
        put(table, key, { text, valid, owner, incarnation, epoch, sequence });
      },
      setValid: (table, key, valid) => {
        const before = this.at(`${table}\u0000${key}`, sequence);
        if (before?.valid === true && !valid) this.invalidated(table, key, before);
        if (before !== undefined) put(table, key, { ...before, valid, epoch, sequence });
      },
      remove: (table, key) => put(table, key, undefined),
      end: () => this.#checkPrimaries(),
    });
  }

  readonly #primaries = new Map<string, string>();

  /** Epochs of a group go up one by one; far beyond only where the roll that a reign began with may have been older than its fleet. */
  #checkEpoch(key: string, before: KnownRow | undefined, row: KnownRow): void {
    this.groupEpochs++;
    const [from, to] = [before === undefined ? undefined : groupIn(before).epoch, groupIn(row).epoch];
    if (from === undefined || to === from + 1 || (to > from && to % 1_000_000 === 0 && this.rebased > 0)) return;
    violation("I10", `the group ${key} went from epoch ${from} to ${to} at ${this.#last}`);
  }

  /** The ordering group of a service instance: nobody invalid is left in it beside somebody valid. */
  #groupOf(instance: string, isUp: (key: string) => boolean): GroupRow | undefined {
    const row = this.at(`${tableNumbers.groups}\u0000metadata/${instance}`, this.#last);
    if (row === undefined) return undefined;
    const group = groupIn(row);
    const gone = group.members.filter(({ server }) => !isUp(server));
    if (gone.length > 0 && gone.length < group.members.length)
      violation("I10", `the group of ${instance} names ${gone[0]?.server}, which is not valid, beside one that is, at ${this.#last}`);
    return group;
  }

  /** Nobody loses its place as primary while it is valid, and nobody gets it back by itself. */
  #checkPrimaries(): void {
    for (const name of this.#memberRows) {
      const row = this.at(name, this.#last);
      if (row?.text.startsWith('{"members":') !== true) continue;
      const members: { members: string[] } = JSON.parse(row.text);
      const table = name.slice(0, name.indexOf("\u0000"));
      const isUp = (key: string) => {
        const member = this.at(`${table}\u0000${key}`, this.#last);
        if (member?.valid !== true) return false;
        const route: { host?: string } = JSON.parse(member.text);
        return this.at(`${tableNumbers.hosts}\u0000${route.host}`, this.#last)?.valid !== false;
      };
      const group = this.#groupOf(name.slice(name.indexOf("\u0000") + 1), isUp);
      const { synchronising = "" } = group ?? {};
      const primary = group === undefined ? members.members.find(isUp) : isUp(synchronising) ? synchronising : undefined;
      const before = group === undefined ? this.#primaries.get(name) : undefined;
      if (before !== undefined && primary !== before && isUp(before) && members.members.includes(before))
        violation("I10", `${name} moved from ${before}, which is valid, to ${primary} at ${this.#last}`);
      if (primary === undefined) this.#primaries.delete(name);
      else this.#primaries.set(name, primary);
    }
  }

  #suspended = false;

  /** What is committed from now on is no part of this history: the directory runs on a wrong disk. */
  suspend(then: () => void): void {
    this.#suspended = true;
    then();
  }

  resume(last: number): void {
    this.#suspended = false;
    this.#last = last;
  }

  /** A batch became durable, at this instant, whether or not its directory ever hears of it. */
  durable(batch: StoreBatch): void {
    if (this.#suspended) return;
    const { log = [], entries = [], meta } = batch;
    for (const { session, bytes } of batch.sessions ?? []) {
      if (bytes === undefined) this.#sessions.delete(session);
      else this.#sessions.set(session, bytes);
    }
    for (const { bytes } of log) this.committed(bytes);
    if (log.length > 0 || entries.length === 0 || meta === undefined) return;
    const stored: { last: { epoch: number; sequence: number } } = JSON.parse(Buffer.from(meta[0]?.[1] ?? []).toString());
    this.rebase(stored.last);
  }

  /** A directory that lost its store adopted a replica: what was newer than that is lost, and said to be. */
  rebase(last: { readonly epoch: number; readonly sequence: number }): void {
    this.rebased++;
    for (const versions of this.#versions.values()) while ((versions.at(-1)?.sequence ?? 0) > last.sequence) versions.pop();
    this.#writes = this.#writes.filter(({ sequence }) => sequence <= last.sequence);
    this.#last = last.sequence;
  }
}

function groupIn(row: KnownRow): GroupRow {
  return parseGroupRow(parseText(row.text));
}
