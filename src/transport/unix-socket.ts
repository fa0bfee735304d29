import { lstat, mkdir, unlink } from "node:fs/promises";
import { connect } from "node:net";
import path from "node:path";
import { MusterError, errorOf } from "../kernel/index.ts";

/** What the smallest of the supported systems allows (macOS: 104 with the ending zero). */
const pathBytesMax = 103;
const probeMs = 1000;

/** The folder of the socket exists afterwards; folders made here are open to this user only. */
export async function prepareSocketFolder(file: string): Promise<void> {
  if (Buffer.byteLength(file) > pathBytesMax)
    throw new MusterError("transport/cannot-listen", `the socket path ${file} is longer than ${pathBytesMax} bytes`, {
      next: "choose a shorter path; a relative one counts as written",
    });
  try {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new MusterError("transport/cannot-listen", `the folder of the socket ${file} cannot be made: ${errorOf(error).message}`, {
      next: "choose a path below a folder that this user may write to",
      cause: error,
    });
  }
}

/**
 * Removes the file that a killed process left behind. True when the path is free now; false when somebody answers there.
 * Two processes that find the same stale file at the same instant can both get here; the second one to bind is then told
 * that the address is in use.
 */
export async function removeStaleSocket(file: string): Promise<boolean> {
  const found = await lstat(file).catch(() => undefined);
  if (found === undefined) return true;
  if (!found.isSocket())
    throw new MusterError("transport/cannot-listen", `${file} exists and is not a socket`, {
      next: "choose another path, or move that file away",
    });
  if (await answers(file)) return false;
  await unlink(file).catch(() => {});
  return true;
}

/** Only a refusal proves that nobody is there: a process too busy to accept must not lose its socket. */
function answers(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path: file });
    const finish = (answer: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => finish(true), probeMs);
    socket.once("connect", () => finish(true));
    socket.once("error", (error: NodeJS.ErrnoException) => finish(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"));
  });
}
