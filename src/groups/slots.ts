import { slotsCount } from "../tables/index.ts";
import { ByteReader, ByteWriter } from "../wire/index.ts";
import type { CarriedRow } from "./carried-row.ts";
import { malformed } from "./errors.ts";
import type { RowChange } from "./group-log.ts";
import type { SlotClaim } from "./ports.ts";
import type { SlotStep } from "./slot-step.ts";
import { tables } from "./store-tables.ts";

/** What this group is to a slot. Whoever has never had it has no status. `revision` names the move that made it so, or the first map. */
export type SlotStatus =
  | { readonly kind: "owned"; readonly revision: number }
  /** `released`: the rows are gone, too. */
  | { readonly kind: "sealed" | "released"; readonly revision: number; readonly to: string }
  | {
      readonly kind: "adopting";
      readonly revision: number;
      readonly from: string;
      readonly cursor: string;
      readonly at: number;
      readonly isWhole: boolean;
      readonly digest: Uint8Array;
    };

/**
 * Whether a request of a slot may be ordered here. `hold`: not yet, because this member is behind what the caller has seen, or the slot is
 * about to come or go. `moved`: it is another group's; a map of this revision or a later one says whose.
 */
export type SlotVerdict = "own" | "hold" | { readonly moved: number };

const kinds = ["owned", "sealed", "released", "adopting"] as const;

/**
 * Which slots this group has. It follows from the committed entries alone: the map on the roll may say what it wants. A slot has one owner at
 * most, because only an owner seals it, the seal names the next one, and that one begins with what was sealed.
 */
export class Slots {
  readonly #statuses = new Map<number, SlotStatus>();
  readonly #writer = new ByteWriter(256);

  get size(): number {
    return this.#statuses.size;
  }

  of(slot: number): SlotStatus | undefined {
    return this.#statuses.get(slot);
  }

  entries(): Iterable<readonly [slot: number, status: SlotStatus]> {
    return this.#statuses;
  }

  judge({ slot, revision }: SlotClaim): SlotVerdict {
    const status = this.#statuses.get(slot);
    const since = status?.revision ?? 0;
    if (status?.kind === "owned") return revision <= since ? "own" : "hold";
    return revision < since ? { moved: since } : "hold";
  }

  /** Takes a committed step in. Undefined: it does not follow on what is here, and changes nothing, at no member. */
  install(step: SlotStep): readonly RowChange[] | undefined {
    if (step.kind === "claimed") return this.#claim(step.first, step.last, step.revision);
    const next = nextOf(this.#statuses.get(step.slot), step);
    return next === undefined ? undefined : [this.#put(step.slot, next)];
  }

  #claim(first: number, last: number, revision: number): RowChange[] {
    const changes: RowChange[] = [];
    for (let slot = first; slot <= last; slot++) if (!this.#statuses.has(slot)) changes.push(this.#put(slot, { kind: "owned", revision }));
    return changes;
  }

  #put(slot: number, status: SlotStatus): RowChange {
    this.#statuses.set(slot, status);
    return { table: tables.slots, key: String(slot), bytes: this.#encode(status) };
  }

  *rows(): Iterable<CarriedRow> {
    for (const [slot, status] of this.#statuses) yield { table: tables.slots, key: String(slot), bytes: this.#encode(status) };
  }

  replace(statuses: ReadonlyMap<number, SlotStatus>): void {
    this.#statuses.clear();
    for (const [slot, status] of statuses) this.#statuses.set(slot, status);
  }

  #encode(status: SlotStatus): Uint8Array {
    const writer = this.#writer;
    writer.u8(kinds.indexOf(status.kind));
    writer.varint(status.revision);
    switch (status.kind) {
      case "owned":
        break;
      case "sealed":
      case "released":
        writer.string(status.to);
        break;
      case "adopting":
        writer.string(status.from);
        writer.string(status.cursor);
        writer.varint(status.at);
        writer.u8(status.isWhole ? 1 : 0);
        writer.bytes(status.digest);
    }
    return writer.take();
  }
}

function nextOf(status: SlotStatus | undefined, step: Exclude<SlotStep, { kind: "claimed" }>): SlotStatus | undefined {
  const { revision } = step;
  const isThis = status?.revision === revision;
  switch (step.kind) {
    case "sealed":
      return status?.kind === "owned" && revision > status.revision ? { kind: "sealed", revision, to: step.to } : undefined;
    case "adopting": {
      const { from, isFirst, part } = step;
      const isNew = status === undefined || (status.kind !== "owned" && revision > status.revision);
      const goesOn = status?.kind === "adopting" && isThis && (isFirst || !status.isWhole);
      const mayBe = isFirst ? isNew || goesOn : goesOn;
      const { cursor, at, isLast: isWhole, digest } = part;
      return mayBe ? { kind: "adopting", revision, from, cursor, at, isWhole, digest } : undefined;
    }
    case "adopted":
      return status?.kind === "adopting" && isThis && status.isWhole ? { kind: "owned", revision } : undefined;
    case "released":
      return status?.kind === "sealed" && isThis ? { ...status, kind: "released" } : undefined;
  }
}

/** Reads the rows of the store. Throws `wire/*` or `groups/malformed`; passes over rows of other tables. */
export function decodeSlots(rows: Iterable<CarriedRow>): ReadonlyMap<number, SlotStatus> {
  const statuses = new Map<number, SlotStatus>();
  for (const { table, key, bytes } of rows) {
    if (table !== tables.slots) continue;
    const slot = Number(key);
    if (!Number.isInteger(slot) || slot < 0 || slot >= slotsCount || statuses.has(slot)) throw malformed("a slot that cannot be");
    statuses.set(slot, decodeStatus(bytes));
  }
  return statuses;
}

function decodeStatus(bytes: Uint8Array): SlotStatus {
  const reader = new ByteReader(bytes);
  const kind = kinds[reader.u8()];
  const revision = reader.varint();
  switch (kind) {
    case "owned":
      reader.end();
      return { kind, revision };
    case "sealed":
    case "released": {
      const to = reader.string();
      reader.end();
      return { kind, revision, to };
    }
    case "adopting": {
      const [from, cursor, at, isWhole] = [reader.string(), reader.string(), reader.varint(), reader.u8() === 1];
      return { kind, revision, from, cursor, at, isWhole, digest: Buffer.from(reader.rest()) };
    }
    default:
      throw malformed("a slot of an unknown kind");
  }
}
