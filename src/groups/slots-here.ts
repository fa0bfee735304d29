import { errorOf } from "../kernel/index.ts";
import type { CarriedRow } from "./carried-row.ts";
import type { EntryList } from "./entry-list.ts";
import { damaged } from "./errors.ts";
import type { Outcomes } from "./outcomes.ts";
import type { GroupMachine, SlotClaim } from "./ports.ts";
import { otherKind } from "./slot-errors.ts";
import { isOtherKind, partOf } from "./slot-part.ts";
import type { SlotPart, SlotWanted } from "./slot-step.ts";
import { type SlotStatus, type SlotVerdict, Slots, decodeSlots } from "./slots.ts";

export interface SlotsHerePorts {
  readonly outcomes: Outcomes;
  readonly machine: GroupMachine;
  /** The last index that is installed here; undefined while this server is no member. */
  readonly installed: () => number | undefined;
  readonly partBytesMax: number;
}

/** What one member can say of the slots of its group, by what is committed here. */
export class SlotsHere {
  readonly committed = new Slots();
  readonly #ports: SlotsHerePorts;

  constructor(ports: SlotsHerePorts) {
    this.#ports = ports;
  }

  /** Throws `groups/damaged`, and `groups/other-kind` for data of a group that keeps its state otherwise than this one. */
  load(rows: readonly CarriedRow[], entries: EntryList): void {
    try {
      this.committed.replace(decodeSlots(rows));
    } catch (error) {
      throw damaged(errorOf(error).message);
    }
    if (isOtherKind(this.#ports.machine.slots !== undefined, rows, entries)) throw otherKind();
  }

  of(slot: number): SlotStatus | undefined {
    return this.committed.of(slot);
  }

  /** Whether the committed state here is that of the slot's owner: a read may be answered from it, if it is new enough. */
  judge(claim: SlotClaim): SlotVerdict {
    return this.committed.judge(claim);
  }

  /** A part of a slot that is sealed here, for the group that the seal names; undefined: not here, or not yet. */
  part(wanted: SlotWanted): SlotPart | undefined {
    const { outcomes, machine, partBytesMax } = this.#ports;
    const installed = this.#ports.installed();
    if (installed === undefined) return undefined;
    return partOf({ slots: this.committed, outcomes, rows: machine.slots }, wanted, { installed, bytesMax: partBytesMax });
  }
}
