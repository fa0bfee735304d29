import { MusterError } from "../kernel/index.ts";

/** What the shell is told. */
export const exitCode = Object.freeze({
  success: 0,
  /** Not found, or refused. */
  refused: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** No agent and no directory was reached. */
  unreachable: 3,
});

/** A command line that cannot be meant as it stands. */
export function usageError(message: string, next: string): MusterError {
  return new MusterError("cli/usage", message, { next });
}

const usageCodes: ReadonlySet<string> = new Set([
  "cli/usage",
  "kernel/bad-duration",
  "transport/bad-address",
  "fleet/bad-where",
  "checks/bad-check",
  "requests/bad-declaration",
  "requests/bad-effect",
  "requests/bad-copies",
]);

const unreachableCodes: ReadonlySet<string> = new Set([
  "fleet/no-agent",
  "cli/no-directory",
  "roll/no-parent",
  "roll/no-directory",
  "roll/parent-lost",
  "roll/parent-silent",
  "roll/parent-detached",
]);

/** Errors of opening a port here are refusals; all other trouble of transports and links means that nobody was reached. */
const listenCodes: ReadonlySet<string> = new Set(["transport/address-in-use", "transport/cannot-listen"]);

export function exitCodeOf(thrown: unknown): number {
  if (!(thrown instanceof MusterError)) return exitCode.refused;
  const { code } = thrown;
  if (usageCodes.has(code)) return exitCode.usage;
  if (listenCodes.has(code)) return exitCode.refused;
  if (unreachableCodes.has(code) || code.startsWith("transport/") || code.startsWith("link/")) return exitCode.unreachable;
  return exitCode.refused;
}
