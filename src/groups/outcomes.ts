import { ByteReader, ByteWriter } from "../wire/index.ts";
import { type EntryBody, readOutcome, sameBytes, writeOutcome } from "./entry.ts";
import { malformed } from "./errors.ts";
import { type RowChange, tables } from "./group-log.ts";
import type { CarriedRow } from "./messages.ts";
import type { GroupLimits } from "./options.ts";
import type { Outcome, Position, RequestId } from "./ports.ts";

/** A committed outcome, kept until its caller says that it has it, or has gone. */
export interface Recorded {
  readonly outcome: Outcome;
  readonly position: Position;
  /** Empty: whatever was sent under this id, it is this outcome. */
  readonly digest: Uint8Array;
  /** What it goes along with, where keys are shared among groups. */
  readonly slot?: number | undefined;
}

/**
 * What becomes of a copy that arrives now. `ending`: its lease's end is ordered and not committed yet.
 * `outcomes-full-yet`: there is no room, but its `low` makes some, once it is in the log.
 */
export type Verdict =
  | { readonly kind: "fresh" | "reused" | "expired" | "ending" | "window-full" | "too-many-leases" | "outcomes-full" | "outcomes-full-yet" }
  | { readonly kind: "recorded"; readonly recorded: Recorded };

/** A caller, and its outcomes by sequence. */
interface Lease {
  low: number;
  revision: string;
  readonly outcomes: Map<number, Recorded>;
  bytes: number;
}

type RequestBody = Extract<EntryBody, { kind: "request" }>;
const expired = { kind: "expired" } as const;

/**
 * Which writes have their outcome. It follows from the committed entries alone, so all members forget the same outcomes at the
 * same entry, and whoever takes over knows what the one before it knew. What the synchronising host has ordered and not
 * committed (`ahead`) counts for its own decisions only.
 */
export class Outcomes {
  readonly #limits: GroupLimits;
  readonly #leases = new Map<string, Lease>();
  /** Ended leases and the index of the entry that said so, oldest first. */
  readonly #ended = new Map<string, number>();
  readonly #aheadLow = new Map<string, number>();
  /** With the revision where their lease was given. */
  readonly #aheadNew = new Map<string, string>();
  readonly #aheadEnded = new Set<string>();
  readonly #writer = new ByteWriter(256);
  #bytes = 0;
  #count = 0;

  constructor(limits: GroupLimits) {
    this.#limits = limits;
  }

  get leases(): number {
    return this.#leases.size;
  }

  get count(): number {
    return this.#count;
  }

