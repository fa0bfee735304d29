import { formatSubset, isInSubset, readDeclaration, requestTypesTable } from "../requests/index.ts";
import { isRouteValue } from "../tables/index.ts";
import type { QueryView } from "./queries.ts";

/** Types that nobody answers, because no living server is in their subset: `SERVICE/TYPE`, with the subset in words. */
export function typesWithoutServer(view: QueryView): readonly { readonly key: string; readonly subset: string }[] {
  return view.search(requestTypesTable).flatMap(({ key, value, valid }) => {
    const slash = key.indexOf("/");
    const { subset } = readDeclaration(key.slice(slash + 1), value);
    if (!valid || slash < 1 || subset === undefined) return [];
    const answers = view.tables().some(({ name }) => hasMember(view, name, key.slice(0, slash), subset));
    return answers ? [] : [{ key, subset: formatSubset(subset) }];
  });
}

function hasMember(view: QueryView, table: string, service: string, subset: Parameters<typeof isInSubset>[0]): boolean {
  const rows = [view.get(table, service) ?? [], view.search(table, `${service}.`)].flat();
  return rows.some(({ key, value, valid }) => {
    if (!valid || !isRouteValue(value)) return false;
    return isInSubset(subset, { instance: key, host: value.host, port: value.port, data: value.data });
  });
}
