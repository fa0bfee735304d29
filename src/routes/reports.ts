import type { ReachState } from "./path.ts";

/** A host's agent, and which of its attachments here: an accusation of an older one is void. */
export interface Attachment {
  readonly session: number;
  readonly counter: number;
}

/** A host whose agent is attached to this node. */
export interface ProbedChild extends Attachment {
  readonly host: string;
  /** Of its routes, by number. */
  readonly addresses: readonly string[];
}

/** What the prober finds out. Called from its own ticks and from received probes; must not throw. */
export interface ProbeReports {
  /** A route to the parent works again, or for the first time. */
  parentHeard?(): void;
  /** It worked, and no route to the parent works any more. */
  parentUnheard?(): void;
  /** The way from that own address to the parent is cut, and another one is not. */
  parentRouteCut?(address: string): void;
  /**
   * Once for each change, and once for each route of a newly attached host that works (`valid`, also when its row never said otherwise,
   * because another parent may have called it cut). Not called for a host that is silent on all routes.
   */
  route?(host: string, number: number, state: "valid" | "cut", why: string): void;
  /** Silent on all routes, and two of three other hosts (or all that could be asked, at least one) say so too. */
  hostSilent?(host: string, attachment: Attachment, why: string): void;
  /** After `hostSilent`: something proven came from it. */
  hostHeard?(host: string): void;
  /** The parent's position of a whole period ago is still ahead of ours: something was missed, or is on its way for long. */
  positionAhead?(epoch: number, sequence: number): void;
}

/** One direction of one route between two nodes, for `muster routes`. */
export interface ReachRow {
  readonly from: string;
  readonly to: string;
  /** The number of the route at the child of the pair. */
  readonly route: number;
  readonly address: string;
  /** As seen from the node that answers: what arrives here, or what arrives there by the other's word. */
  readonly direction: "in" | "out";
  readonly state: ReachState;
  /** Milliseconds since the last proven message; undefined: never, or unknown here. */
  readonly lastHeardMs: number | undefined;
  /** Silent periods of the last ones, 0 to 100. */
  readonly lossPercent: number;
  /** What else is known: "this pair only", "own interface suspected", … */
  readonly note?: string;
}
