import { badBatch, checkEntryKey, checkNumber, isMetaName } from "./key-encoding.ts";
import { type StoreBatch, batchLimits } from "./store.ts";

/**
 * Refuses (`storage/bad-batch`) what a store could not give back unchanged, before anything of the batch is written.
 * Returns the bytes of all records, the measure of what the batch needs.
 */
export function checkBatch(batch: StoreBatch): number {
  let bytesTotal = 0;
  const record = (bytes: Uint8Array | undefined) => {
    if (bytes === undefined) return;
    if (bytes.length > batchLimits.recordBytesMax) throw badBatch(`a record has more than ${batchLimits.recordBytesMax} bytes`);
    bytesTotal += bytes.length;
  };
  for (const [name, bytes] of batch.meta ?? []) {
    if (!isMetaName(name)) throw badBatch(`"${name}" cannot name a meta record`);
    record(bytes);
  }
  for (const entry of batch.entries ?? []) {
    checkEntryKey(entry.table, entry.key);
    record(entry.bytes);
  }
  for (const session of batch.sessions ?? []) {
    checkNumber(session.session, "session");
    record(session.bytes);
  }
  for (const { sequence, bytes } of batch.log ?? []) {
    checkNumber(sequence, "log record");
    record(bytes);
  }
  if (batch.logFrom !== undefined) checkNumber(batch.logFrom, "log record");
  return bytesTotal;
}
