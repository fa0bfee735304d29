import { readFileSync, watch } from "node:fs";
import { isMainThread } from "node:worker_threads";

/**
 * Loaded before a program and each of its threads (`node --import`): a wall clock that jumps when another number of milliseconds is
 * written into the file MUSTER_LAB_CLOCK. Monotonic time and timers are the system's.
 */
const file = process.env["MUSTER_LAB_CLOCK"];
if (file !== undefined) {
  const SystemDate = Date;
  let offsetMs = readOffset(file) ?? 0;
  const now = () => SystemDate.now() + offsetMs;
  globalThis.Date = new Proxy(SystemDate, {
    get: (target, name) => (name === "now" ? now : Reflect.get(target, name)),
    construct: (target, given, constructed) => Reflect.construct(target, given.length === 0 ? [now()] : given, constructed),
    apply: () => new SystemDate(now()).toString(),
  });
  watch(file, { persistent: false }, () => {
    const next = readOffset(file);
    if (next === undefined || next === offsetMs) return;
    const byMs = next - offsetMs;
    offsetMs = next;
    if (isMainThread) process.stderr.write(`the wall clock jumped by ${byMs / 1000} s, it is ${new Date().toISOString()}\n`);
  });
}

/** Undefined while it is being written. */
function readOffset(from: string): number | undefined {
  const text = readFileSync(from, "utf8");
  return text === "" ? undefined : Number(text);
}
