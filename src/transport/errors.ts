import { MusterError } from "../kernel/index.ts";
import { type Address, formatAddress } from "./address.ts";

/** Why `listen` failed, in words of ours. */
export function listenError(address: Address, error: NodeJS.ErrnoException): MusterError {
  const where = formatAddress(address);
  const cause = error;
  switch (error.code) {
    case "EADDRINUSE":
      return new MusterError("transport/address-in-use", `${where} is already in use`, {
        next:
          address.kind === "unix"
            ? "stop the program that answers there, or choose another path"
            : "choose another port; port 0 picks a free one",
        cause,
      });
    case "EACCES":
    case "EPERM":
      return new MusterError("transport/cannot-listen", `this user may not listen on ${where}`, {
        next: address.kind === "unix" ? "choose a path below a folder of your own" : "choose a port above 1023",
        cause,
      });
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new MusterError("transport/cannot-listen", `${where} is not an address of this host`, {
        next: "list the host's addresses (`ip addr`) and choose one of them",
        cause,
      });
    default:
      return new MusterError("transport/cannot-listen", `cannot listen on ${where}: ${error.message}`, {
        next: "look at the cause, then choose another address",
        cause,
      });
  }
}

/** Why `connect` failed. Nothing has been sent, so the effect is none in every case. */
export function connectError(address: Address, error: NodeJS.ErrnoException): MusterError {
  const where = formatAddress(address);
  const cause = error;
  switch (error.code) {
    case "ECONNREFUSED":
    case "ENOENT":
    case "ENOTSOCK":
      return new MusterError("transport/refused", `nobody listens on ${where}`, {
        next: "start the node that should answer there, or correct the address",
        cause,
      });
    case "ETIMEDOUT":
      return connectTimeout(address, undefined, cause);
    case "ECONNRESET":
    case "EPIPE":
      return new MusterError("transport/reset", `${where} broke the connection off while it was opened`, {
        next: "look whether the node there is starting, stopping or full",
        cause,
      });
    case "EACCES":
    case "EPERM":
      return new MusterError("transport/unreachable", `this user may not connect to ${where}`, {
        next: address.kind === "unix" ? "run as the user that owns the socket" : "look at the firewall of this host",
        cause,
      });
    case "EADDRNOTAVAIL":
      return new MusterError("transport/unreachable", `no route of this host leads to ${where} from the address asked for`, {
        next: "check the host's own addresses (`ip addr`)",
        cause,
      });
    default:
      return new MusterError("transport/unreachable", `${where} cannot be reached: ${error.message}`, {
        next: "check the name, the address and the network in between",
        cause,
      });
  }
}

export function connectTimeout(address: Address, timeoutMs: number | undefined, cause?: Error): MusterError {
  const span = timeoutMs === undefined ? "in time" : `within ${timeoutMs} ms`;
  return new MusterError("transport/timeout", `${formatAddress(address)} did not answer ${span}`, {
    next: "check that the host is up and that no firewall drops packets to it",
    cause,
  });
}

/** Why an open connection ended. What was in flight may have arrived. */
export function connectionError(peer: Address, error: NodeJS.ErrnoException): MusterError {
  const where = formatAddress(peer);
  if (error.code === "ETIMEDOUT")
    return new MusterError("transport/timeout", `${where} no longer acknowledges anything`, {
      next: "check the network and whether that host is up",
      effect: "maybe",
      cause: error,
    });
  return new MusterError("transport/reset", `the connection with ${where} broke: ${error.message}`, {
    next: "look whether the program there has ended",
    effect: "maybe",
    cause: error,
  });
}
