import { type Socket, createSocket } from "node:dgram";
import { lookup as lookupName } from "node:dns";
import { isIP } from "node:net";
import { type DatagramSocket, type Datagrams, type Endpoint, datagramBytesMax } from "./datagram.ts";
import { listenError } from "./errors.ts";

export interface UdpOptions {
  /** What the system keeps while the program does not read; it may give less. Default 1 MiB. */
  readonly receiveBytes?: number;
}

type LookupCallback = (error: NodeJS.ErrnoException | null, address: string, family: number) => void;

const receiveBytesDefault = 1024 * 1024;
const nameKeptMs = 30_000;
const namesMax = 1024;
const mapped = "::ffff:";

/**
 * UDP over IPv4 and IPv6. A socket bound to "::" speaks both. What cannot be sent (no way there, the other family, a name that does
 * not resolve) is dropped in silence, as a network would.
 */
export class UdpDatagrams implements Datagrams {
  readonly #receiveBytes: number;
  /** A probe a period must not mean a question to the resolver a period. */
  readonly #names = new Map<string, { readonly address: string; readonly untilMonoMs: number }>();

  constructor(options: UdpOptions = {}) {
    this.#receiveBytes = options.receiveBytes ?? receiveBytesDefault;
  }

  bind(local: Endpoint, receive: (bytes: Uint8Array, from: Endpoint) => void): Promise<DatagramSocket> {
    const type = local.host.includes(":") ? "udp6" : "udp4";
    const lookup = (name: string, _options: unknown, callback: LookupCallback) => this.#lookup(name, type === "udp6" ? 6 : 4, callback);
    return new Promise((resolve, reject) => {
      const socket = createSocket({ type, recvBufferSize: this.#receiveBytes, lookup });
      const onError = (error: Error) => {
        socket.close();
        reject(listenError({ kind: "tcp", ...local }, error));
      };
      socket.once("error", onError);
      socket.bind({ address: local.host, port: local.port, exclusive: true }, () => {
        socket.off("error", onError);
        if (type === "udp4" && local.host !== "0.0.0.0") pinMulticast(socket, local.host);
        resolve(new UdpSocket(socket, { host: local.host, port: socket.address().port }, receive));
      });
    });
  }

  join(group: Endpoint, own: readonly string[], receive: (bytes: Uint8Array, from: Endpoint) => void): Promise<DatagramSocket> {
    return new Promise((resolve, reject) => {
      const socket = createSocket({ type: "udp4", reuseAddr: true, recvBufferSize: this.#receiveBytes });
      const fail = (error: Error) => {
        socket.close();
        reject(listenError({ kind: "tcp", ...group }, error));
      };
      socket.once("error", fail);
      // Bound to the group, not to all addresses: the port belongs to others on each of those.
      socket.bind({ address: group.host, port: group.port }, () => {
        socket.off("error", fail);
        if (own.filter((address) => joins(socket, group.host, address)).length === 0) fail(new Error("no network has multicast"));
        else resolve(new UdpSocket(socket, group, receive));
      });
    });
  }

  #lookup(name: string, family: number, callback: LookupCallback): void {
    const version = isIP(name);
    if (version !== 0) {
      callback(null, name, version);
      return;
    }
    const key = `${family} ${name}`;
    const now = performance.now();
    const known = this.#names.get(key);
    if (known !== undefined && known.untilMonoMs > now) {
      callback(null, known.address, family);
      return;
    }
    lookupName(name, family, (error, address) => {
      if (this.#names.size >= namesMax) this.#names.clear();
      if (error === null) this.#names.set(key, { address, untilMonoMs: now + nameKeptMs });
      callback(error, address, family);
    });
  }
}

class UdpSocket implements DatagramSocket {
  readonly local: Endpoint;
  readonly #socket: Socket;
  readonly #isIpv6: boolean;
  #closed = false;

  constructor(socket: Socket, local: Endpoint, receive: (bytes: Uint8Array, from: Endpoint) => void) {
    this.local = local;
    this.#socket = socket;
    this.#isIpv6 = local.host.includes(":");
    // A refused or unreachable target is not the socket's end.
    socket.on("error", () => {});
    socket.on("message", (bytes, { address, port }) => {
      if (!this.#closed) receive(bytes, { host: address.startsWith(mapped) ? address.slice(mapped.length) : address, port });
    });
  }

  send(bytes: Uint8Array, to: Endpoint): void {
    if (this.#closed || bytes.length > datagramBytesMax || to.port < 1 || to.port > 65_535) return;
    const version = isIP(to.host);
    if (version === 6 && !this.#isIpv6) return;
    const host = version === 4 && this.#isIpv6 ? mapped + to.host : to.host;
    this.#socket.send(bytes, to.port, host, ignore);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}

/** What is sent to a group leaves by the interface of the own address, not by the one that the system likes best. */
function pinMulticast(socket: Socket, own: string): void {
  try {
    socket.setMulticastInterface(own);
  } catch {
    // No multicast there: then messages to a group go nowhere.
  }
}

function joins(socket: Socket, group: string, own: string): boolean {
  try {
    socket.addMembership(group, own);
    return true;
  } catch {
    return false;
  }
}

function ignore(): void {}
