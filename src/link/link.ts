import type { MusterError } from "../kernel/index.ts";
import type { Address } from "../transport/index.ts";
import type { CallOptions } from "./options.ts";

/** One connection between two nodes after both have said hello. Both sides may call, and send. */
export interface Link {
  readonly peer: Address;
  readonly local: Address;
  /** The protocol version that was agreed on. */
  readonly version: number;
  /** What the peer told about itself: parsed JSON that nobody has checked. */
  readonly peerHello: unknown;
  readonly isOpen: boolean;
  /** Monotonic time at which bytes last came, also those of a message that is not complete yet. */
  readonly heardMonoMs: number;
  /** Bytes on their way out, those included that this turn has not yet written: the measure of a slow reader. */
  readonly bufferedBytes: number;

  /**
   * Asks the peer. The body is copied before `call` returns; the answer is the caller's own (it may share its memory with
   * other answers: copy what is small and kept for long). Rejects with the peer's error, or with `link/deadline-exceeded`
   * (effect maybe), `link/too-many-calls` (none), `wire/frame-too-large` (none), `link/closed` (none when the link had
   * already ended, else maybe), or the signal's reason.
   */
  call(method: number, body: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
  /** Sends one way. Without effect once the link has ended. Throws `wire/frame-too-large`. */
  send(kind: number, body: Uint8Array): void;
  /** The same in two parts, which are joined on the way: `head`, then `rest` (a text as UTF-8). */
  sendParts(kind: number, head: Uint8Array, rest: Uint8Array | string): void;
  /** Sends bytes made by `encodeMessage`. The same buffer may go to many links; it is not copied and must never change. */
  sendFrame(encoded: Uint8Array): void;
  /** Stops delivery: what the peer sends piles up there. Frames of a chunk that has arrived already may still follow. */
  pause(): void;
  resume(): void;
  /** Writes what this turn has gathered now instead of at its end. */
  flush(): void;
  /** Tells the peer why, sends what is queued, ends. Idempotent; handlers are called no more, but for `close`. */
  close(reason?: MusterError): void;
}
