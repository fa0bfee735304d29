import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { MusterError } from "../kernel/index.ts";
import { failed, foreign, systemCode } from "./errors.ts";
import { Ownership } from "./ownership.ts";

export const rollFile = "roll.mdb";
/** A new roll is built under this name and renamed when it is whole: a roll file without its header is always damage. */
export const newRollFile = "new-roll.mdb";

/** A folder in which another roll is built, to take the place of the one that is there. */
export const restoringFolder = "restoring";
/** The roll that was there before it was replaced. */
export const replacedRollFile = "replaced-roll.mdb";

const ownFiles = [...[rollFile, newRollFile].flatMap((name) => [name, `${name}-lock`]), restoringFolder, replacedRollFile];

/** What is in a directory that may hold a roll; looking changes nothing. */
export type Occupancy = "missing" | "empty" | "roll";

/**
 * Throws `storage/foreign` for a directory with other things in it and no roll. `companions` are files that other parts
 * of the same node keep beside the roll.
 */
export function lookAt(directory: string, companions: readonly string[]): Occupancy {
  const names = namesIn(directory);
  if (names === undefined) return "missing";
  if (names.includes(rollFile)) return "roll";
  const stranger = names.find((name) => !ownFiles.includes(name) && !companions.includes(name) && !Ownership.isClaim(name));
  if (stranger !== undefined) throw foreign(directory, `it has other files (${stranger})`);
  return "empty";
}

/** Creates the directory, for its owner alone, durably. */
export function createDirectory(directory: string): void {
  try {
    const firstCreated = mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (firstCreated === undefined) return;
    // Each new directory is an entry of the one above it, and lasts only when that one is flushed.
    for (let at = resolve(directory); at.startsWith(resolve(firstCreated)); at = dirname(at)) flushDirectory(dirname(at));
  } catch (error) {
    throw failed(directory, "creating", error);
  }
}

export function flushDirectory(directory: string): void {
  const file = openSync(directory, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Removes what a starter that crashed while it built a new roll has left. */
export function removeUnfinished(directory: string): void {
  for (const name of [newRollFile, `${newRollFile}-lock`, restoringFolder]) rmSync(join(directory, name), { force: true, recursive: true });
}

function namesIn(directory: string): string[] | undefined {
  try {
    if (!statSync(directory).isDirectory()) throw foreign(directory, "it is a file");
    return readdirSync(directory);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    if (error instanceof MusterError) throw error;
    throw failed(directory, "reading", error);
  }
}
