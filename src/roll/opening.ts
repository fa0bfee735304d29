import type { StoreBatch, StoredRoll } from "../storage/index.ts";
import type { Replica } from "../tables/index.ts";
import { ByteWriter } from "../wire/index.ts";
import type { ChangeLog } from "./change-log.ts";
import type { Epochs } from "./epochs.ts";
import { type Session, decodeSession } from "./sessions.ts";
import { type StoredMeta, decodeRow, encodeMeta, encodeRow } from "./stored.ts";

/** What a directory fills from its store before its reign. */
export interface Opened {
  readonly replica: Replica;
  readonly epochs: Epochs;
  readonly log: ChangeLog;
}

/** Reads the rows, the epochs and the tail of the log; returns the writers. */
export function readStored(stored: StoredRoll, meta: StoredMeta, { replica, epochs, log }: Opened): readonly Session[] {
  const load = replica.beginLoad([{ table: "all", prefix: "" }]);
  for (const { table, key, bytes } of stored.entries()) {
    const row = decodeRow(bytes);
    load.put(table, key, row.text, row.valid, row.owner, row.incarnation, row.epoch, row.sequence);
  }
  load.finish(meta.last.epoch, meta.last.sequence);
  epochs.replace(meta.epochs);
  const records = [...stored.log()];
  log.reset(Math.min(meta.last.sequence, (records[0]?.sequence ?? meta.last.sequence + 1) - 1));
  for (const { sequence, bytes } of records) log.append({ epoch: epochs.epochOf(sequence), sequence, bytes });
  const sessions = [...stored.sessions()].map(({ bytes }) => decodeSession(bytes));
  return sessions;
}

/** A whole replica as an empty store takes it. */
export function batchOfReplica(fleet: string, { replica, epochs }: Opened): StoreBatch {
  const writer = new ByteWriter();
  const entries: { table: number; key: string; bytes: Uint8Array }[] = [];
  for (const table of replica.tableNumbers())
    for (const { key, text, flag: valid, owner, incarnation, epoch, sequence } of replica.entries(table))
      entries.push({ table, key, bytes: encodeRow(writer, { text, valid, owner, incarnation, epoch, sequence }) });
  return { meta: encodeMeta({ fleet, epochs: epochs.starts, last: replica.position }), entries };
}
