import type { Address } from "./address.ts";

/**
 * Ordered, reliable bytes between two ends: what TCP, TLS and unix sockets give, and what the simulated network gives.
 * The port says nothing about what the bytes mean, so that TLS can come without touching a caller.
 */
export interface Connection {
  /** Who is at the other end, as far as the transport knows. */
  readonly peer: Address;
  /** The address on this side; the agent's probes and routes are bound to it. */
  readonly local: Address;
  /** Bytes accepted by `write` and not yet handed to the system: the measure of a slow reader. */
  readonly bufferedBytes: number;
  /** Starts delivery. Called once, before anything is written. */
  open(handlers: ConnectionHandlers): void;
  /** Queues bytes; never blocks and never throws. The caller does not touch `bytes` afterwards. */
  write(bytes: Uint8Array): void;
  /** Stops and restarts the delivery of data: back-pressure towards the sender. */
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
}

export interface ConnectionHandlers {
  /** `chunk` is only valid during the call, unless the handler copies it. */
  data(chunk: Uint8Array): void;
  /** `bufferedBytes` has fallen to zero after a `write` had left it above zero, by however little. */
  drain(): void;
  /** Called exactly once; nothing follows it. `error` is absent for an orderly end. */
  close(error?: Error): void;
}

export interface Listener {
  /** The address that was really bound: port 0 is replaced by the one the system gave. */
  readonly address: Address;
  close(): Promise<void>;
}

export interface ConnectOptions {
  /** Bind this side to the address of one of the host's routes. */
  readonly localHost?: string;
  /** Give up after this long; default 3,000 ms. */
  readonly timeoutMs?: number;
}

export interface Transport {
  /** Rejects with `transport/address-in-use` or `transport/cannot-listen`. */
  listen(address: Address, accept: (connection: Connection) => void): Promise<Listener>;
  /** Rejects with `transport/refused`, `transport/unreachable` or `transport/timeout`. */
  connect(address: Address, options?: ConnectOptions): Promise<Connection>;
}
