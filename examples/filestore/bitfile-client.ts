import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "./errors.ts";
import { FirstAnswer } from "./first-answer.ts";
import { type Answer, CallFailure, type ServerCalls, readJsonAnswer, storeErrorOf } from "./http-client.ts";
import type { CompleteRoute, Fleet } from "./muster.ts";
import { type Candidate, chooseServer, partitionOf } from "./placement.ts";
import type { Spool } from "./spool.ts";

/** After a server failed and no other is left, how long its return is waited for. */
const patienceMs = 10_000;
/** How long a file of which no copy can be reached is waited for. */
export const readPatienceMs = 3000;
const flushMsMax = 60_000;
const stallMsMax = 10_000;
/** A copy whose first bytes do not come in time gets company: one read in ten may ask twice, and 20 of them at a time. */
const secondCopy = { afterMs: 100, share: 0.1, burst: 20 };

export interface StoreOptions {
  readonly object: string;
  readonly name: string;
  readonly spool: Spool;
  /** Of everything in the spool; asked when it has ended. */
  readonly sha256: () => string;
  readonly copies: number;
  readonly withinMs: number;
  readonly signal: AbortSignal;
}

interface OpenOptions {
  readonly copy: string;
  readonly object: string;
  readonly sha256: string;
  readonly startByte: number;
  readonly endByte: number;
  readonly signal: AbortSignal;
}

/** A copy whose first bytes have come. */
interface OpenCopy {
  readonly copy: string;
  readonly first: IteratorResult<Buffer>;
  readonly chunks: AsyncGenerator<Buffer>;
  close(): void;
}

/** The bitfile servers, seen from a gateway. */
export class BitfileClient {
  readonly #fleet: Fleet;
  readonly #calls: ServerCalls;
  readonly #firstByte = new FirstAnswer(secondCopy);

  constructor(fleet: Fleet, calls: ServerCalls) {
    this.#fleet = fleet;
    this.#calls = calls;
  }

