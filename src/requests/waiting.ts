import type { PendingRequest } from "./pending-table.ts";

/** Requests of one type for one key, under the same conditions, that look for a server. */
export interface WaitingGroup {
  readonly name: string;
  readonly key: string;
  readonly requests: Set<PendingRequest>;
}

/**
 * Requests that have no server, or would rather have another one, by the key that they ask for: a change of the roll is compared with
 * each key, not with each request.
 */
export class WaitingRequests {
  readonly #groups = new Map<string, WaitingGroup>();

  get size(): number {
    return this.#groups.size;
  }

  add(request: PendingRequest): void {
    if (request.group !== undefined) return;
    const conditions = request.find === undefined ? "" : JSON.stringify(request.find);
    const name = `${request.table ?? ""}\u0000${request.key}\u0000${request.type}\u0000${conditions}`;
    let group = this.#groups.get(name);
    if (group === undefined) {
      group = { name, key: request.key, requests: new Set() };
      this.#groups.set(name, group);
    }
    group.requests.add(request);
    request.group = group;
  }

  remove(request: PendingRequest): void {
    const { group } = request;
    if (group === undefined) return;
    request.group = undefined;
    group.requests.delete(request);
    if (group.requests.size === 0) this.#groups.delete(group.name);
  }

  /** Whether a change of the row `key` can give one of them a server. */
  concerns(key: string): boolean {
    for (const group of this.#groups.values()) if (isRelated(group.key, key)) return true;
    return false;
  }

  /** They may come and go while the list is read. */
  groups(): readonly WaitingGroup[] {
    return [...this.#groups.values()];
  }
}

/** One of the keys lies below the other, or they are equal. */
function isRelated(asked: string, changed: string): boolean {
  if (asked === "" || asked === changed) return true;
  if (asked.endsWith(".")) return changed.startsWith(asked);
  return asked.length < changed.length
    ? changed.startsWith(asked) && changed[asked.length] === "."
    : asked.startsWith(changed) && asked[changed.length] === ".";
}
