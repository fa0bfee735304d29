/** Where a datagram comes from or goes to. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** The longest payload of UDP over IPv4; what should cross any network in one piece stays under 1,200 bytes. */
export const datagramBytesMax = 65_507;

/**
 * Messages without a connection: each arrives whole, or not at all, or twice, or late, in any order. What UDP gives, and what the
 * simulated network gives.
 */
export interface DatagramSocket {
  /** The endpoint that was really bound: port 0 is replaced by the one the system gave. */
  readonly local: Endpoint;
  /** Hands one message to the system; never blocks, never throws, and says nothing about its fate. Longer than `datagramBytesMax`: dropped. */
  send(bytes: Uint8Array, to: Endpoint): void;
  /** After this returns, nothing is received any more. Idempotent. */
  close(): void;
}

export interface Datagrams {
  /** Rejects with `transport/address-in-use` or `transport/cannot-listen`. `bytes` is only valid during the call, unless it is copied. */
  bind(local: Endpoint, receive: (bytes: Uint8Array, from: Endpoint) => void): Promise<DatagramSocket>;
  /**
   * Receives what is sent to an IP multicast group on the networks of these own addresses; several may join the same one. A message to the
   * group is sent by a socket of `bind`, and stays on the network of its address. Rejects with `transport/cannot-listen` where there
   * is no multicast; absent where there never is.
   */
  join?(group: Endpoint, own: readonly string[], receive: (bytes: Uint8Array, from: Endpoint) => void): Promise<DatagramSocket>;
}
