/**
 * The transport: a port for ordered, reliable bytes between two ends, with its adapter for TCP and unix sockets beside it, and one
 * for datagrams, with its adapter for UDP (the simulated ones live in `testing/`). The ports carry no meaning, so that TLS can
 * come without touching a caller.
 * Rejected: QUIC (not in Node), one socket type for each use (one link carries everything between two nodes).
 */
export { type Address, formatAddress, isLoopback, parseAddress } from "./address.ts";
export { type DatagramSocket, type Datagrams, type Endpoint, datagramBytesMax } from "./datagram.ts";
export { TcpTransport, type TcpTransportOptions } from "./tcp-transport.ts";
export { UdpDatagrams, type UdpOptions } from "./udp-datagrams.ts";
export type { ConnectOptions, Connection, ConnectionHandlers, Listener, Transport } from "./transport.ts";
