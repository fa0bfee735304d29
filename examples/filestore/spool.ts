import { randomBytes } from "node:crypto";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { StoreError, codeOf } from "./errors.ts";

/** Memory that all uploads of a gateway share; what does not fit goes to a file at once. */
export class SpoolMemory {
  #leftBytes: number;

  constructor(bytesMax: number) {
    this.#leftBytes = bytesMax;
  }

  take(bytes: number): boolean {
    if (bytes > this.#leftBytes) return false;
    this.#leftBytes -= bytes;
    return true;
  }

  give(bytes: number): void {
    this.#leftBytes += bytes;
  }
}

export interface SpoolOptions {
  readonly folder: string;
  readonly memory: SpoolMemory;
  /** An upload's share of the memory; beyond it the bytes go to a file. */
  readonly memoryBytesMax: number;
}

const readBytes = 256 * 1024;

/**
 * What a client has sent so far, readable from its beginning any number of times, also while it still grows: so a copy that
 * fails half way is sent again without asking the client. The file has no name, so nothing is left when the process is killed.
 */
export class Spool {
  readonly #options: SpoolOptions;
  readonly #chunks: Buffer[] = [];
  #memoryBytes = 0;
  #file: FileHandle | undefined;
  #fileBytes = 0;
  #state: "open" | "ended" | { readonly failure: unknown } = "open";
  #grown = Promise.withResolvers<void>();

  constructor(options: SpoolOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#memoryBytes + this.#fileBytes;
  }

  /** Takes everything from a source; resolves when it has ended. Readers are told when it fails, and this rejects. */
  async fill(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    try {
      for await (const chunk of source) await this.#append(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      this.#state = "ended";
    } catch (thrown) {
      const full = codeOf(thrown) === "ENOSPC";
      const failure = full ? new StoreError(507, "filestore/disk-full", "the gateway's spool folder is full", { cause: thrown }) : thrown;
      this.#state = { failure };
      throw failure;
    } finally {
      this.#wake();
    }
  }

  /** All bytes from the beginning; follows the source to its end, and fails as it fails. */
  async *read(): AsyncGenerator<Buffer> {
    for (let index = 0, fileAt = 0; ; ) {
      const grown = this.#grown.promise;
      const chunk = this.#chunks[index];
      if (chunk !== undefined) {
        index += 1;
        yield chunk;
      } else if (this.#file !== undefined && fileAt < this.#fileBytes) {
        const bytes = Buffer.allocUnsafe(Math.min(readBytes, this.#fileBytes - fileAt));
        const { bytesRead } = await this.#file.read(bytes, 0, bytes.length, fileAt);
        fileAt += bytesRead;
        yield bytes.subarray(0, bytesRead);
      } else if (this.#state === "ended") return;
      else if (this.#state !== "open") throw this.#state.failure;
      else await grown;
    }
  }

  async close(): Promise<void> {
    if (this.#state === "open") this.#state = { failure: new Error("the upload was given up") };
    this.#wake();
    this.#options.memory.give(this.#memoryBytes);
    this.#memoryBytes = 0;
    this.#chunks.length = 0;
    await this.#file?.close();
    this.#file = undefined;
  }

  async #append(chunk: Buffer): Promise<void> {
    const { memory, memoryBytesMax } = this.#options;
    if (this.#file === undefined && this.#memoryBytes + chunk.length <= memoryBytesMax && memory.take(chunk.length)) {
      this.#chunks.push(chunk);
      this.#memoryBytes += chunk.length;
    } else {
      this.#file ??= await this.#openFile();
      for (let done = 0; done < chunk.length; ) {
        const { bytesWritten } = await this.#file.write(chunk, done, chunk.length - done, this.#fileBytes + done);
        done += bytesWritten;
      }
      this.#fileBytes += chunk.length;
    }
    this.#wake();
  }

  async #openFile(): Promise<FileHandle> {
    const path = join(this.#options.folder, `upload.${randomBytes(8).toString("hex")}`);
    const file = await open(path, "wx+");
    await unlink(path);
    return file;
  }

  #wake(): void {
    this.#grown.resolve();
    this.#grown = Promise.withResolvers();
  }
}
