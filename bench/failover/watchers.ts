import type { Fleet } from "../../src/index.ts";
import { isAvoided, parseState, stateKey, statesTable } from "../../src/tables/index.ts";
import { emit, serveParent, sharedNowMs, sleepMs } from "../bench.ts";
import { loadMuster } from "../built-package.ts";

/**
 * A child: some nodes of the roll in one process, each with a link and a replica of its own. Tells its parent when the last of
 * them has been told that a server is to be used, or is not to be used any more. Arguments: the library, how many nodes, where the
 * directory is.
 */
const [library = "", countText = "", place = ""] = process.argv.slice(2);
const count = Number(countText);
const openedAtOnce = 10;
const watched = "metadata";

/** How many of the nodes would use that server now. */
const using = new Map<string, number>();

function watch(fleet: Fleet): void {
  const used = new Set<string>();
  fleet.subscribe({ tables: [watched, statesTable] }, ({ table, entry }) => {
    if (entry === undefined) return;
    const key = table === watched ? entry.key : entry.key.slice(watched.length + 1);
    const isUsed = isUsable(fleet, key);
    if (isUsed === used.has(key)) return;
    if (isUsed) used.add(key);
    else used.delete(key);
    const users = (using.get(key) ?? 0) + (isUsed ? 1 : -1);
    using.set(key, users);
    if (users === (isUsed ? count : 0)) emit("told", { key, isUsed, atMs: sharedNowMs() });
  });
}

/** Valid, and not avoided. */
function isUsable(fleet: Fleet, key: string): boolean {
  if (fleet.get(watched, key)?.valid !== true) return false;
  const state = fleet.get(statesTable, stateKey(watched, key) ?? "");
  return state === undefined || !isAvoided(parseState(state.value).state);
}

serveParent({
  open: async () => {
    const { connect } = await loadMuster(library);
    for (let first = 0; first < count; first += openedAtOnce)
      await Promise.all(
        Array.from({ length: Math.min(openedAtOnce, count - first) }, async (_, index) =>
          watch(await connect({ parents: [place], name: `watcher ${first + index}`, timeoutMs: 20_000 })),
        ),
      );
    await sleepMs(300);
  },
});
