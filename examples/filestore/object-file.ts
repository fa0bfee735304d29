import { createHash, type Hash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { StoreError } from "./errors.ts";

/*
 * One object is one file, so that one rename makes it exist: a header, the bytes, and a checksum for every block.
 *
 *   0  magic "MFSOBJ1\n"     8  bytes per block (u32)     12  CRC-32 of the trailer (u32)
 *  16  size (u64)           24  SHA-256 of the bytes      56  CRC-32 of the 56 bytes before (u32)     60  zero (u32)
 *  64  the bytes …          then one CRC-32 (u32) per block
 *
 * The block checksums let a range be verified without reading the rest; the SHA-256 is what readers compare.
 */
const magic = "MFSOBJ1\n";
const headerBytes = 64;
export const blockBytes = 256 * 1024;
/** The trailer stays below 4 MiB. */
export const objectBytesMax = 2 ** 20 * blockBytes;

export interface ObjectSummary {
  readonly size: number;
  readonly sha256: string;
}

function damaged(what: string): StoreError {
  return new StoreError(500, "filestore/damaged-object", `the object is damaged on disk: ${what}`, {
    next: "read the file's other copy; replace this disk if it happens again",
  });
}

async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

async function readFully(file: FileHandle, length: number, position: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw damaged("it is shorter than its header says");
    done += bytesRead;
  }
  return bytes;
}

/** Checksums of the blocks, taken while the bytes pass. */
class BlockChecksums {
  readonly #finished: number[] = [];
  #current = 0;
  #filled = 0;

  update(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + blockBytes - this.#filled);
      this.#current = crc32(part, this.#current);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === blockBytes) this.#finish();
    }
  }

  trailer(): Buffer {
    if (this.#filled > 0) this.#finish();
    const bytes = Buffer.alloc(this.#finished.length * 4);
    this.#finished.forEach((checksum, index) => bytes.writeUInt32LE(checksum, index * 4));
    return bytes;
  }

  #finish(): void {
    this.#finished.push(this.#current);
    this.#current = 0;
    this.#filled = 0;
  }
}

/** Writes a whole object into an empty file and flushes it. Throws 413 above `objectBytesMax`. */
export async function writeObject(file: FileHandle, source: AsyncIterable<Uint8Array>): Promise<ObjectSummary> {
  const hash = createHash("sha256");
  const blocks = new BlockChecksums();
  let size = 0;
  for await (const chunk of source) {
    if (size + chunk.length > objectBytesMax)
      throw new StoreError(413, "filestore/too-large", `an object holds at most ${objectBytesMax} bytes`);
    hash.update(chunk);
    blocks.update(chunk);
    await writeFully(file, chunk, headerBytes + size);
    size += chunk.length;
  }
  const digest = hash.digest();
  const trailer = blocks.trailer();
  const header = Buffer.alloc(headerBytes);
  header.write(magic, 0, "latin1");
  header.writeUInt32LE(blockBytes, 8);
  header.writeUInt32LE(crc32(trailer), 12);
  header.writeBigUInt64LE(BigInt(size), 16);
  digest.copy(header, 24);
  header.writeUInt32LE(crc32(header.subarray(0, 56)), 56);
  await writeFully(file, trailer, headerBytes + size);
  await writeFully(file, header, 0);
  await file.sync();
  return { size, sha256: digest.toString("hex") };
}

/** An object open for reading. The caller closes it. */
export class ObjectReader implements AsyncDisposable, ObjectSummary {
  readonly size: number;
  readonly sha256: string;
  readonly #file: FileHandle;
  readonly #checksums: Buffer;

  private constructor(file: FileHandle, summary: ObjectSummary, checksums: Buffer) {
    this.#file = file;
    this.size = summary.size;
    this.sha256 = summary.sha256;
    this.#checksums = checksums;
  }

  /** Verifies header and trailer; throws `filestore/damaged-object`. */
  static async open(file: FileHandle): Promise<ObjectReader> {
    const header = await readFully(file, headerBytes, 0);
    if (header.toString("latin1", 0, 8) !== magic || header.readUInt32LE(56) !== crc32(header.subarray(0, 56)))
      throw damaged("its header is not what was written");
    if (header.readUInt32LE(8) !== blockBytes) throw damaged("its blocks have an unknown size");
    const size = Number(header.readBigUInt64LE(16));
    const trailer = await readFully(file, Math.ceil(size / blockBytes) * 4, headerBytes + size);
    if (header.readUInt32LE(12) !== crc32(trailer)) throw damaged("its block checksums are not what was written");
    return new ObjectReader(file, { size, sha256: header.toString("hex", 24, 56) }, trailer);
  }

  /**
   * The bytes from `startByte` to `endByte`, the last one included. No byte leaves before its block is verified, and when
   * everything is read, the last block is held back until the SHA-256 of the whole is right.
   */
  async *read(startByte = 0, endByte = this.size - 1): AsyncGenerator<Buffer> {
    const whole: Hash | undefined = startByte === 0 && endByte === this.size - 1 ? createHash("sha256") : undefined;
    for (let block = Math.floor(startByte / blockBytes); block * blockBytes <= endByte; block++) {
      const from = block * blockBytes;
      const bytes = await readFully(this.#file, Math.min(blockBytes, this.size - from), headerBytes + from);
      if (crc32(bytes) !== this.#checksums.readUInt32LE(block * 4)) throw damaged(`block ${block} fails its checksum`);
      whole?.update(bytes);
      if (whole !== undefined && from + bytes.length === this.size && whole.digest("hex") !== this.sha256)
        throw damaged("it fails its SHA-256");
      yield bytes.subarray(Math.max(0, startByte - from), endByte + 1 - from);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}
