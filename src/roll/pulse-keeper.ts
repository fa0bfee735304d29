import type { Address } from "../transport/index.ts";

/** What a program's pulses are to do: reach its watcher so often. */
export interface PulseTask {
  readonly watcher: Address;
  /** The program's token, by which its watcher knows whose pulses these are. */
  readonly token: string;
  readonly everyMs: number;
  /** Told when `works` has changed. */
  readonly changed: () => void;
}

/**
 * Sends pulses for a program from outside its main loop, so that its watcher can tell a busy program (stalled) from one that
 * does not run (hung). A node without one beats by its main loop alone.
 */
export interface PulseKeeper {
  /** Whether the watcher answers the pulses at present; while it does, the main loop's own beats only need to register. */
  readonly works: boolean;
  /** Begins, or goes on with another task; undefined: there is nothing to keep alive. Never throws. */
  keep(task: PulseTask | undefined): void;
}
