import { type Hash, createHash, randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type BitfileClient, readPatienceMs } from "./bitfile-client.ts";
import { namesTag, parseByteRange } from "./byte-range.ts";
import { StoreError, codeOf } from "./errors.ts";
import { type FileRecord, type VersionedRecord, copiesOfAFile, describeFile } from "./file-record.ts";
import { type Exchange, sendBytes, sendJson } from "./http-server.ts";
import type { MetadataClient } from "./metadata-client.ts";
import { Spool, type SpoolOptions } from "./spool.ts";

export interface FilesOptions {
  readonly metadata: MetadataClient;
  readonly bitfiles: BitfileClient;
  readonly spool: SpoolOptions;
  /** An upload whose second copy comes later than this after the first is given up; well below the sweep's age. */
  readonly finishWithinMs: number;
}

type Headers = Exchange["request"]["headers"];

function tagOf(record: FileRecord | undefined): string | undefined {
  return record === undefined ? undefined : `"${record.sha256}"`;
}

/** Whole seconds, as HTTP dates are. */
function httpDate(unixMs: number): string {
  return new Date(unixMs).toUTCString();
}

function requirePreconditions(headers: Headers, current: FileRecord | undefined): void {
  const ifMatch = headers["if-match"];
  const ifNoneMatch = headers["if-none-match"];
  if ((ifMatch !== undefined && !namesTag(ifMatch, tagOf(current))) || (ifNoneMatch !== undefined && namesTag(ifNoneMatch, tagOf(current))))
    throw new StoreError(412, "filestore/precondition-failed", "the file is not what the request says it must be", {
      next: "read its ETag again",
    });
}

function isNotModified(headers: Headers, record: FileRecord): boolean {
  const ifNoneMatch = headers["if-none-match"];
  if (ifNoneMatch !== undefined) return namesTag(ifNoneMatch, tagOf(record));
  const since = Date.parse(headers["if-modified-since"] ?? "");
  return !Number.isNaN(since) && Math.floor(record.modifiedUnixMs / 1000) * 1000 <= since;
}

function noSuchFile(name: string): StoreError {
  return new StoreError(404, "filestore/no-such-file", `there is no file "${name}"`, { next: "GET /files/?prefix= lists what there is" });
}

/** Passes the bytes on, and holds the last ones back until all of them are what the metadata says. */
export async function* verified(source: AsyncIterable<Buffer>, sha256: string): AsyncGenerator<Buffer> {
  const hash = createHash("sha256");
  let held: Buffer | undefined;
  for await (const chunk of source) {
    if (held !== undefined) yield held;
    hash.update(chunk);
    held = chunk;
  }
  if (hash.digest("hex") !== sha256) throw new StoreError(500, "filestore/damaged-object", "the bytes are not those that were stored");
  if (held !== undefined) yield held;
}

async function* hashed(source: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
}

/** What a gateway does with one file. */
export class GatewayFiles {
  readonly #options: FilesOptions;
  #turn = 0;

  constructor(options: FilesOptions) {
    this.#options = options;
  }

