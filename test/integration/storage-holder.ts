import { MusterError } from "../../src/kernel/index.ts";
import { LmdbStore } from "../../src/storage/index.ts";

// Opens the directory, says how that went, and keeps it until its input ends.
const store = new LmdbStore({ directory: process.argv[2] ?? "" });
try {
  await store.open();
  console.log("open");
} catch (error) {
  console.log(error instanceof MusterError ? error.code : error);
}
process.stdin.resume();
process.stdin.once("end", () => void store.close());
