import type { EntryBody } from "./entry.ts";
import type { EntryList } from "./entry-list.ts";
import type { Position } from "./ports.ts";

/** The first entry of a takeover: from here on, up to the next one, the history is what this replica has ordered. */
export interface Opening {
  readonly epoch: number;
  readonly index: number;
  /** Identity of the data that went on. One replica never serves an epoch twice, so epoch, index and this name one entry for ever. */
  readonly by: string;
  /** The last entry before it. */
  readonly last: Position;
  /** Of a parting: whether somebody gave up what others hold. */
  readonly isAccepted?: boolean;
}

/** So many are remembered, beside partings; whoever has been away for longer cannot show that it was of this history. */
export const openingsMax = 512;

/** What a server says of an entry of its own: which one, and who ordered it ("" when that is not known). */
export interface Signed {
  readonly at: Position;
  readonly by: string;
}

/** Undefined for other entries, and those of programs that did not write who opened. */
export function openingOf({ epoch, index }: Position, last: Position, body: EntryBody): Opening | undefined {
  if (body.kind !== "opened") return undefined;
  if (body.parting !== undefined) return { epoch, index, ...body.parting, last };
  return body.by === undefined ? undefined : { epoch, index, by: body.by, last };
}

/** In a log, from this index on. */
export function openingsIn(entries: EntryList, from: number): readonly Opening[] {
  const found: Opening[] = [];
  for (let index = Math.max(from, entries.base.index + 1); index <= entries.end; index++) {
    const entry = entries.at(index);
    const before = entries.epochAt(index - 1);
    if (entry?.body.kind !== "opened" || before === undefined) continue;
    const opening = openingOf(entry, { epoch: before, index: index - 1 }, entry.body);
    if (opening !== undefined) found.push(opening);
  }
  return found;
}

/** Who ordered the entry at this index; undefined when that is not remembered. */
function openerOf(openings: readonly Opening[], index: number): Opening | undefined {
  const plain = openings.filter(({ isAccepted }) => isAccepted === undefined);
  // Those before the oldest one may have been forgotten.
  if (plain.length >= openingsMax && index < (plain[0]?.index ?? 0)) return undefined;
  return openings.findLast((opening) => opening.index <= index);
}

/** As a server says it of an entry of its own. */
export function signed(openings: readonly Opening[], at: Position): Signed {
  return { at, by: openerOf(openings, at.index)?.by ?? "" };
}

/**
 * Whether that entry is in the history here, which ends with `end`. What is neither in the log nor remembered is not. `epochAt`: of the
 * log here, as far as it is kept.
 */
export function isHere(
  { at, by }: Signed,
  openings: readonly Opening[],
  end: Position,
  epochAt: (index: number) => number | undefined,
): boolean {
  if (at.index === 0) return true;
  if (at.index > end.index) return false;
  const opener = openerOf(openings, at.index);
  if ((opener?.by ?? "") !== by) return false;
  const epochHere = epochAt(at.index);
  if (epochHere !== undefined) return epochHere === at.epoch;
  return opener !== undefined && covers(openings, opener, end, at.epoch);
}

/**
 * Whether an entry that need not be committed contradicts the history here: somebody else ordered in its epoch, or its epoch is still to
 * come. What is left over of an epoch that came to nothing contradicts nothing.
 */
export function contradicts({ at, by }: Signed, openings: readonly Opening[], end: Position, epoch: number): boolean {
  if (at.index === 0) return false;
  if (at.epoch > epoch) return true;
  const ofEpoch = openings.filter((opening) => covers(openings, opening, end, at.epoch));
  return by !== "" && ofEpoch.length > 0 && !ofEpoch.some((opening) => opening.by === by);
}

/** A synchronising host goes through epochs that it begins itself without a word in the log. */
function covers(openings: readonly Opening[], opening: Opening, end: Position, epoch: number): boolean {
  const next = openings[openings.indexOf(opening) + 1];
  return opening.epoch <= epoch && epoch <= (next?.last ?? end).epoch;
}
