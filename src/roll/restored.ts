import type { Revision } from "../kernel/index.ts";
import type { Offer } from "./founding.ts";

/** More directory starts than happen between a snapshot and its restoration. */
const epochStep = 1_000_000;
/** More changes than happen meanwhile: 1.6 years of 20,000 a second. */
const sequenceStep = 1_000_000_000_000;

/** Half of what a number of the protocol may be: beyond it a reign begins and counts on for longer than anybody lives. */
export const revisionNumberMax = 2 ** 52;

/**
 * Where the reign after a restoration begins: beyond whatever a node of the fleet has seen, also of nodes that nobody could ask. A
 * restored roll is older than its fleet; whatever was given out since the snapshot must never be given out again.
 */
export function beyond(known: readonly Revision[], offers: readonly Offer[]): Revision {
  const seen = offers.map((offer) => ({ epoch: Math.max(offer.epoch, offer.seen), sequence: offer.sequence }));
  const all = [...known, ...seen];
  return {
    epoch: nextMultiple(Math.max(0, ...all.map(({ epoch }) => epoch)), epochStep),
    sequence: nextMultiple(Math.max(0, ...all.map(({ sequence }) => sequence)), sequenceStep),
  };
}

function nextMultiple(value: number, step: number): number {
  return (Math.floor(value / step) + 1) * step;
}
