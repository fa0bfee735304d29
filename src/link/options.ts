import type { Clock, JsonValue, MusterError, Telemetry } from "../kernel/index.ts";
import type { Connection } from "../transport/index.ts";
import type { Link } from "./link.ts";

export interface LinkLimits {
  /** Calls in flight, in each direction; above it a call fails with `link/too-many-calls`. Default 16,384. */
  readonly callsMax: number;
  /** With more than this waiting to be sent, calls of the peer are refused: it does not read its answers. Default 8 MiB. */
  readonly answersBufferedBytesMax: number;
  /** With more than this waiting to be sent the link ends with `link/peer-too-slow`. Default 64 MiB. */
  readonly bufferedBytesMax: number;
  /** Default 3,000. */
  readonly handshakeTimeoutMs: number;
}

export const linkLimits: LinkLimits = Object.freeze({
  callsMax: 16_384,
  answersBufferedBytesMax: 8 * 1024 * 1024,
  bufferedBytesMax: 64 * 1024 * 1024,
  handshakeTimeoutMs: 3000,
});

/** `drain` follows when at least this much has been waiting. */
export const drainAboveBytes = 16 * 1024;

export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

export interface OpenLinkOptions {
  readonly connection: Connection;
  readonly clock: Clock;
  /** What this side tells about itself; arrives as `peerHello` at the other. */
  readonly hello: JsonValue;
  /** The protocol versions that this side speaks; the highest that both speak is agreed on. */
  readonly versions: VersionRange;
  readonly limits?: Partial<LinkLimits>;
  /** Told about handlers that throw what they should not; the peer learns only that one did. */
  readonly telemetry?: Telemetry;
  /**
   * Called once, when the peer's hello has arrived and before any later frame is delivered. `peerHello` is parsed JSON that
   * nobody has checked. Throws a MusterError to refuse: it is sent to the peer as the reason.
   */
  accept(link: Link, peerHello: unknown): LinkHandlers;
}

/** What a handler may know about the call it answers. */
export interface CallContext {
  /** Aborted when the caller gives up, its deadline passes, or the link ends. Made when it is first asked for. */
  readonly signal: AbortSignal;
  /** When the caller stops waiting, on our clock; absent when it waits for ever. */
  readonly deadlineMonoMs?: number | undefined;
}

/** Bodies are views, valid only during the call (for an asynchronous handler: until its first `await`) unless copied. */
export interface LinkHandlers {
  /**
   * Answers a call. An answer that is returned (not promised) costs no promise. What is thrown fails the call: MusterErrors
   * keep their code, anything else becomes `link/handler-failed` without its text.
   */
  call(method: number, body: Uint8Array, context: CallContext): Uint8Array | Promise<Uint8Array>;
  /** One-way messages, in the order they were sent. What is thrown ends the link. */
  message(kind: number, body: Uint8Array): void;
  /** `bufferedBytes` is zero again after it was above 16 KiB. */
  drain?(): void;
  /** Called exactly once, nothing follows it. */
  close(end: LinkEnd): void;
}

/** Who ended the link. `connection`: nobody said why. */
export interface LinkEnd {
  readonly by: "peer" | "us" | "connection";
  /** The reason that was given; absent for an orderly end. */
  readonly error?: MusterError;
}

export interface CallOptions {
  /** How long to wait for the answer; the remaining time travels along. Kept to within 10 ms. Default: for ever. */
  readonly deadlineMs?: number;
  /** Gives up when aborted: the promise rejects with the signal's reason and the peer is told to stop. */
  readonly signal?: AbortSignal;
}
