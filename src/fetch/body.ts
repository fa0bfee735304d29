import { MusterError } from "../kernel/index.ts";

/** What a request sends, over its attempts. */
export interface Body {
  /** Whether another attempt can send all of it; `unsent`: nothing of the attempts before has reached a server. */
  canRepeat(unsent: boolean): boolean;
  /** Nobody reads on: the request has ended. */
  end(): void;
}

/** A body that can be read any number of times, or none at all. */
export const wholeBody: Body = Object.freeze({ canRepeat: () => true, end: () => {} });

/** A client may read the beginning of a stream before it has a connection; so much is kept until it is known to be sent. */
const keptBytesMax = 64 * 1024;

/**
 * A body that is read once: a stream of the caller's. Attempts read it through `chunks`. Once more than 64 KiB of it were
 * read, or something of it may have been sent, it cannot be repeated.
 */
export class OneShotBody<Chunk> implements Body {
  readonly #source: AsyncIterator<Chunk>;
  /** What was read and may be asked for again; beyond `keptBytesMax` only what the present attempt has not taken. */
  readonly #kept: Chunk[] = [];
  #keptFrom = 0;
  #keptBytes = 0;
  #begun = false;
  #ended = false;
  #pulling: Promise<void> | undefined;
  #turn = 0;

  constructor(source: AsyncIterable<Chunk> | Iterable<Chunk>) {
    this.#source = iteratorOf(source);
  }

  canRepeat(unsent: boolean): boolean {
    return !this.#begun || (unsent && this.#keptFrom === 0 && this.#keptBytes <= keptBytesMax);
  }

  /** From the beginning; the reader of an earlier attempt gets no more. */
  async *chunks(): AsyncGenerator<Chunk, void, undefined> {
    const turn = ++this.#turn;
    for (let next = 0; turn === this.#turn; ) {
      const index = next - this.#keptFrom;
      const chunk = this.#kept[index];
      if (chunk !== undefined) {
        next++;
        if (this.#keptBytes > keptBytesMax) {
          this.#kept.splice(0, index + 1);
          this.#keptFrom = next;
        }
        yield chunk;
      } else if (this.#ended) return;
      else {
        this.#pulling ??= this.#pull();
        await this.#pulling;
      }
    }
    // Not a return: what was sent is not the whole body.
    throw new MusterError("fetch/body-used", "the body is read by a later attempt, or by nobody any more", { effect: "maybe" });
  }

  end(): void {
    this.#turn++;
    if (this.#ended) return;
    this.#ended = true;
    this.#source.return?.()?.then(undefined, () => undefined);
  }

  async #pull(): Promise<void> {
    this.#begun = true;
    try {
      const { done, value } = await this.#source.next();
      if (done === true) this.#ended = true;
      else {
        this.#kept.push(value);
        this.#keptBytes += bytesOf(value);
      }
    } finally {
      this.#pulling = undefined;
    }
  }
}

function iteratorOf<Chunk>(source: AsyncIterable<Chunk> | Iterable<Chunk>): AsyncIterator<Chunk> {
  if (Symbol.asyncIterator in source) return source[Symbol.asyncIterator]();
  const iterator = source[Symbol.iterator]();
  return { next: async () => iterator.next(), return: async () => iterator.return?.() ?? { done: true, value: undefined } };
}

function bytesOf(chunk: unknown): number {
  if (typeof chunk === "string") return chunk.length;
  return ArrayBuffer.isView(chunk) ? chunk.byteLength : keptBytesMax;
}
