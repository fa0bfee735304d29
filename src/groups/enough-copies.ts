import type { GroupRow } from "../tables/index.ts";
import { blockOf } from "./history.ts";
import type { Position } from "./ports.ts";

/**
 * Whether an outcome may be told: not while the group has fewer members than its writes need, unless it was committed when there were
 * enough. What was ordered before members were given up is committed all the same, and shown; its callers hear of it when as
 * many members hold it again, for whoever is named has everything that is committed. That is not so in a row that was raised, before
 * something of its own history is committed.
 */
export class EnoughCopies {
  #isFew = false;
  #row: GroupRow | undefined;
  /** Up to here there were enough, as far as this member knows. */
  #sure = 0;
  #hadEnough = false;

  /** `installed`: the last committed index here. Returns whether that is news for whoever waits. */
  rowChanged(row: GroupRow | undefined, installed: number): boolean {
    const wasFew = this.#isFew;
    this.#row = row;
    this.#isFew = row !== undefined && row.members.length < row.copiesMin;
    if (this.#isFew && !wasFew) this.#sure = this.#hadEnough ? installed : 0;
    if (!this.#isFew) this.#hadEnough = row !== undefined;
    return wasFew && !this.#isFew;
  }

  /** `installed`: the last that is committed here. */
  mayTell(index: number, installed: Position): boolean {
    return index <= this.#sure || (!this.#isFew && !this.#isRaised(installed));
  }

  #isRaised(installed: Position): boolean {
    return this.#row !== undefined && this.#row.copiesMin > 1 && blockOf(this.#row.epoch) > blockOf(installed.epoch);
  }
}
