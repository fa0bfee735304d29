/** What a line of `ip -o link`, `ip -o addr` or `ip -o monitor link address` says. */
export type LinkLine =
  | { readonly kind: "link"; readonly index: number; readonly up: boolean; readonly gone: boolean }
  | { readonly kind: "address"; readonly index: number; readonly address: string; readonly gone: boolean };

const linkPattern = /^(Deleted )?(\d+): \S+: <([^>]*)> /;
const addressPattern = /^(Deleted )?(\d+): \S+ +inet6? ([0-9a-fA-F.:]+)(?:\/\d+| peer )/;

/** Undefined for everything else: other versions say more, and what is not understood is not acted on. */
export function parseLinkLine(line: string): LinkLine | undefined {
  const link = linkPattern.exec(line);
  if (link !== null) {
    const flags = (link[3] ?? "").split(",");
    // UP is what the operator wants, LOWER_UP that there is a signal; NO-CARRIER is the cable.
    const up = flags.includes("UP") && flags.includes("LOWER_UP") && !flags.includes("NO-CARRIER");
    return { kind: "link", index: Number(link[2]), up, gone: link[1] !== undefined };
  }
  const address = addressPattern.exec(line);
  if (address === null) return undefined;
  return { kind: "address", index: Number(address[2]), address: address[3] ?? "", gone: address[1] !== undefined };
}

/** IPv6 addresses have many spellings: all become the one that `ip` prints; a zone is left out. */
export function canonicalAddress(address: string): string {
  const [bare = ""] = address.split("%");
  if (!bare.includes(":")) return bare;
  return URL.canParse(`http://[${bare}]/`) ? new URL(`http://[${bare}]/`).hostname.slice(1, -1) : bare;
}

/** The interfaces and their addresses, as the lines so far tell; answers which of the watched addresses have changed. */
export class LinkTable {
  readonly #watched: ReadonlyMap<string, string>;
  readonly #links = new Map<number, boolean>();
  /** Canonical address → indices of the interfaces that have it. */
  readonly #addresses = new Map<string, Set<number>>();
  /** What was last told of an address; one that was never seen on an interface is none of our business (127.0.0.2 on lo). */
  readonly #told = new Map<string, boolean>();

  constructor(watched: readonly string[]) {
    this.#watched = new Map(watched.map((address) => [canonicalAddress(address), address]));
  }

  /** Forgets the interfaces, not what was told: a new list follows. */
  clear(): void {
    this.#links.clear();
    this.#addresses.clear();
  }

  apply(line: LinkLine): void {
    if (line.kind === "link") {
      if (line.gone) this.#links.delete(line.index);
      else this.#links.set(line.index, line.up);
      return;
    }
    const address = canonicalAddress(line.address);
    if (!this.#watched.has(address)) return;
    const indices = this.#addresses.get(address) ?? new Set();
    if (line.gone) indices.delete(line.index);
    else indices.add(line.index);
    this.#addresses.set(address, indices);
  }

  /** The watched addresses that went up or down since the last call. The first time only those that are down are news. */
  changes(): readonly { readonly address: string; readonly up: boolean }[] {
    const changes: { address: string; up: boolean }[] = [];
    for (const [canonical, address] of this.#watched) {
      const indices = this.#addresses.get(canonical);
      const before = this.#told.get(address);
      if (indices === undefined && before === undefined) continue;
      const up = [...(indices ?? [])].some((index) => this.#links.get(index) === true);
      if (up !== (before ?? true)) changes.push({ address, up });
      this.#told.set(address, up);
    }
    return changes;
  }
}
