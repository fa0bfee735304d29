import { existsSync, linkSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { MusterError } from "../kernel/index.ts";
import { createDirectory, flushDirectory, lookAt, replacedRollFile, restoringFolder, rollFile } from "./data-directory.ts";
import { failed, notEmpty } from "./errors.ts";
import { LmdbStore } from "./lmdb-store.ts";
import { Ownership } from "./ownership.ts";
import type { Store, StoredRoll } from "./store.ts";

export interface ReplaceOptions {
  /** Where the roll shall be; created when it is missing. */
  readonly directory: string;
  readonly companions: readonly string[];
  /** A roll that is there is replaced, and kept beside the new one. Without this it is refused. */
  readonly replace: boolean;
  /** Shown what the roll that is replaced holds; not called when there is none, or when it is damaged. */
  readonly before: (stored: StoredRoll) => void;
  /** Fills the new roll, which is empty and open. */
  readonly fill: (store: Store) => Promise<void>;
}

/**
 * Puts another roll into a directory that nobody uses: built beside, then renamed into its place, so that at any instant one of the two
 * is there, whole. Rejects with `storage/busy`, `storage/foreign`, `storage/not-empty` or `storage/failed`, or what `fill` rejects with;
 * then nothing has changed.
 */
export async function replaceRoll(options: ReplaceOptions): Promise<void> {
  const { directory, companions, replace } = options;
  const found = lookAt(directory, companions);
  if (found !== "missing") Ownership.refuseIfOwned(directory);
  if (found === "roll" && !replace) throw notEmpty(directory);
  if (found === "roll") await showOld(options);
  createDirectory(directory);
  const ownership = await Ownership.claim(directory);
  const building = join(directory, restoringFolder);
  try {
    // Somebody may have founded a roll between the look and the claim.
    if (!replace && lookAt(directory, companions) === "roll") throw notEmpty(directory);
    rmSync(building, { recursive: true, force: true });
    const store = new LmdbStore({ directory: building });
    await store.open();
    await options.fill(store).finally(() => store.close());
    putInPlace(directory, building);
  } finally {
    rmSync(building, { recursive: true, force: true });
    ownership.release();
  }
}

/** A damaged roll has nothing to say; any other trouble ends the replacement before it begins. */
async function showOld({ directory, companions, before }: ReplaceOptions): Promise<void> {
  const store = new LmdbStore({ directory, companions });
  try {
    before(await store.open());
  } catch (thrown) {
    if (!(thrown instanceof MusterError && thrown.code === "storage/damaged")) throw thrown;
  } finally {
    await store.close();
  }
}

function putInPlace(directory: string, building: string): void {
  const path = join(directory, rollFile);
  try {
    if (existsSync(path)) {
      rmSync(join(directory, replacedRollFile), { force: true });
      linkSync(path, join(directory, replacedRollFile));
    }
    renameSync(join(building, rollFile), path);
    rmSync(`${path}-lock`, { force: true });
    flushDirectory(directory);
  } catch (thrown) {
    throw failed(path, "replacing", thrown);
  }
}
