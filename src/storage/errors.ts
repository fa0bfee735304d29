import { MusterError, errorOf } from "../kernel/index.ts";

/** Every refusal of a store names the path, the cause and the next step. */

export function busy(directory: string, owner: string): MusterError {
  return new MusterError("storage/busy", `${directory} is in use by ${owner}`, {
    next: "stop that process, or give this one another directory with --data DIR",
  });
}

export function foreign(path: string, found: string): MusterError {
  return new MusterError("storage/foreign", `${path} does not hold a roll: ${found}`, {
    next: "name the directory of a roll, or an empty or new one, with --data DIR; nothing was changed",
  });
}

export function damaged(path: string, cause: string): MusterError {
  return new MusterError("storage/damaged", `${path} is damaged: ${cause}`, {
    next: "start with an empty directory: it adopts the roll from the nodes that still hold it; if none is left: muster snapshot restore FILE --data DIR --replace",
  });
}

export function newerLayout(path: string, layout: number, known: number): MusterError {
  return new MusterError("storage/newer-layout", `${path} was written with layout ${layout}, this version reads up to ${known}`, {
    next: "run the version of Muster that wrote it, or a newer one; nothing was changed",
  });
}

export function full(path: string, cause: string, thrown?: unknown): MusterError {
  return new MusterError("storage/full", `the batch was not kept in ${path}: ${cause}`, {
    next: "free space on that disk or raise the limit; what was acknowledged before is safe, and commits go on once there is room",
    ...(thrown === undefined ? {} : { cause: thrown }),
  });
}

export function notEmpty(directory: string): MusterError {
  return new MusterError("storage/not-empty", `${directory} holds a roll already`, {
    next: "name an empty or new directory with --data DIR, or replace the roll (it is kept as replaced-roll.mdb): --replace",
  });
}

export function failed(path: string, what: string, thrown: unknown): MusterError {
  return new MusterError("storage/failed", `${what} ${path} failed: ${errorOf(thrown).message}`, {
    next: "look at the disk and its permissions; what was acknowledged before is safe",
    cause: thrown,
  });
}

export function closed(path: string): MusterError {
  return new MusterError("storage/closed", `the store in ${path} is not open`, { next: "open it before anything is committed" });
}

/** The system's name of an error ("ENOSPC"), if it has one. */
export function systemCode(thrown: unknown): string | undefined {
  if (typeof thrown !== "object" || thrown === null || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}
