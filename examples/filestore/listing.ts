import { type FileRecord, compareNames } from "./file-record.ts";

export interface ListingPage {
  readonly files: readonly FileRecord[];
  /** Send it as `after` to get the next page; absent on the last one. */
  readonly next?: string;
}

/** One page in name order out of one page from each partition, each in name order; a page that says `more` may end anywhere. */
export function mergePages(
  pages: readonly { readonly records: readonly FileRecord[]; readonly more: boolean }[],
  limit: number,
): ListingPage {
  // Beyond the end of a page with more to come, nobody knows what is missing.
  const ends = pages.flatMap(({ records, more }) => (more ? [records.at(-1)?.name ?? ""] : []));
  const all = pages
    .flatMap(({ records }) => records)
    .filter(({ name }) => ends.every((end) => compareNames(name, end) <= 0))
    .toSorted((a, b) => compareNames(a.name, b.name));
  const files = all.slice(0, limit);
  const last = files.at(-1);
  const more = all.length > limit || ends.length > 0;
  return more && last !== undefined ? { files, next: last.name } : { files };
}
