import { LmdbStore } from "../../src/storage/index.ts";

// Commits batches without a pause and prints the number of each one that is acknowledged. Batch n writes the same number of times into
// entries, a session and the log, so that a part of it cannot pass for the whole.
const store = new LmdbStore({ directory: process.argv[2] ?? "" });
const roll = await store.open();
const last = roll.meta.get("last");
let number = last === undefined ? 0 : Buffer.from(last).readUInt32LE();

for (;;) {
  number++;
  const bytes = Buffer.alloc(4 + (number % 7) * 900);
  bytes.writeUInt32LE(number);
  await store.commit({
    meta: [["last", bytes.subarray(0, 4)]],
    entries: Array.from({ length: 1 + (number % 20) }, (_, index) => ({ table: 1, key: `key-${index}-${number % 50}`, bytes })),
    sessions: [{ session: 1, bytes: bytes.subarray(0, 4) }],
    log: [{ sequence: number, bytes }],
    ...(number > 500 ? { logFrom: number - 500 } : {}),
  });
  // Synchronous, so that the line is with the reader before the next batch begins.
  process.stdout.write(`${number}\n`);
}
