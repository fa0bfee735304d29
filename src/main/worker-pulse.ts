import { Worker } from "node:worker_threads";
import { type Telemetry, errorOf } from "../kernel/index.ts";
import type { PulseKeeper, PulseTask } from "../roll/index.ts";
import { formatAddress } from "../transport/index.ts";
import type { WorkerOrder, WorkerTask } from "./heartbeat-worker.ts";
import { ownProcess } from "./process-probe.ts";

const workerModule = new URL(import.meta.url.endsWith(".ts") ? "./heartbeat-worker.ts" : "./heartbeat-worker.js", import.meta.url);
/** The thread holds one link and one timer. */
const heapMbMax = 32;
/** Turns of the main loop that are counted between two pulses. */
const turnsPerPulse = 2;

/**
 * The main thread's side of the pulses: a worker thread from the first entry that is served on, and a counter that a timer of
 * the main loop turns. Neither keeps the program alive. When the thread cannot run, the main loop's beats go on as before.
 */
export class WorkerPulse implements PulseKeeper {
  readonly #name: string;
  readonly #telemetry: Telemetry;
  readonly #turns = new SharedArrayBuffer(4);
  #worker: Worker | undefined;
  #task: PulseTask | undefined;
  #turning: NodeJS.Timeout | undefined;
  #works = false;
  #broken = false;

  constructor(name: string, telemetry: Telemetry) {
    this.#name = name;
    this.#telemetry = telemetry;
  }

  get works(): boolean {
    return this.#works;
  }

  keep(task: PulseTask | undefined): void {
    const before = this.#task;
    this.#task = task;
    if (task === undefined) {
      this.#stop();
      return;
    }
    if (this.#broken) return;
    if (before?.everyMs !== task.everyMs) this.#turn(task.everyMs / turnsPerPulse);
    this.#worker ??= this.#start(task.token);
    const order: WorkerOrder = { watcher: formatAddress(task.watcher), everyMs: task.everyMs };
    this.#worker?.postMessage(order);
  }

  #turn(everyMs: number): void {
    clearInterval(this.#turning);
    const counter = new Int32Array(this.#turns);
    this.#turning = setInterval(() => Atomics.add(counter, 0, 1), everyMs);
    this.#turning.unref();
  }

  #start(token: string): Worker | undefined {
    const workerData: WorkerTask = { name: this.#name, token, ...ownProcess(), turns: this.#turns };
    try {
      const worker = new Worker(workerModule, {
        workerData,
        // Nothing of what the program was started with concerns this thread.
        execArgv: [],
        env: {},
        name: "muster heartbeats",
        resourceLimits: { maxOldGenerationSizeMb: heapMbMax },
      });
      worker.unref();
      worker.on("message", (works: unknown) => this.#changed(worker, works === true));
      worker.on("error", (error) => this.#fail(worker, error));
      worker.on("exit", () => this.#fail(worker, new Error("the thread has ended")));
      return worker;
    } catch (thrown) {
      this.#fail(undefined, errorOf(thrown));
      return undefined;
    }
  }

  #changed(worker: Worker, works: boolean): void {
    if (this.#worker !== worker || works === this.#works) return;
    this.#works = works;
    this.#task?.changed();
  }

  #fail(worker: Worker | undefined, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#broken = true;
    clearInterval(this.#turning);
    this.#telemetry.log("warn", "heartbeat-thread-failed", { reason: error.message, next: "heartbeats come from the main loop" });
    if (!this.#works) return;
    this.#works = false;
    this.#task?.changed();
  }

  #stop(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#works = false;
    clearInterval(this.#turning);
    void worker?.terminate();
  }
}