  /**
   * Stores the body under the name. The bytes go to two bitfile servers while they come in; when both have flushed them, the
   * metadata is switched from the old object to the new one, and only then is the file acknowledged.
   */
  async put(exchange: Exchange, name: string): Promise<void> {
    const { request, response } = exchange;
    const { metadata, bitfiles, finishWithinMs } = this.#options;
    if (request.headers["content-range"] !== undefined)
      throw new StoreError(400, "filestore/partial-put", "a part of a file cannot be written", { next: "send the whole file" });
    const type = request.headers["content-type"] ?? "application/octet-stream";
    if (type.length > 255) throw new StoreError(400, "filestore/bad-type", "the content type has more than 255 characters");
    // Asked before the body: a client that waits for "100 Continue" need not send what will be refused.
    const before = await metadata.get(name);
    requirePreconditions(request.headers, before);
    exchange.acceptBody();

    const object = randomBytes(16).toString("hex");
    const hash = createHash("sha256");
    let digest = "";
    const spool = new Spool(this.#options.spool);
    const clientGone = new AbortController();
    // Nobody waits for the answer any more: what is not committed yet stays undone.
    response.once("close", () => clientGone.abort(new StoreError(499, "filestore/client-gone", "the client has gone")));
    try {
      const filled = spool
        .fill(hashed(request, hash))
        .then(() => {
          digest = hash.digest("hex");
        })
        .catch((thrown: unknown) => {
          clientGone.abort(thrown);
          throw thrown;
        });
      const stored = bitfiles.store({
        object,
        name,
        spool,
        sha256: () => digest,
        copies: copiesOfAFile,
        withinMs: finishWithinMs,
        signal: clientGone.signal,
      });
      const [copies] = await Promise.all([stored, filled]);
      clientGone.signal.throwIfAborted();
      const record = await this.#commit({ name, object, size: spool.size, sha256: digest, type, copies }, request.headers, before);
      sendJson(response, 201, describeFile(record), { etag: `"${record.sha256}"`, location: exchange.path });
    } finally {
      await spool.close();
    }
  }

  /** Sends a file, or the part of it that is asked for; HEAD sends its head. */
  async get(exchange: Exchange, name: string): Promise<void> {
    const { request, response } = exchange;
    const { metadata, bitfiles } = this.#options;
    const startedMs = performance.now();
    for (let record = await metadata.get(name); ; ) {
      if (record === undefined) throw noSuchFile(name);
      const headers = {
        etag: `"${record.sha256}"`,
        "last-modified": httpDate(record.modifiedUnixMs),
        "accept-ranges": "bytes",
        "content-type": record.type,
        "x-content-type-options": "nosniff",
      };
      const ifMatch = request.headers["if-match"];
      if (ifMatch !== undefined && !namesTag(ifMatch, headers.etag)) requirePreconditions(request.headers, record);
      if (isNotModified(request.headers, record)) return void response.writeHead(304, headers).end();
      const ifRange = request.headers["if-range"];
      const rangeHolds = ifRange === undefined || ifRange === headers.etag;
      const range = parseByteRange(rangeHolds && request.method === "GET" ? request.headers.range : undefined, record.size);
      if (range.kind === "unsatisfiable")
        throw new StoreError(416, "filestore/bad-range", `the file has ${record.size} bytes`, {
          headers: { "content-range": `bytes */${record.size}` },
        });
      const startByte = range.kind === "part" ? range.startByte : 0;
      const endByte = range.kind === "part" ? range.endByte : record.size - 1;
      const status = range.kind === "part" ? 206 : 200;
      const head = {
        ...headers,
        "content-length": String(endByte + 1 - startByte),
        ...(range.kind === "part" ? { "content-range": `bytes ${startByte}-${endByte}/${record.size}` } : {}),
      };
      if (request.method === "HEAD" || record.size === 0) return void response.writeHead(status, head).end();

      const copies = this.#turn++ % 2 === 0 ? record.copies : record.copies.toReversed();
      const raw = bitfiles.read(record.object, record.sha256, copies, startByte, endByte);
      const bytes = range.kind === "part" ? raw : verified(raw, record.sha256);
      let first: IteratorResult<Buffer>;
      try {
        first = await bytes.next();
      } catch (thrown) {
        // The file was overwritten between its metadata and its bytes: start again with what stands there now.
        const now: VersionedRecord | undefined = await metadata.get(name);
        if (now?.version === record.version) {
          // One copy is lost, and the other may come back.
          if (codeOf(thrown) !== "filestore/copy-gone" || performance.now() - startedMs > readPatienceMs) throw thrown;
          await delay(100);
        }
        record = now;
        continue;
      }
      response.writeHead(status, head);
      return sendBytes(response, continued(first, bytes));
    }
  }

  async delete(exchange: Exchange, name: string): Promise<void> {
    const { metadata, bitfiles } = this.#options;
    const replaced = await metadata.change(name, (current) => {
      requirePreconditions(exchange.request.headers, current);
      return current === undefined ? undefined : "delete";
    });
    if (replaced === undefined) throw noSuchFile(name);
    exchange.response.writeHead(204).end();
    await bitfiles.discard(replaced.object, replaced.copies);
  }

  async #commit(
    stored: Omit<FileRecord, "createdUnixMs" | "modifiedUnixMs">,
    headers: Headers,
    before: VersionedRecord | undefined,
  ): Promise<FileRecord> {
    const { metadata, bitfiles } = this.#options;
    const nowUnixMs = Date.now();
    let record: FileRecord = { ...stored, createdUnixMs: nowUnixMs, modifiedUnixMs: nowUnixMs };
    try {
      const decide = (current: VersionedRecord | undefined): FileRecord => {
        requirePreconditions(headers, current);
        record = { ...record, createdUnixMs: current?.createdUnixMs ?? nowUnixMs };
        return record;
      };
      const replaced = await metadata.change(stored.name, decide, before ?? "absent");
      if (replaced !== undefined) void bitfiles.discard(replaced.object, replaced.copies);
      return record;
    } catch (thrown) {
      // Deleted at once only when the metadata can no longer come to refer to it; otherwise the sweep decides.
      if (thrown instanceof StoreError && thrown.code === "filestore/precondition-failed")
        void bitfiles.discard(stored.object, stored.copies);
      throw thrown;
    }
  }
}

async function* continued(first: IteratorResult<Buffer>, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  if (first.done) return;
  yield first.value;
  yield* rest;
}
