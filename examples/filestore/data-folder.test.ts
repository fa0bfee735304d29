import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { claimFolder } from "./data-folder.ts";

test("a folder is one server's: a foreign one is refused, the lock of a dead process is taken over", async (context) => {
  const path = await mkdtemp(join(tmpdir(), "filestore-"));
  context.after(() => rm(path, { recursive: true, force: true }));
  const folder = await claimFolder(path, "BSS.1");
  await folder.release();
  await assert.rejects(claimFolder(path, "BSS.2"), { code: "filestore/foreign-folder" });
  await writeFile(join(path, "lock"), "4194303 1");
  await (await claimFolder(path, "BSS.1")).release();
  // The parent of this process lives, but its start time is another one: that process id was used again.
  await writeFile(join(path, "lock"), `${process.ppid} 1`);
  await (await claimFolder(path, "BSS.1")).release();
});