  candidates(): Candidate[] {
    return this.#fleet.search("bitfile").flatMap(({ key, valid }) => {
      const route = valid ? this.#fleet.find("bitfile", key) : undefined;
      return route === undefined ? [] : [{ key, host: route.host }];
    });
  }

  /**
   * Stores an object on as many servers as asked for, on different hosts, all at the same time; each is flushed when this
   * resolves with their keys. A server that dies is replaced by another. From the moment that the first copy is complete,
   * `withinMs` may pass until the last one is: an object that has no file yet is swept when it gets old.
   */
  async store({ object, name, spool, sha256, copies, withinMs, signal }: StoreOptions): Promise<string[]> {
    const abort = new AbortController();
    const both = AbortSignal.any([signal, abort.signal]);
    const preferred = this.#fleet.findPartition("bitfile-partition", partitionOf("bitfile", name))?.instance;
    const chosen = new Map<number, Candidate>();
    let tooLate: NodeJS.Timeout | undefined;
    const storeOne = async (copy: number): Promise<string> => {
      const failed = new Set<string>();
      let lastFailure: unknown;
      let waitingSinceMs: number | undefined;
      for (;;) {
        chosen.delete(copy);
        const hosts = new Set(Array.from(chosen.values(), ({ host }) => host));
        const server = chooseServer(this.candidates(), object, { keys: failed, hosts }, copy === 0 ? preferred : undefined);
        const route = server === undefined ? undefined : this.#fleet.find("bitfile", server.key);
        if (server === undefined || route === undefined) {
          waitingSinceMs ??= performance.now();
          if (performance.now() - waitingSinceMs > patienceMs) throw tooFewServers(copies, lastFailure);
          await delay(100, undefined, { signal: both });
          // Whoever failed before may have come back.
          failed.clear();
          continue;
        }
        chosen.set(copy, server);
        try {
          await this.#put(route, object, spool, sha256, both);
          tooLate ??= setTimeout(() => abort.abort(tooFewServers(copies, "the second copy took too long")), withinMs);
          return server.key;
        } catch (thrown) {
          both.throwIfAborted();
          if (thrown instanceof StoreError && thrown.status < 500) throw thrown;
          lastFailure = thrown;
          failed.add(server.key);
        }
      }
    };
    const results = await Promise.allSettled(
      Array.from({ length: copies }, (_, copy) =>
        storeOne(copy).catch((thrown: unknown) => {
          abort.abort(thrown);
          throw thrown;
        }),
      ),
    );
    clearTimeout(tooLate);
    const stored = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    if (stored.length === copies) return stored;
    void this.discard(object, stored);
    throw signal.aborted ? signal.reason : abort.signal.reason;
  }

  /**
   * The bytes from `startByte` to `endByte`, the last one included, from whichever copy gives the first of them first; when it breaks
   * off, another one goes on where it stopped. Throws `filestore/copy-gone` when a server says that it has no such object: it was
   * deleted meanwhile, or lost there.
   */
  async *read(object: string, sha256: string, copies: readonly string[], startByte: number, endByte: number): AsyncGenerator<Buffer> {
    let at = startByte;
    let failingSinceMs: number | undefined;
    // Who broke off is asked last.
    let order = copies;
    for (;;) {
      let failure: unknown;
      try {
        const opened = await this.#firstByte.of(order, (copy, signal) =>
          this.#open({ copy, object, sha256, startByte: at, endByte, signal }),
        );
        order = [...order.filter((copy) => copy !== opened.copy), opened.copy];
        try {
          for (let next = opened.first; !next.done; next = await opened.chunks.next()) {
            at += next.value.length;
            failingSinceMs = undefined;
            yield next.value;
          }
        } finally {
          opened.close();
        }
        if (at > endByte) return;
        failure = new CallFailure(`${opened.copy} broke off`, true);
      } catch (thrown) {
        failure = thrown;
      }
      if (isGone(failure))
        throw new StoreError(503, "filestore/copy-gone", "a copy of the file is not there any more", { next: "try again", cause: failure });
      failingSinceMs ??= performance.now();
      if (performance.now() - failingSinceMs > readPatienceMs) throw noCopy(copies, failure);
      if (failure instanceof AggregateError) await delay(100);
    }
  }

  /** Deletes an object that no file refers to any more. What cannot be reached is swept later. */
  async discard(object: string, copies: readonly string[]): Promise<void> {
    await Promise.allSettled(
      copies.map(async (copy) => {
        const route = this.#fleet.find("bitfile", copy);
        if (route === undefined) return;
        const answer = await this.#calls.call(route, { method: "DELETE", path: `/objects/${object}` });
        answer.body.resume();
      }),
    );
  }

  async #open({ copy, object, sha256, startByte, endByte, signal }: OpenOptions): Promise<OpenCopy> {
    const route = this.#fleet.find("bitfile", copy);
    if (route === undefined) throw new CallFailure(`${copy} is off the roll`, false);
    const headers = { range: `bytes=${startByte}-${endByte}` };
    const answer = await this.#calls.call(route, { method: "GET", path: `/objects/${object}`, headers, signal });
    try {
      if (answer.status !== 206) throw await storeErrorOf(answer);
      if (answer.headers.etag !== `"${sha256}"`) throw new StoreError(500, "filestore/damaged-object", `${copy} holds other bytes`);
      const chunks = chunksWithin(answer, stallMsMax);
      return { copy, first: await chunks.next(), chunks, close: () => answer.body.destroy() };
    } catch (thrown) {
      answer.body.destroy();
      throw thrown;
    }
  }

  async #put(route: CompleteRoute, object: string, spool: Spool, sha256: () => string, signal: AbortSignal): Promise<void> {
    const answer = await this.#calls.call(route, {
      method: "PUT",
      path: `/objects/${object}`,
      body: () => spool.read(),
      answerMs: flushMsMax,
      signal,
    });
    if (answer.status !== 201) {
      const failure = await storeErrorOf(answer);
      answer.body.destroy();
      throw failure;
    }
    const summary = Object(await readJsonAnswer(answer));
    if (Reflect.get(summary, "size") !== spool.size || Reflect.get(summary, "sha256") !== sha256())
      throw new CallFailure(`${route.instance} did not receive what was sent`, true);
  }
}

function isGone(failure: unknown): boolean {
  const failures = failure instanceof AggregateError ? failure.errors : [failure];
  return failures.some((one) => one instanceof StoreError && one.status === 404);
}

function noCopy(copies: readonly string[], cause: unknown): StoreError {
  return new StoreError(503, "filestore/no-copy", `no copy of the file can be read now (${copies.join(", ")})`, {
    next: "try again; `muster search bitfile` shows which servers are gone",
    headers: { "retry-after": "1" },
    cause,
  });
}

/** A body's chunks; fails when the next one does not come in time. The time that our own reader takes does not count. */
async function* chunksWithin(answer: Answer, stallMs: number): AsyncGenerator<Buffer> {
  const chunks = answer.body[Symbol.asyncIterator]();
  for (;;) {
    const timer = setTimeout(() => answer.body.destroy(new CallFailure(`nothing came for ${stallMs} ms`, true)), stallMs);
    const next = await chunks.next().finally(() => clearTimeout(timer));
    if (next.done) return;
    yield next.value;
  }
}

function tooFewServers(copies: number, cause: unknown): StoreError {
  return new StoreError(503, "filestore/too-few-servers", `${copies} bitfile servers on different hosts are needed to keep a file safe`, {
    next: "start a bitfile server and try again; `muster search bitfile` shows which are gone",
    headers: { "retry-after": "2" },
    cause,
  });
}
