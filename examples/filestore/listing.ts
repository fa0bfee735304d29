import { type FileRecord, compareNames } from "./file-record.ts";

export interface ListingPage {
  readonly files: readonly FileRecord[];
  /** Send it as `after` to get the next page; absent on the last one. */
  readonly next?: string;
}

/** One page in name order out of one page from each partition, each in name order and cut at the same limit. */
export function mergePages(
  pages: readonly { readonly records: readonly FileRecord[]; readonly more: boolean }[],
  limit: number,
): ListingPage {
  const all = pages.flatMap(({ records }) => records).toSorted((a, b) => compareNames(a.name, b.name));
  const files = all.slice(0, limit);
  const last = files.at(-1);
  const more = all.length > limit || pages.some((page) => page.more);
  return more && last !== undefined ? { files, next: last.name } : { files };
}
