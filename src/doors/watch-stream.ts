import { type Clock, type Revision, compareRevision, every, formatRevision } from "../kernel/index.ts";
import type { PlacedEvent } from "./event-history.ts";

export interface WatchStreamOptions {
  readonly tables: readonly string[];
  readonly prefix: string;
  /** Everything up to here is known to the reader. */
  readonly from: Revision;
  /** What has happened since then; delivered first. */
  readonly missed: readonly PlacedEvent[];
  /** Events that wait for a slow reader; the overflow becomes one Subscribe for each table. Default 1,024. */
  readonly eventsMax?: number;
  /** A comment is sent when nothing else was for this long, so that both ends notice a dead connection. Default 15 s. */
  readonly aliveMs?: number;
  readonly clock: Clock;
  /** The reader has gone, or the stream was closed. Called once. */
  readonly closed: () => void;
}

/** Bytes handed over at once; the rest waits in the bounded queue until the reader has taken them. */
const chunkCharactersMax = 64 * 1024;

/**
 * One reader of server-sent events. `id` is the position up to which the reader has everything: on the last event of a change
 * its own revision, on the ones before it the revision before it. So a reader that loses its connection in the middle of a
 * change gets that change again, and never half of it only.
 */
export class WatchStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #options: WatchStreamOptions;
  readonly #eventsMax: number;
  readonly #encoder = new TextEncoder();
  /** Events were discarded: the reader is told to read the tables again. */
  #rescan = false;
  readonly #alive: { cancel(): void };
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #queue: PlacedEvent[] = [];
  #complete: Revision;
  #hungry = false;
  #flushing = false;
  #quiet = true;
  #closed = false;

  constructor(options: WatchStreamOptions) {
    this.#options = options;
    this.#queue = options.missed.filter((placed) => this.#concerns(placed));
    this.#eventsMax = (options.eventsMax ?? 1024) + this.#queue.length;
    this.#complete = options.from;
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
          // An id without an event: a reader that is cut off before the first event can resume, too.
          this.#write(`retry: 1000\nid: ${formatRevision(options.from)}\n\n`);
        },
        pull: () => {
          this.#hungry = true;
          this.#flush();
        },
        cancel: () => this.#finish(),
      },
      { highWaterMark: 1 },
    );
    this.#alive = every(options.clock, options.aliveMs ?? 15_000, () => {
      if (this.#quiet && this.#hungry) this.#write(": alive\n\n");
      this.#quiet = true;
    });
  }

  push(placed: PlacedEvent): void {
    if (this.#closed) return;
    if (!this.#concerns(placed)) return;
    if (this.#queue.length >= this.#eventsMax) {
      this.#rescan = true;
      this.#queue = [];
    }
    if (this.#rescan) {
      // Covered by the Subscribe that is still to be delivered.
      this.#complete = placed.position;
      return;
    }
    this.#queue.push(placed);
    if (this.#hungry) this.#flushSoon();
  }

  /** The reader has missed something before. */
  rescan(): void {
    this.#rescan = true;
    if (this.#hungry) this.#flushSoon();
  }

  /** Ends the stream. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#finish();
    this.#controller?.close();
  }

  #concerns({ key }: PlacedEvent): boolean {
    return key === undefined || key.startsWith(this.#options.prefix);
  }

  #finish(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#alive.cancel();
    this.#queue = [];
    this.#options.closed();
  }

  /** At the end of this turn, when all events of the change have arrived. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#closed || !this.#hungry) return;
    let text = "";
    if (this.#rescan)
      for (const table of this.#options.tables) text += this.#render("Subscribe", JSON.stringify({ event: "Subscribe", table }));
    this.#rescan = false;
    let taken = 0;
    for (const [index, { name, text: event, position }] of this.#queue.entries()) {
      if (text.length > chunkCharactersMax) break;
      taken = index + 1;
      const next = this.#queue[index + 1];
      if (next === undefined || compareRevision(next.position, position) !== 0) this.#complete = position;
      text += this.#render(name, event);
    }
    this.#queue.splice(0, taken);
    if (text === "") return;
    this.#write(text);
  }

  #render(name: string, text: string): string {
    return `id: ${formatRevision(this.#complete)}\nevent: ${name}\ndata: ${text}\n\n`;
  }

  #write(text: string): void {
    this.#hungry = false;
    this.#quiet = false;
    this.#controller?.enqueue(this.#encoder.encode(text));
  }
}
