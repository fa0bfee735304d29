import type { CarriedRow, GroupWord } from "./messages.ts";
import { batchBytesMax, ticks } from "./options.ts";
import type { Position } from "./ports.ts";

type Part = Extract<GroupWord, { kind: "part" }>;

/** Parts that are under way at a time. */
const partsMax = 4;

/** Carries one copy of the state to one joiner, part after part; rows are read and encoded as it takes them. */
export class SnapshotFeed {
  readonly number: number;
  readonly at: Position;
  readonly #attempt: number;
  readonly #rows: Iterator<CarriedRow>;
  readonly #send: (part: Part) => void;
  #next: IteratorResult<CarriedRow, unknown>;
  /** Sent and not confirmed, in order. */
  #open: Part[] = [];
  #made = 0;
  #isComplete = false;
  #quietTicks = 0;

  constructor(number: number, attempt: number, at: Position, rows: Iterable<CarriedRow>, send: (part: Part) => void) {
    this.number = number;
    this.#attempt = attempt;
    this.at = at;
    this.#rows = rows[Symbol.iterator]();
    this.#next = this.#rows.next();
    this.#send = send;
    this.#fill();
  }

  /** It has all parts up to this number. Returns whether that is everything. */
  got(number: number): boolean {
    const count = this.#open.length;
    this.#open = this.#open.filter((part) => part.number > number);
    if (this.#open.length < count) this.#quietTicks = 0;
    this.#fill();
    return this.#isComplete && this.#open.length === 0;
  }

  beat(): void {
    this.#quietTicks++;
    if (this.#quietTicks < ticks.resend) return;
    this.#quietTicks = 0;
    for (const part of this.#open) this.#send(part);
  }

  #fill(): void {
    while (!this.#isComplete && this.#open.length < partsMax) {
      const part = this.#make();
      this.#open.push(part);
      this.#send(part);
    }
  }

  #make(): Part {
    const rows: CarriedRow[] = [];
    let bytes = 0;
    while (this.#next.done !== true) {
      const row = this.#next.value;
      const rowBytes = row.bytes.length + row.key.length * 3 + 16;
      if (rows.length > 0 && bytes + rowBytes > batchBytesMax) break;
      rows.push(row);
      bytes += rowBytes;
      this.#next = this.#rows.next();
    }
    this.#isComplete = this.#next.done === true;
    const number = this.#made++;
    return { kind: "part", attempt: this.#attempt, feed: this.number, number, isLast: this.#isComplete, at: this.at, rows };
  }
}
