import type { KeyedTransaction, StateRow } from "./muster.ts";

/** Rows in memory, in the order of their keys' UTF-16 units, for tests of what is built on rows. Refuses keys that a group would refuse. */
export class MemoryRows implements KeyedTransaction {
  readonly rows = new Map<string, Uint8Array>();

  get(key: string): Uint8Array | undefined {
    return this.rows.get(key);
  }

  list(prefix: string, { after = "", limit = 1000 }: { readonly after?: string; readonly limit?: number } = {}): StateRow[] {
    const keys = [...this.rows.keys()].filter((key) => key.startsWith(prefix) && key > after);
    return keys
      .sort((a, b) => (a < b ? -1 : 1))
      .slice(0, limit)
      .map((key) => ({ key, bytes: this.rows.get(key) ?? new Uint8Array() }));
  }

  put(key: string, bytes: Uint8Array): void {
    if (key === "" || !key.isWellFormed() || Buffer.byteLength(key) > 512) throw new Error(`${key.length} characters are not a key`);
    this.rows.set(key, bytes);
  }

  delete(key: string): void {
    this.rows.delete(key);
  }
}
