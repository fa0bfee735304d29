import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MusterError, type Random, errorOf } from "../kernel/index.ts";

/** What keys the probes of a fleet: whoever knows it can say that a host lives, so it is kept like a password. */
export interface FleetSecret {
  /** 64 hexadecimal digits. */
  readonly hex: string;
  /** Writes a new one beside the roll, for its owner alone; to be called once the data folder is this node's. */
  keep(): void;
}

/** The name of the secret's file in a directory's data folder. */
export const secretFile = "secret";
const secretBytesMin = 16;
const secretBytesMax = 4096;
const digestDigits = 64;

/**
 * The secret of a file that was named (`--secret FILE`, `MUSTER_SECRET`), else the one in the data folder, else a new one.
 * Throws `main/bad-secret`.
 */
export function fleetSecret(named: string | undefined, data: string | undefined, random: Random): FleetSecret {
  const nothing = () => {};
  if (named !== undefined) return { hex: readSecret(named), keep: nothing };
  const hex = random.hex(digestDigits);
  if (data === undefined) return { hex, keep: nothing };
  const file = join(data, secretFile);
  if (existsSync(file)) return { hex: readSecret(file), keep: nothing };
  return { hex, keep: () => writeFileSync(file, `${hex}\n`, { mode: 0o600, flag: "wx" }) };
}

/** Any file of 16 to 4,096 bytes; its digest is the key, so a password file serves as well as random bytes. */
export function readSecret(file: string): string {
  const next = `write one: head -c 32 /dev/urandom | xxd -p -c 64 > ${file}; chmod 600 ${file}`;
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch (thrown) {
    throw new MusterError("main/bad-secret", `the secret ${file} cannot be read: ${errorOf(thrown).message}`, { next, cause: thrown });
  }
  if (text.length < secretBytesMin || text.length > secretBytesMax)
    throw new MusterError(
      "main/bad-secret",
      `the secret in ${file} has ${text.length} characters, not ${secretBytesMin} to ${secretBytesMax}`,
      {
        next,
      },
    );
  return /^[0-9a-f]{64}$/.test(text) ? text : createHash("sha256").update(text).digest("hex");
}
