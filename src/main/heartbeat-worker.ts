import { parentPort, workerData } from "node:worker_threads";
import { SystemClock, SystemRandom, isRecord } from "../kernel/index.ts";
import { PulseSender } from "../roll/index.ts";
import { TcpTransport, parseAddress } from "../transport/index.ts";

/** What the main thread gives this thread when it starts it. */
export interface WorkerTask {
  readonly name: string;
  readonly token: string;
  readonly pid: number;
  readonly started: string;
  /** One counter that grows with every turn of the main loop. */
  readonly turns: SharedArrayBuffer;
}

/** From the main thread: where pulses go from now on. */
export interface WorkerOrder {
  readonly watcher: string;
  readonly everyMs: number;
}

/** This thread keeps a program's pulses apart from its main loop. It imports no more than that needs, and ends with the program. */
function run(): void {
  const port = parentPort;
  const task = parseTask(workerData);
  if (port === null || task === undefined) return;
  const counter = new Int32Array(task.turns);
  const { name, token, pid, started } = task;
  const sender = new PulseSender({
    clock: new SystemClock(),
    random: new SystemRandom(),
    transport: new TcpTransport(),
    program: { name, token, pid, started },
    turns: () => Atomics.load(counter, 0),
    works: (works) => port.postMessage(works),
  });
  port.on("message", (order: unknown) => {
    if (isRecord(order) && typeof order["watcher"] === "string" && typeof order["everyMs"] === "number")
      sender.aim(parseAddress(order["watcher"]), order["everyMs"]);
  });
}

function parseTask(input: unknown): WorkerTask | undefined {
  if (!isRecord(input)) return undefined;
  const { name, token, pid, started, turns } = input;
  const isTask = typeof name === "string" && typeof token === "string" && typeof pid === "number" && typeof started === "string";
  return isTask && turns instanceof SharedArrayBuffer ? { name, token, pid, started, turns } : undefined;
}

run();
