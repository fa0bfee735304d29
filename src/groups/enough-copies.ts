import type { GroupRow } from "../tables/index.ts";
import { blockOf } from "./history.ts";
import type { Position } from "./ports.ts";

/**
 * Whether an outcome may be told: not while the group has fewer members than its writes need, unless it was committed when there were
 * enough. What was ordered before members were given up is committed all the same, and shown; its callers hear of it when as
 * many members hold it again, for whoever is named has everything that is committed. That is not so in a row that was raised, before
 * something of its own history is committed; and a member that has promised an epoch whose row it has not seen does not know how many hold
 * what is committed there.
 */
export class EnoughCopies {
  #isFew = false;
  #row: GroupRow | undefined;
  /** Up to here there were enough, as far as this member knows. */
  #sure = 0;
  #hadEnough = false;
  /** A later epoch than the row's is promised; up to here was committed before. */
  #isAhead = false;
  #before = 0;

  /** `installed`: the last committed index here. */
  promising(epoch: number, installed: number): void {
    if (this.#isAhead || epoch <= (this.#row?.epoch ?? 0)) return;
    this.#isAhead = true;
    this.#before = installed;
  }

  /** `installed`: the last that is committed here. Returns whether that is news for whoever waits. */
  rowChanged(row: GroupRow | undefined, installed: Position, promised: number): boolean {
    const wasFew = this.#isFew;
    const wasRaised = this.#isRaised(installed);
    const before = this.#isAhead ? this.#before : installed.index;
    this.#row = row;
    this.#isFew = row !== undefined && row.members.length < row.copiesMin;
    // Members of a raised row in which nothing was committed hold what they held before, which may be less.
    if (this.#isFew && !wasFew && !wasRaised) this.#sure = this.#hadEnough ? before : 0;
    if (!this.#isFew) this.#hadEnough = row !== undefined;
    const isAhead = row !== undefined && promised > row.epoch;
    // Since when is not known.
    this.#before = this.#isAhead && !this.#isFew ? before : 0;
    this.#isAhead = isAhead;
    return wasFew && !this.#isFew;
  }

  /** `installed`: the last that is committed here. */
  mayTell(index: number, installed: Position): boolean {
    if (index <= this.#sure) return true;
    if (this.#isFew) return false;
    // One copy is always enough.
    if (this.#row === undefined || this.#row.copiesMin === 1) return true;
    return !this.#isRaised(installed) && !(this.#isAhead && index > this.#before);
  }

  /** Nothing of the history that the row belongs to is committed yet. */
  #isRaised(installed: Position): boolean {
    return this.#row !== undefined && blockOf(this.#row.epoch) > blockOf(installed.epoch);
  }
}
