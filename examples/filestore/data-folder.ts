import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { StoreError, codeOf } from "./errors.ts";

/** A folder that this process alone may write until it lets go. */
export interface ClaimedFolder {
  readonly path: string;
  release(): Promise<void>;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (thrown) {
    if (codeOf(thrown) === "ENOENT" || codeOf(thrown) === "ESRCH") return undefined;
    throw thrown;
  }
}

/** Names one life of a process: its id, and where the system tells it, when it started, because ids are used again. */
async function lifeOf(pid: number): Promise<string | undefined> {
  try {
    process.kill(pid, 0);
  } catch (thrown) {
    if (codeOf(thrown) === "ESRCH") return undefined;
  }
  const stat = await readIfThere(`/proc/${pid}/stat`);
  return `${pid} ${stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "?"}`;
}

/**
 * Takes a server's data folder, so that two processes never write one store, and no server serves another one's data.
 * A lock whose process is gone is taken over. Errors: `filestore/folder-in-use`, `filestore/foreign-folder`.
 */
export async function claimFolder(path: string, key: string): Promise<ClaimedFolder> {
  await mkdir(path, { recursive: true });
  const owner = join(path, "owner");
  const known = (await readIfThere(owner))?.trim();
  if (known !== undefined && known !== key)
    throw new StoreError(500, "filestore/foreign-folder", `${path} holds the data of ${known}, not of ${key}`, {
      next: "give each server its own --data folder",
    });
  const lock = join(path, "lock");
  const mine = (await lifeOf(process.pid)) ?? String(process.pid);
  const draft = `${lock}.${process.pid}`;
  await writeFile(draft, mine);
  try {
    for (;;) {
      try {
        await link(draft, lock);
        break;
      } catch (thrown) {
        if (codeOf(thrown) !== "EEXIST") throw thrown;
      }
      const holder = (await readIfThere(lock)) ?? "";
      const pid = Number(holder.split(" ")[0]);
      if (pid > 0 && holder !== mine && (await lifeOf(pid)) === holder)
        throw new StoreError(500, "filestore/folder-in-use", `${path} is in use by process ${pid}`, {
          next: "stop that process, or use another --data folder",
        });
      await rm(lock, { force: true });
    }
  } finally {
    await rm(draft, { force: true });
  }
  if (known === undefined) await writeFile(owner, `${key}\n`);
  return { path, release: () => rm(lock, { force: true }) };
}
