import type { MusterError, Revision } from "../kernel/index.ts";
import type { StoreBatch } from "../storage/index.ts";
import type { ByteWriter, ChangeEffect } from "../wire/index.ts";
import type { DraftRow } from "./draft.ts";
import type { EpochStart } from "./epochs.ts";
import type { Outcome } from "./requests.ts";
import { type Session, encodeSession } from "./sessions.ts";
import { encodeMeta, encodeRow } from "./stored.ts";

/** One decided thing that waits for its commit. */
export interface Decided {
  readonly sequence: number;
  readonly effects: readonly ChangeEffect[];
  readonly bytes: Uint8Array | undefined;
  readonly session: Session | undefined;
  readonly number: number;
  readonly outcome: Outcome;
  /** The session that this change ends. */
  readonly ends?: number | undefined;
  readonly done?: ((revision: Revision) => void) | undefined;
  readonly failed?: ((error: MusterError) => void) | undefined;
}

export interface BatchGround {
  readonly fleet: string;
  readonly epoch: number;
  readonly epochs: readonly EpochStart[];
  /** The newest sequence that is durable already. */
  readonly committed: number;
  /** Rows as they are durable. */
  readonly row: (table: number, key: string) => DraftRow | undefined;
  readonly sessions: ReadonlyMap<number, Session>;
  /** Log records that the store keeps. */
  readonly logMax: number;
  readonly writer: ByteWriter;
}

/**
 * What one group commit writes: the rows as of its last change (the draft may already be ahead of it), the changes
 * themselves, and the sessions with exactly the outcomes that this commit makes durable.
 */
export function batchOf(group: readonly Decided[], ground: BatchGround): StoreBatch {
  const log: { sequence: number; bytes: Uint8Array }[] = [];
  for (const { bytes, sequence } of group) if (bytes !== undefined) log.push({ sequence, bytes });
  const last = { epoch: ground.epoch, sequence: log.at(-1)?.sequence ?? ground.committed };
  return {
    meta: encodeMeta({ fleet: ground.fleet, epochs: ground.epochs, last }),
    entries: rowsAfter(group, ground),
    sessions: sessionsAfter(group, ground.sessions),
    log,
    logFrom: Math.max(0, last.sequence - ground.logMax),
  };
}

function rowsAfter(group: readonly Decided[], ground: BatchGround): NonNullable<StoreBatch["entries"]> {
  const rows = new Map<string, { readonly table: number; readonly key: string; readonly row: DraftRow | undefined }>();
  for (const { effects, sequence } of group)
    for (const effect of effects) {
      const { table, key, kind } = effect;
      const name = `${table}\u0000${key}`;
      const revision = { epoch: ground.epoch, sequence };
      if (kind === "remove") rows.set(name, { table, key, row: undefined });
      else if (kind === "put") {
        const { text, valid, owner, incarnation } = effect;
        rows.set(name, { table, key, row: { text, valid, owner, incarnation, ...revision } });
      } else {
        const before = rows.has(name) ? rows.get(name)?.row : ground.row(table, key);
        if (before !== undefined) rows.set(name, { table, key, row: { ...before, valid: effect.valid, ...revision } });
      }
    }
  return Array.from(rows.values(), ({ table, key, row }) => ({
    table,
    key,
    bytes: row === undefined ? undefined : encodeRow(ground.writer, row),
  }));
}

function sessionsAfter(group: readonly Decided[], sessions: ReadonlyMap<number, Session>): NonNullable<StoreBatch["sessions"]> {
  const touched = new Map<number, Session | undefined>();
  for (const { session, number, outcome } of group) {
    if (session !== undefined) {
      // Only now: a session's record never remembers a change that a later commit would have to carry.
      if (number >= session.low) session.outcomes.set(number, outcome);
      session.durableNext = number + 1;
      touched.set(session.id, session);
    } else {
      // The number of a duty is its sequence, and the change that admits a session gives it its number.
      const admitted = sessions.get(number);
      if (admitted !== undefined) touched.set(admitted.id, admitted);
    }
  }
  for (const { ends } of group) if (ends !== undefined) touched.set(ends, undefined);
  return Array.from(touched, ([session, known]) => ({ session, bytes: known === undefined ? undefined : encodeSession(known) }));
}
