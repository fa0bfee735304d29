import { MusterError } from "../kernel/index.ts";
import { type Address, formatAddress } from "../transport/index.ts";

/** The words of the simulated network: the codes of the real transport, so that callers need no second case. */

export function refused(address: Address): MusterError {
  return new MusterError("transport/refused", `nobody listens on ${formatAddress(address)}`, {
    next: "start the simulated node that should answer there",
  });
}

export function unreachable(address: Address, why: string): MusterError {
  return new MusterError("transport/unreachable", `${formatAddress(address)} cannot be reached: ${why}`, {
    next: "check the hosts and addresses of the simulated network",
  });
}

export function timedOut(address: Address, timeoutMs: number): MusterError {
  return new MusterError("transport/timeout", `${formatAddress(address)} did not answer within ${timeoutMs} ms`, {
    next: "heal the simulated network, or start the host",
  });
}

export function inUse(address: Address): MusterError {
  return new MusterError("transport/address-in-use", `${formatAddress(address)} is already in use`, {
    next: "choose another port; port 0 picks a free one",
  });
}

export function notOurs(address: Address, host: string): MusterError {
  return new MusterError("transport/cannot-listen", `${formatAddress(address)} is not an address of ${host}`, {
    next: "give the host that address with addAddress",
  });
}

export function reset(peer: Address): MusterError {
  return new MusterError("transport/reset", `the connection with ${formatAddress(peer)} broke`, {
    next: "look whether the program there has ended",
    effect: "maybe",
  });
}
