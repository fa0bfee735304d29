import type { Link } from "../link/index.ts";
import type { Departure } from "./host-expiry.ts";
import type { Hello } from "./messages.ts";
import { type Range, normaliseRanges, signatureOf } from "./interest.ts";
import type { OutgoingLoad } from "./load.ts";

/** A point in the stream of one child: told when everything up to `sequence` has been sent to it. */
export interface Marker {
  readonly id: number;
  readonly sequence: number;
}

/**
 * What a parent knows of one child. `sent` is the position up to which everything that the child holds has been written to
 * its link; `ready` means that its first ranges are whole there.
 */
export class Child {
  readonly link: Link;
  readonly hello: Hello;
  session = 0;
  counter = 0;
  held: readonly Range[] = [];
  want: readonly Range[] = [];
  signature = "";
  sent = 0;
  /** The position that the child has been told. */
  told = 0;
  following = false;
  ready = false;
  synced = false;
  load: OutgoingLoad | undefined;
  loadBegun = false;
  markers: Marker[] = [];
  /** The parent's own tick at which the child last gave a sign of life. */
  aliveAt = 0;
  /** The number of its newest sign of life; 0 is its attachment. */
  alive = 0;
  /** Whether it has once had everything, so that ticks and barriers may count on it. */
  announced = false;
  /** Sessions attached below it, with the counters of their attachments. */
  readonly below = new Map<number, number>();
  /** It closed its handle in good order. */
  leaving = false;
  /** How its link ended, as far as that says anything about it. */
  departure: Departure = "unknown";

  constructor(link: Link, hello: Hello) {
    this.link = link;
    this.hello = hello;
  }

  hold(ranges: readonly Range[]): void {
    this.held = normaliseRanges(ranges);
    this.signature = signatureOf(this.held);
  }
}