  /** Callers with the revision where their lease was given, to look whether they are still there; also those of whom the first entry is ordered only. */
  *callers(): Iterable<readonly [lease: string, revision: string]> {
    for (const [lease, { revision }] of this.#leases) if (!this.#aheadEnded.has(lease)) yield [lease, revision];
    for (const [lease, revision] of this.#aheadNew) if (!this.#aheadEnded.has(lease)) yield [lease, revision];
  }

  isEnded(lease: string): boolean {
    return this.#ended.has(lease);
  }

  /** `digest` undefined: somebody asks what became of the request. */
  judge(id: RequestId, low: number, digest: Uint8Array | undefined): Verdict {
    if (this.#ended.has(id.lease)) return expired;
    const lease = this.#leases.get(id.lease);
    const recorded = lease?.outcomes.get(id.sequence);
    if (recorded !== undefined) {
      const isOther = digest !== undefined && recorded.digest.length > 0 && !sameBytes(digest, recorded.digest);
      return isOther ? { kind: "reused" } : { kind: "recorded", recorded };
    }
    const lowest = Math.max(lease?.low ?? 0, this.#aheadLow.get(id.lease) ?? 0);
    if (id.sequence < lowest) return expired;
    if (this.#aheadEnded.has(id.lease)) return { kind: "ending" };
    if (id.sequence - Math.max(lowest, low) >= this.#limits.windowMax) return { kind: "window-full" };
    const isNew = lease === undefined && !this.#aheadNew.has(id.lease);
    if (isNew && this.#leases.size + this.#aheadNew.size >= this.#limits.leasesMax) return { kind: "too-many-leases" };
    // Who only asks gets an outcome without bytes.
    if (digest === undefined || this.#bytes < this.#limits.outcomeBytesMax) return { kind: "fresh" };
    const freed = bytesBelow(lease, Math.max(lowest, low));
    if (this.#bytes - freed < this.#limits.outcomeBytesMax) return { kind: "fresh" };
    return { kind: low > lowest && freed > bytesBelow(lease, lowest) ? "outcomes-full-yet" : "outcomes-full" };
  }

  /** The synchronising host has ordered something of this lease. */
  orderedAhead(lease: string, low: number, revision: string): void {
    this.#aheadLow.set(lease, Math.max(low, this.#aheadLow.get(lease) ?? 0));
    if (!this.#leases.has(lease)) this.#aheadNew.set(lease, revision);
  }

  endedAhead(lease: string): void {
    this.#aheadEnded.add(lease);
  }

  /** It orders no more, or all of that is committed. */
  forgetAhead(): void {
    this.#aheadLow.clear();
    this.#aheadNew.clear();
    this.#aheadEnded.clear();
  }

  /** Takes a committed entry in; returns the rows that change. */
  install(position: Position, body: EntryBody): RowChange[] {
    switch (body.kind) {
      case "opened":
      case "slot":
        return [];
      case "lease-ended":
        return this.#end(position.index, body.lease);
      case "request":
        return this.#record(position, body);
    }
  }

  #record(position: Position, { id, slot, low, leaseRevision, digest, outcome }: RequestBody): RowChange[] {
    if (this.#ended.has(id.lease)) return [];
    let lease = this.#leases.get(id.lease);
    const changes: RowChange[] = [];
    if (lease === undefined) {
      lease = { low: 0, revision: leaseRevision, outcomes: new Map(), bytes: 0 };
      this.#leases.set(id.lease, lease);
      this.#aheadNew.delete(id.lease);
    }
    const isRaised = low > lease.low;
    if (isRaised) this.#raise(id.lease, lease, low, changes);
    if (isRaised || lease.revision !== leaseRevision) {
      lease.revision = leaseRevision;
      changes.push({ table: tables.leases, key: id.lease, bytes: this.#encodeLease(lease) });
    }
    if (id.sequence < lease.low) return changes;
    // Copies, so that a short answer does not keep its whole entry in memory.
    const kept = outcome.kind === "abandoned" ? outcome : { kind: outcome.kind, bytes: new Uint8Array(outcome.bytes) };
    const recorded = { outcome: kept, position, digest: new Uint8Array(digest), slot };
    this.#keep(lease, id.sequence, recorded);
    changes.push({ table: tables.outcomes, key: outcomeKey(id), bytes: this.#encodeRecorded(recorded) });
    return changes;
  }

  #keep(lease: Lease, sequence: number, recorded: Recorded): void {
    keep(lease, sequence, recorded);
    this.#bytes += sizeOf(recorded);
    this.#count++;
  }

  #raise(name: string, lease: Lease, low: number, changes: RowChange[]): void {
    const drop = (sequence: number, recorded: Recorded): void => {
      lease.outcomes.delete(sequence);
      lease.bytes -= sizeOf(recorded);
      this.#bytes -= sizeOf(recorded);
      this.#count--;
      changes.push({ table: tables.outcomes, key: outcomeKey({ lease: name, sequence }), bytes: undefined });
    };
    if (low - lease.low <= lease.outcomes.size) {
      for (let sequence = lease.low; sequence < low; sequence++) {
        const recorded = lease.outcomes.get(sequence);
        if (recorded !== undefined) drop(sequence, recorded);
      }
    } else for (const [sequence, recorded] of lease.outcomes) if (sequence < low) drop(sequence, recorded);
    lease.low = low;
  }

  #end(index: number, name: string): RowChange[] {
    const changes: RowChange[] = [];
    const lease = this.#leases.get(name);
    if (lease !== undefined) this.#raise(name, lease, Number.MAX_SAFE_INTEGER, changes);
    this.#leases.delete(name);
    this.#aheadLow.delete(name);
    this.#aheadEnded.delete(name);
    this.#aheadNew.delete(name);
    this.#ended.set(name, index);
    changes.push({ table: tables.leases, key: name, bytes: this.#encodeEnd(index) });
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= this.#limits.endedMax) break;
      this.#ended.delete(oldest);
      changes.push({ table: tables.leases, key: oldest, bytes: undefined });
    }
    return changes;
  }

  /** Everything, as rows of the store. */
  *rows(): Iterable<CarriedRow> {
    for (const [name, lease] of this.#leases) {
      yield { table: tables.leases, key: name, bytes: this.#encodeLease(lease) };
      for (const [sequence, recorded] of lease.outcomes)
        yield { table: tables.outcomes, key: outcomeKey({ lease: name, sequence }), bytes: this.#encodeRecorded(recorded) };
    }
    for (const [name, index] of this.#ended) yield { table: tables.leases, key: name, bytes: this.#encodeEnd(index) };
  }

  /** Replaces everything. Throws `wire/*` or `groups/malformed`, and then nothing has changed. */
  load(rows: Iterable<CarriedRow>): void {
    this.replace(decodeOutcomes(rows));
  }

  /** Replaces everything by what `decodeOutcomes` has read, which is used up by it. */
  replace({ leases, ended }: LoadedOutcomes): void {
    this.#leases.clear();
    this.#ended.clear();
    this.forgetAhead();
    this.#bytes = 0;
    this.#count = 0;
    for (const [name, index] of ended) this.#ended.set(name, index);
    for (const [name, lease] of leases) {
      this.#leases.set(name, lease);
      this.#bytes += lease.bytes;
      this.#count += lease.outcomes.size;
    }
  }

  /** The outcomes of a slot behind a key, in order, the row of each caller before its first one. */
  *ofSlot(slot: number, after: string): Iterable<CarriedRow> {
    const slash = after.lastIndexOf("/");
    const [afterLease, afterSequence] = slash < 0 ? ["", 0] : [after.slice(0, slash), Number(after.slice(slash + 1))];
    for (const name of [...this.#leases.keys()].filter((one) => one >= afterLease).sort(byText)) {
      const lease = this.#leases.get(name);
      if (lease === undefined) continue;
      const isOf = (sequence: number): boolean => name !== afterLease || sequence > afterSequence;
      const sequences = [...lease.outcomes].filter(([sequence, recorded]) => recorded.slot === slot && isOf(sequence));
      if (sequences.length > 0) yield { table: tables.leases, key: name, bytes: this.#encodeLease(lease) };
      for (const [sequence, recorded] of sequences.sort(([a], [b]) => a - b))
        yield { table: tables.outcomes, key: outcomeKey({ lease: name, sequence }), bytes: this.#encodeRecorded(recorded) };
    }
  }

  /** All callers behind a name, in order: up to where their outcomes are forgotten, or that they have gone. */
  *ofCallers(after: string): Iterable<CarriedRow> {
    const names = [...this.#leases.keys(), ...this.#ended.keys()].filter((name) => name > after).sort(byText);
    for (const name of names) {
      const lease = this.#leases.get(name);
      const bytes = lease === undefined ? this.#encodeEnd(this.#ended.get(name) ?? 0) : this.#encodeLease(lease);
      yield { table: tables.leases, key: name, bytes };
    }
  }

  /** Takes over what another group knew of a slot. What either has forgotten stays forgotten. */
  adopt(position: Position, slot: number, rows: readonly CarriedRow[]): RowChange[] {
    const { leases, ended } = decodeOutcomes(rows);
    const changes: RowChange[] = [];
    for (const [name] of ended) if (!this.#ended.has(name)) changes.push(...this.#end(position.index, name));
    for (const [name, { low, revision, outcomes }] of leases) {
      if (this.#ended.has(name)) continue;
      const known = this.#leases.get(name);
      const lease = known ?? { low: 0, revision, outcomes: new Map(), bytes: 0 };
      if (known === undefined) {
        this.#leases.set(name, lease);
        this.#aheadNew.delete(name);
      }
      const isNews = known === undefined || low > lease.low;
      if (low > lease.low) this.#raise(name, lease, low, changes);
      if (isNews) changes.push({ table: tables.leases, key: name, bytes: this.#encodeLease(lease) });
      for (const [sequence, { outcome, digest }] of outcomes) {
        if (sequence < lease.low || lease.outcomes.has(sequence)) continue;
        const recorded = { outcome, position, digest: new Uint8Array(digest), slot };
        this.#keep(lease, sequence, recorded);
        changes.push({ table: tables.outcomes, key: outcomeKey({ lease: name, sequence }), bytes: this.#encodeRecorded(recorded) });
      }
    }
    return changes;
  }

  /** The outcomes of a slot are another group's to tell. */
  dropSlot(slot: number): RowChange[] {
    const changes: RowChange[] = [];
    for (const [name, lease] of this.#leases)
      for (const [sequence, recorded] of lease.outcomes) {
        if (recorded.slot !== slot) continue;
        lease.outcomes.delete(sequence);
        lease.bytes -= sizeOf(recorded);
        this.#bytes -= sizeOf(recorded);
        this.#count--;
        changes.push({ table: tables.outcomes, key: outcomeKey({ lease: name, sequence }), bytes: undefined });
      }
    return changes;
  }

  #encodeLease({ low, revision }: Lease): Uint8Array {
    this.#writer.u8(0);
    this.#writer.varint(low);
    this.#writer.string(revision);
    return this.#writer.take();
  }

  #encodeEnd(index: number): Uint8Array {
    this.#writer.u8(1);
    this.#writer.varint(index);
    return this.#writer.take();
  }

  #encodeRecorded({ outcome, position, digest, slot }: Recorded): Uint8Array {
    const writer = this.#writer;
    writer.varint(position.epoch);
    writer.varint(position.index);
    writer.u8(digest.length);
    writer.bytes(digest);
    writeOutcome(writer, outcome);
    if (slot !== undefined) writer.varint(slot);
    return writer.take();
  }
}

/** What rows of the store say. */
export interface LoadedOutcomes {
  readonly leases: ReadonlyMap<string, Lease>;
  /** Oldest first. */
  readonly ended: readonly (readonly [lease: string, index: number])[];
}

/** Throws `wire/*` or `groups/malformed`; passes over rows of other tables. */
export function decodeOutcomes(rows: Iterable<CarriedRow>): LoadedOutcomes {
  const leases = new Map<string, Lease>();
  const ended = new Map<string, number>();
  const recorded: CarriedRow[] = [];
  for (const row of rows) {
    if (row.table === tables.outcomes) recorded.push(row);
    if (row.table !== tables.leases) continue;
    if (leases.has(row.key) || ended.has(row.key)) throw malformed("a lease comes twice");
    const reader = new ByteReader(row.bytes);
    const kind = reader.u8();
    if (kind > 1) throw malformed("a lease of an unknown kind");
    if (kind === 1) ended.set(row.key, reader.varint());
    else leases.set(row.key, { low: reader.varint(), revision: reader.string(), outcomes: new Map(), bytes: 0 });
    reader.end();
  }
  for (const { key, bytes } of recorded) {
    const slash = key.lastIndexOf("/");
    const sequence = Number(key.slice(slash + 1));
    if (slash < 1 || !Number.isSafeInteger(sequence) || sequence < 1) throw malformed("an outcome of no request");
    const lease = leases.get(key.slice(0, slash));
    if (lease?.outcomes.has(sequence) === true) throw malformed("an outcome comes twice");
    const one = decodeRecorded(bytes);
    if (lease !== undefined) keep(lease, sequence, one);
  }
  return { leases, ended: [...ended].sort(([, a], [, b]) => a - b) };
}

function keep(lease: Lease, sequence: number, recorded: Recorded): void {
  lease.outcomes.set(sequence, recorded);
  lease.bytes += sizeOf(recorded);
}

/** Bytes of the outcomes of a lease before `low`. */
function bytesBelow(lease: Lease | undefined, low: number): number {
  let bytes = 0;
  for (const [sequence, recorded] of lease?.outcomes ?? []) if (sequence < low) bytes += sizeOf(recorded);
  return bytes;
}

function decodeRecorded(bytes: Uint8Array): Recorded {
  const reader = new ByteReader(bytes);
  const position = { epoch: reader.varint(), index: reader.varint() };
  const digest = reader.bytes(reader.u8());
  const outcome = readOutcome(reader);
  const slot = reader.remaining > 0 ? reader.varint() : undefined;
  reader.end();
  return { position, digest, outcome, slot };
}

function byText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function outcomeKey({ lease, sequence }: RequestId): string {
  return `${lease}/${sequence}`;
}

/** With what it costs to keep anything at all. */
function sizeOf({ outcome }: Recorded): number {
  return 128 + (outcome.kind === "abandoned" ? 0 : outcome.bytes.length);
}
