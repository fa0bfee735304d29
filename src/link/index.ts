/**
 * The link: one connection between two nodes, with a handshake, calls in both directions with deadlines and cancellation,
 * and one-way messages in order. The intuition: what two nodes tell each other in one turn of the event loop goes out together,
 * in one write or in a few large ones, and nothing on the way of a call costs a timer.
 * Rejected: HTTP/2 (26 times the CPU of a call, measured), one connection per purpose (order between them is lost), a retry
 * inside the link (only the caller knows whether what it asked may run twice).
 */
import { ConnectionLink } from "./connection-link.ts";
import type { Link } from "./link.ts";
import type { OpenLinkOptions } from "./options.ts";

export { encodeMessage } from "../wire/index.ts";
export { DeadlineSweep } from "./deadline-sweep.ts";
export type { Link } from "./link.ts";
export {
  type CallContext,
  type CallOptions,
  type LinkEnd,
  type LinkHandlers,
  type LinkLimits,
  type OpenLinkOptions,
  type VersionRange,
} from "./options.ts";

/**
 * Resolves after the handshake, on a connection that nobody has opened yet. Rejects with what `accept` or the peer gave as
 * the reason, `link/no-common-version`, `link/handshake-timeout`, `link/unexpected-frame`, `link/closed`, or the
 * transport's error. A refusal by the peer's `accept` can arrive after the promise has resolved: then it comes as `close`.
 */
export function openLink(options: OpenLinkOptions): Promise<Link> {
  return new ConnectionLink(options).open();
}
