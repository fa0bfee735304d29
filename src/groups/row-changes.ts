import { MusterError, type Telemetry, errorOf } from "../kernel/index.ts";
import type { GroupRow } from "../tables/index.ts";
import { ticks } from "./options.ts";
import type { GroupRoll } from "./ports.ts";

export interface RowChangesPorts {
  readonly roll: GroupRoll;
  readonly telemetry: Telemetry;
}

/** Reasons for which a member that founds the group, begins to synchronise, or takes another in, changes the row. */
const deliberate: ReadonlySet<string> = new Set(["founded", "returned", "joined"]);

/**
 * This member's wishes for the row, one at a time. Each is a compare-and-set from one row to the next epoch, so of all that anybody
 * asks for in an epoch at most one happens. When nobody knows what became of one, the row will tell, or the next wish will.
 */
export class RowChanges {
  readonly #ports: RowChangesPorts;
  readonly #copiesMin: number | undefined;
  #tick = 0;
  #pending: { readonly sinceTick: number } | undefined;
  #notBeforeTick = 0;
  #said = "";

  /** `copiesMin`: what its writes need, as this member was told; undefined: it goes by how many members there have been. */
  constructor(ports: RowChangesPorts, copiesMin: number | undefined) {
    this.#ports = ports;
    this.#copiesMin = copiesMin;
  }

  /** Asks for the row `next` in the place of `from`. False: not now, try again at a later tick. */
  ask(from: GroupRow | undefined, wanted: GroupRow, why: string, refused: () => void = () => {}): boolean {
    if (this.#pending !== undefined || this.#tick < this.#notBeforeTick) return false;
    const pending = { sinceTick: this.#tick };
    this.#pending = pending;
    const next = { ...wanted, copiesMin: this.#copiesMinOf(wanted, why) };
    const { roll, telemetry } = this.#ports;
    const members = next.members.map(({ server }) => server);
    // The same wish again and again, while the directory is away, is news once.
    const said = `${why} ${next.epoch}`;
    const level = said === this.#said ? "debug" : "info";
    this.#said = said;
    telemetry.log(level, "group-row-asked", { why, epoch: next.epoch, members, synchronising: next.synchronising });
    roll.change(from, next).then(
      () => {
        if (this.#pending === pending) this.#pending = undefined;
      },
      (thrown: unknown) => {
        const isSure = thrown instanceof MusterError && thrown.effect === "none";
        telemetry.log(level, "group-row-refused", { why, epoch: next.epoch, isSure, reason: errorOf(thrown).message });
        // Of one that is over nothing follows: a later one may name the same servers.
        if (this.#pending !== pending) return;
        if (isSure) refused();
        this.#pending = undefined;
        this.#notBeforeTick = this.#tick + ticks.rowRetry;
      },
    );
    return true;
  }

  /** Two, once a group has had three members: of three copies a write is to survive one more loss. Else what it was, or what this member was told. */
  #copiesMinOf({ members, copiesMin }: GroupRow, why: string): number {
    // Not with what somebody asks for because others are gone: what waits for copies now was promised more of them.
    if (this.#copiesMin !== undefined && deliberate.has(why)) return this.#copiesMin;
    return this.#copiesMin === undefined && members.length >= 3 ? Math.max(2, copiesMin) : copiesMin;
  }

  /** The row has changed: what was asked of an older one is over. */
  settled(): void {
    this.#pending = undefined;
    this.#notBeforeTick = 0;
  }

  beat(): void {
    this.#tick++;
    if (this.#pending !== undefined && this.#tick - this.#pending.sinceTick > ticks.rowUnknown) this.#pending = undefined;
  }
}
