import { type JsonValue, MusterError, type Revision, formatRevision, isRecord } from "../kernel/index.ts";
import { diagnose } from "./doctor.ts";
import type { CompleteRoute, Entry, FindOptions, Where } from "./fleet.ts";
import { listHosts } from "./hosts.ts";
import { QueryArgs } from "./query-args.ts";
import { listGroups } from "./query-groups.ts";
import { renderEntry, renderRoute, roundAge } from "./render.ts";
import { explain } from "./why.ts";

/** The synchronous half of a `Fleet`, and what the node says of itself: all that a query needs. */
export interface QueryView {
  readonly host: string | undefined;
  readonly position: Revision;
  readonly detached: boolean;
  readonly ageMs: number;
  tables(): readonly { readonly name: string; readonly symbol?: string; readonly mapping?: string; readonly entries: number }[];
  get(table: string, key: string): Entry | undefined;
  search(table: string, prefix?: string, options?: { readonly where?: Where }): readonly Entry[];
  find(table: string, key: string, options?: FindOptions): CompleteRoute | undefined;
  findAll(table: string, key: string, options?: FindOptions): readonly CompleteRoute[];
  findPartition(table: string, key: string | number, options?: FindOptions): CompleteRoute | undefined;
  /** Entries whose route names the host, valid or not. */
  serversOn(host: string): number;
  /** What the node says of itself: role, parent, children, listening addresses, warnings. */
  status(): JsonValue;
  /** What its probes know of the routes around it; empty where nothing is probed. */
  reach(): readonly JsonValue[];
}

/** Rows and bytes of one page, well below what a frame of a link holds. */
const pageEntriesMax = 5000;
const pageBytesMax = 1024 * 1024;

/**
 * Answers one query from a node's replica: what programs without a replica, the CLI and HTTP ask. Pure. Something that is
 * not there is `null`; throws `fleet/bad-query`, `fleet/unknown-query` and the errors of the lookups (`tables/unknown-table`, …).
 */
export function answerQuery(view: QueryView, verb: string, input: unknown): JsonValue {
  const args = new QueryArgs(verb, input);
  switch (verb) {
    case "find":
      return orNull(view.find(args.text("table"), args.text("key"), args.findOptions()));
    case "find-all":
      return view.findAll(args.text("table"), args.text("key"), args.findOptions()).map(renderRoute);
    case "find-partition":
      return orNull(view.findPartition(args.text("table"), args.textOrNumber("key"), args.findOptions()));
    case "search":
      return searched(view, args).map(renderEntry);
    case "search-page":
      return searchPage(view, args);
    case "get": {
      const entry = view.get(args.text("table"), args.text("key"));
      return entry === undefined ? null : renderEntry(entry);
    }
    case "tables":
      return view.tables().map((table) => ({ ...table }));
    case "hosts":
      return listHosts(view, args.optionalText("host"));
    case "groups":
      return listGroups(view, args.optionalText("key"));
    case "status":
      return status(view);
    case "reach":
      return view.reach();
    case "why":
      return explain(view, args.text("key"), args.optionalText("table"));
    case "doctor":
      return diagnose(view);
    default:
      throw new MusterError("fleet/unknown-query", `there is no query "${verb}"`, {
        next: "use the same version of Muster on both sides of the link",
      });
  }
}

function orNull(route: CompleteRoute | undefined): JsonValue {
  return route === undefined ? null : renderRoute(route);
}

function searched(view: QueryView, args: QueryArgs): readonly Entry[] {
  const where = args.where();
  return view.search(args.text("table"), args.optionalText("prefix") ?? "", where === undefined ? {} : { where });
}

/** A page of a search: `{ entries, after }`; `after` is null on the last one, else what the next page is asked with. */
function searchPage(view: QueryView, args: QueryArgs): JsonValue {
  const after = args.optionalText("after") ?? "";
  const limit = args.limit("limit", pageEntriesMax);
  const all = searched(view, args);
  const entries: JsonValue[] = [];
  let bytes = 0;
  for (let index = firstAfter(all, after); index < all.length; index++) {
    const entry = all[index];
    if (entry === undefined) break;
    const rendered = renderEntry(entry);
    bytes += Buffer.byteLength(JSON.stringify(rendered));
    if (entries.length > 0 && (entries.length >= limit || bytes > pageBytesMax)) return { entries, after: all[index - 1]?.key ?? null };
    entries.push(rendered);
  }
  return { entries, after: null };
}

/** Index of the first entry behind the key; the entries are in key order. */
function firstAfter(entries: readonly Entry[], after: string): number {
  if (after === "") return 0;
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle]?.key ?? "") <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}

function status(view: QueryView): JsonValue {
  const own = view.status();
  return {
    host: view.host ?? null,
    position: formatRevision(view.position),
    detached: view.detached,
    ageMs: roundAge(view.ageMs),
    ...(isRecord(own) ? own : {}),
  };
}
