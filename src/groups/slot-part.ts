import { assert } from "../kernel/index.ts";
import type { EntryList } from "./entry-list.ts";
import type { CarriedRow } from "./carried-row.ts";
import type { Outcomes } from "./outcomes.ts";
import type { Position, SlotRows, StateChange } from "./ports.ts";
import type { RowChange } from "./group-log.ts";
import type { SlotPart, SlotStep, SlotWanted } from "./slot-step.ts";
import type { Slots } from "./slots.ts";
import { tables } from "./store-tables.ts";

export interface SlotContents {
  readonly slots: Slots;
  readonly outcomes: Outcomes;
  /** Undefined where the state cannot be taken apart. */
  readonly rows: SlotRows | undefined;
}

interface Bounds {
  /** The last index that this member has installed. */
  readonly installed: number;
  readonly bytesMax: number;
}

/** A cursor is the digit of its section and the last key of it that was given. */
const sections = ["outcomes", "state", "callers"] as const;
const nothing = new Uint8Array();

/**
 * A part of a slot that is sealed here: its outcomes, its rows, and last of all what is known of callers. In this order, because outcomes
 * that are forgotten here meanwhile are then below what their caller has said. Undefined: not sealed here for that move, or this member
 * is behind the one that gave the part before.
 */
export function partOf({ slots, outcomes, rows }: SlotContents, wanted: SlotWanted, bounds: Bounds): SlotPart | undefined {
  const { slot, revision, to, cursor, at } = wanted;
  const { installed, bytesMax } = bounds;
  const status = slots.of(slot);
  if (rows === undefined || status?.kind !== "sealed" || status.revision !== revision || status.to !== to || installed < at)
    return undefined;
  const cut = new Cut(cursor, bytesMax);
  cut.take(0, (after) => outcomes.ofSlot(slot, after));
  cut.take(1, (after) => stateRows(rows, slot, after, bytesMax));
  cut.take(2, (after) => outcomes.ofCallers(after));
  return { ...cut.made, at: installed, digest: cut.isFull ? nothing : rows.digest(slot) };
}

function* stateRows(rows: SlotRows, slot: number, from: string, bytesMax: number): Iterable<CarriedRow> {
  for (let after = from; ; ) {
    const page = rows.page(slot, after, bytesMax);
    for (const { key, bytes } of page.rows) yield { table: tables.state, key, bytes };
    after = page.rows.at(-1)?.key ?? after;
    if (page.isLast) return;
  }
}

class Cut {
  readonly #rows: CarriedRow[] = [];
  readonly #bytesMax: number;
  readonly #callers = new Set<string>();
  #section: number;
  #after: string;
  #bytes = 0;
  #hasGoneOn = false;
  isFull = false;

  constructor(cursor: string, bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#section = cursor === "" ? 0 : Number(cursor.slice(0, 1));
    this.#after = cursor.slice(1);
  }

  get made(): Pick<SlotPart, "rows" | "cursor" | "isLast"> {
    return { rows: this.#rows, cursor: `${this.#section}${this.#after}`, isLast: !this.isFull };
  }

  take(section: number, rowsAfter: (after: string) => Iterable<CarriedRow>): void {
    if (this.isFull || section < this.#section) return;
    if (section > this.#section) {
      this.#section = section;
      this.#after = "";
    }
    for (const row of rowsAfter(this.#after)) {
      const bytes = row.bytes.length + row.key.length * 3 + 16;
      if (this.#hasGoneOn && this.#bytes + bytes > this.#bytesMax) {
        this.isFull = true;
        return;
      }
      // The row of a caller may stand before its outcomes and among the callers; in one part both say the same.
      const isCaller = row.table === tables.leases;
      if (!isCaller || !this.#callers.has(row.key)) {
        this.#rows.push(row);
        this.#bytes += bytes;
      }
      if (isCaller) this.#callers.add(row.key);
      if (sections[section] !== "callers" && isCaller) continue;
      this.#after = row.key;
      this.#hasGoneOn = true;
    }
  }
}

/** Whether what a member has stored is of a state that is kept by key, and this one's is not, or the other way round. */
export function isOtherKind(isByKey: boolean, rows: readonly CarriedRow[], entries: EntryList): boolean {
  const { base, end } = entries;
  let [hasSlots, hasOthers] = [false, false];
  for (const { table } of rows) {
    hasSlots ||= table === tables.slots;
    hasOthers ||= table === tables.state;
  }
  for (let index = base.index + 1; index <= end; index++) {
    const body = entries.at(index)?.body;
    const isOfSlot = body?.kind === "slot" || (body?.kind === "request" && body.slot !== undefined);
    hasSlots ||= isOfSlot;
    hasOthers ||= body?.kind === "request" && !isOfSlot;
  }
  return isByKey ? hasOthers && !hasSlots : hasSlots;
}

/** Takes a committed step of a slot in; returns the rows that change. */
export function installStep(contents: SlotContents, position: Position, step: SlotStep): readonly RowChange[] {
  const { slots, outcomes, rows } = contents;
  assert(rows !== undefined, "all servers of a group keep its state by key, or none does");
  const changes = slots.install(step);
  if (changes === undefined) return [];
  const { index } = position;
  switch (step.kind) {
    case "claimed":
    case "sealed":
    case "adopted":
      return changes;
    case "adopting": {
      const dropped = step.isFirst ? stateChanges(rows.drop(index, step.slot)) : [];
      const state = step.part.rows.filter(({ table }) => table === tables.state);
      return [...changes, ...dropped, ...outcomes.adopt(position, step.slot, step.part.rows), ...stateChanges(rows.adopt(index, state))];
    }
    case "released":
      return [...changes, ...outcomes.dropSlot(step.slot), ...stateChanges(rows.drop(index, step.slot))];
  }
}

function stateChanges(changes: StateChange): RowChange[] {
  return changes.map(({ key, bytes }) => ({ table: tables.state, key, bytes }));
}
