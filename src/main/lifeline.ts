/**
 * Loaded into every process that `muster up` starts (`node --import`): ends the process when the one that started it is gone,
 * however it went. The pipe on the named descriptor closes with its other end, also after kill -9, so nothing has to be asked
 * and a process id that is used again harms nobody.
 */
import { Socket } from "node:net";

const graceMs = 10_000;
const descriptor = Number(process.env.MUSTER_LIFELINE ?? "");

if (Number.isInteger(descriptor) && descriptor > 2) {
  // What this process starts in turn does not have the pipe.
  delete process.env.MUSTER_LIFELINE;
  const lifeline = new Socket({ fd: descriptor, readable: true, writable: false });
  lifeline.on("error", () => {});
  lifeline.on("close", () => {
    setTimeout(() => process.kill(process.pid, "SIGKILL"), graceMs).unref();
    process.kill(process.pid, "SIGTERM");
  });
  lifeline.resume();
  lifeline.unref();
}
