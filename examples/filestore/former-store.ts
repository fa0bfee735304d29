import { existsSync } from "node:fs";
import { rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { open } from "lmdb";
import { type VersionedRecord, parseVersionedRecord } from "./file-record.ts";

/**
 * The records of the time when each instance had one server: an LMDB of its own in the folder `MDS.1`, where the folder of the process is
 * `MDS.1.1` now. They are taken over once, before the instance answers for the first time; the folder is kept under another name.
 */
export interface FormerStore {
  readonly folder: string;
  readonly version: number;
  batches(size: number): Iterable<readonly VersionedRecord[]>;
  close(): Promise<void>;
  /** Nobody looks at it again. */
  retire(): Promise<void>;
}

/** Undefined when there is none, as in every fleet that is new. */
export function openFormerStore(dataFolder: string, instance: string): FormerStore | undefined {
  const folder = join(dirname(dataFolder), instance);
  if (basename(dataFolder) === instance || !existsSync(join(folder, "data.mdb"))) return undefined;
  const root = open({ path: folder, keyEncoding: "binary", encoding: "json", maxDbs: 4, noSubdir: false, readOnly: true });
  const files = root.openDB({ name: "files", keyEncoding: "binary", encoding: "json" });
  const version: unknown = root.openDB({ name: "counters", encoding: "json" }).get("version");
  return {
    folder,
    version: typeof version === "number" ? version : 0,
    *batches(size) {
      let batch: VersionedRecord[] = [];
      for (const { value } of files.getRange()) {
        batch.push(parseVersionedRecord(value));
        if (batch.length < size) continue;
        yield batch;
        batch = [];
      }
      yield batch;
    },
    close: () => root.close(),
    retire: () => rename(folder, `${folder}.taken-over`),
  };
}
