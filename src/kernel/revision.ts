/**
 * A position in the one order of changes. The epoch is the number of the directory's reign; the sequence counts on
 * through epochs, so within one history two revisions compare by sequence alone.
 */
export interface Revision {
  readonly epoch: number;
  readonly sequence: number;
}

export const revisionZero: Revision = Object.freeze({ epoch: 0, sequence: 0 });

/** "epoch.sequence", as shown to people and carried in JSON. */
export function formatRevision(revision: Revision): string {
  return `${revision.epoch}.${revision.sequence}`;
}

/** Reads "epoch.sequence"; `undefined` when the text is not one. */
export function parseRevision(text: string): Revision | undefined {
  const match = /^(\d{1,15})\.(\d{1,15})$/.exec(text);
  if (match === null) return undefined;
  return { epoch: Number(match[1]), sequence: Number(match[2]) };
}

/** Negative when `a` is before `b`: epoch first, then sequence. */
export function compareRevision(a: Revision, b: Revision): number {
  return a.epoch - b.epoch || a.sequence - b.sequence;
}
