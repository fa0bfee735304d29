import { type Replica, parseHostRouteKey, parseRouteAddress, parseText, tableNumbers } from "../tables/index.ts";
import { isEntryAvoided } from "./avoided.ts";

/** One host: over which addresses it can be reached. */
export class HostPath {
  readonly name: string;
  /** Grows whenever the addresses may have changed; memos remember from which version they were made. */
  version = 0;
  /** Of the valid routes, lowest number first; none when the host is dead. Undefined until asked for. */
  addresses: readonly string[] | undefined = undefined;
  /** Whether lookups pass over what lies on it while others are left. Undefined until asked for. */
  avoided: boolean | undefined = undefined;

  constructor(name: string) {
    this.name = name;
  }
}

/** The host step of all answers, kept until a host or one of its routes changes. */
export class HostPaths {
  readonly #replica: Replica;
  readonly #paths = new Map<string, HostPath>();

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  get size(): number {
    return this.#paths.size;
  }

  get(host: string): HostPath {
    const known = this.#paths.get(host);
    if (known !== undefined) return known;
    const path = new HostPath(host);
    this.#paths.set(host, path);
    return path;
  }

  addresses(host: string): readonly string[] {
    const path = this.get(host);
    path.addresses ??= this.#replica.hostAlive(host) ? validAddresses(this.#replica, host) : [];
    return path.addresses;
  }

  isAvoided(host: string): boolean {
    const path = this.get(host);
    path.avoided ??= isEntryAvoided(this.#replica, "hosts", host);
    return path.avoided;
  }

  /** False when no answer has depended on the host. */
  changed(host: string): boolean {
    const path = this.#paths.get(host);
    if (path === undefined) return false;
    path.version++;
    path.addresses = undefined;
    path.avoided = undefined;
    return true;
  }

  clear(): void {
    this.#paths.clear();
  }
}

function validAddresses(replica: Replica, host: string): readonly string[] {
  const routes: { readonly number: number; readonly address: string }[] = [];
  for (const { key, text, flag } of replica.rowsBelow(tableNumbers.hostRoute, `${host}.`)) {
    const named = parseHostRouteKey(key);
    if (!flag || named?.host !== host) continue;
    const address = parseRouteAddress(parseText(text));
    if (address !== undefined) routes.push({ number: named.number, address });
  }
  return routes.sort((a, b) => a.number - b.number).map(({ address }) => address);
}
