import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, rename, rm, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { StoreError, codeOf } from "./errors.ts";
import { ObjectReader, type ObjectSummary, writeObject } from "./object-file.ts";

async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The objects of one bitfile server, as files below one folder: `objects/ab/ab…`, and `incoming/` for what is being written. */
export class ObjectStore {
  readonly #objects: string;
  readonly #incoming: string;

  private constructor(folder: string) {
    this.#objects = join(folder, "objects");
    this.#incoming = join(folder, "incoming");
  }

  /** Finds everything that was stored before, and removes what a crash left half written. */
  static async open(folder: string): Promise<ObjectStore> {
    const store = new ObjectStore(folder);
    await rm(store.#incoming, { recursive: true, force: true });
    await mkdir(store.#incoming, { recursive: true });
    await mkdir(store.#objects, { recursive: true });
    for (let shelf = 0; shelf < 256; shelf++) await mkdir(join(store.#objects, shelf.toString(16).padStart(2, "0")), { recursive: true });
    await flushFolder(store.#objects);
    await flushFolder(folder);
    return store;
  }

  /**
   * Stores an object: when this resolves, it survives a power cut. A source that fails leaves nothing behind.
   * Errors: `filestore/disk-full` (507), `filestore/too-large` (413).
   */
  async write(id: string, source: AsyncIterable<Uint8Array>): Promise<ObjectSummary> {
    const target = this.#path(id);
    const incoming = join(this.#incoming, `${id}.${randomBytes(6).toString("hex")}`);
    try {
      const file = await open(incoming, "wx");
      let summary: ObjectSummary;
      try {
        summary = await writeObject(file, source);
      } finally {
        await file.close();
      }
      await rename(incoming, target);
      await flushFolder(dirname(target));
      return summary;
    } catch (cause) {
      await rm(incoming, { force: true });
      if (codeOf(cause) === "ENOSPC" || codeOf(cause) === "EDQUOT")
        throw new StoreError(507, "filestore/disk-full", "the bitfile server's disk is full", {
          next: "free space or add a server",
          cause,
        });
      throw cause;
    }
  }

  /** Undefined when there is no such object. The caller closes the reader. */
  async open(id: string): Promise<ObjectReader | undefined> {
    const file = await open(this.#path(id), "r").catch((thrown: unknown) => {
      if (codeOf(thrown) === "ENOENT") return undefined;
      throw thrown;
    });
    if (file === undefined) return undefined;
    try {
      return await ObjectReader.open(file);
    } catch (thrown) {
      await file.close();
      throw thrown;
    }
  }

  /** False when there was none. Not flushed: an object that comes back after a power cut is swept. */
  async delete(id: string): Promise<boolean> {
    try {
      await unlink(this.#path(id));
      return true;
    } catch (thrown) {
      if (codeOf(thrown) === "ENOENT") return false;
      throw thrown;
    }
  }

  /** The ids of all objects, shelf by shelf. */
  async *ids(): AsyncGenerator<string> {
    for (const shelf of (await readdir(this.#objects)).toSorted()) yield* await readdir(join(this.#objects, shelf));
  }

  #path(id: string): string {
    return join(this.#objects, id.slice(0, 2), id);
  }
}
