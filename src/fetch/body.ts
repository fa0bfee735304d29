import { MusterError } from "../kernel/index.ts";

/** What a request sends, over its attempts. */
export interface Body {
  /** What the caller's own stream has thrown; there is no whole body then, and no attempt may pretend that there is. */
  readonly failure: { readonly thrown: unknown } | undefined;
  /** Whether another attempt can send all of it; `unsent`: nothing of the attempts before has reached a server. */
  canRepeat(unsent: boolean): boolean;
  /** Nobody reads on: the request has ended. */
  end(): void;
}

/** A body that can be read any number of times, or none at all. */
export const wholeBody: Body = Object.freeze({ failure: undefined, canRepeat: () => true, end: () => {} });

/** A client may read the beginning of a stream before it has a connection; so much is kept until it is known to be sent. */
const keptBytesMax = 64 * 1024;

/**
 * A body that is read once: a stream of the caller's. Attempts read it through `chunks`. Once more than 64 KiB of it were
 * read, or something of it may have been sent, or it has failed, it cannot be repeated.
 */
export class OneShotBody<Chunk> implements Body {
  readonly #source: AsyncIterator<Chunk>;
  /** What was read and may be asked for again; beyond `keptBytesMax` only what the present attempt has not taken. */
  readonly #kept: { readonly chunk: Chunk }[] = [];
  #keptFrom = 0;
  #keptBytes = 0;
  #begun = false;
  /** The source has ended by itself: what was read is all of it. */
  #complete = false;
  #failure: { readonly thrown: unknown } | undefined;
  #closed = false;
  #pulling: Promise<void> | undefined;
  #turn = 0;

  constructor(source: AsyncIterable<Chunk> | Iterable<Chunk>) {
    this.#source = iteratorOf(source);
  }

  get failure(): { readonly thrown: unknown } | undefined {
    return this.#failure;
  }

  canRepeat(unsent: boolean): boolean {
    if (this.#failure !== undefined || this.#closed) return false;
    return !this.#begun || (unsent && this.#keptFrom === 0 && this.#keptBytes <= keptBytesMax);
  }

  /** From the beginning; the reader of an earlier attempt gets no more. Throws what the source has thrown. */
  async *chunks(): AsyncGenerator<Chunk, void, undefined> {
    const turn = ++this.#turn;
    for (let next = 0; turn === this.#turn && !this.#closed; ) {
      if (this.#failure !== undefined) throw this.#failure.thrown;
      const index = next - this.#keptFrom;
      const kept = this.#kept[index];
      if (kept !== undefined) {
        next++;
        if (this.#keptBytes > keptBytesMax) {
          this.#kept.splice(0, index + 1);
          this.#keptFrom = next;
        }
        yield kept.chunk;
      } else if (this.#complete) return;
      else {
        this.#pulling ??= this.#pull();
        await this.#pulling;
      }
    }
    // Not a return: what was sent is not the whole body.
    throw new MusterError("fetch/body-used", "the body is read by a later attempt, or by nobody any more", { effect: "maybe" });
  }

  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#complete && this.#failure === undefined) this.#source.return?.()?.then(undefined, () => undefined);
  }

  /** Never rejects: the failure is kept, because each reader has to meet it. */
  async #pull(): Promise<void> {
    this.#begun = true;
    try {
      const { done, value } = await this.#source.next();
      if (done === true) this.#complete = true;
      else {
        this.#kept.push({ chunk: value });
        this.#keptBytes += bytesOf(value);
      }
    } catch (thrown) {
      this.#failure = { thrown };
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
