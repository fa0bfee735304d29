import { emit, serveParent, sharedNowMs, sleepMs } from "../bench.ts";
import { openFloor } from "./floor.ts";
import { openMuster } from "./muster.ts";
import { openEtcd, openNats } from "./peers.ts";
import type { OpenWatcher } from "./source.ts";

/** The child of this bench: some watchers in one process. Arguments: their kind, how many, where the source is. */
const [kind = "", countText = "", place = ""] = process.argv.slice(2);
const count = Number(countText);
const openers: Readonly<Record<string, OpenWatcher>> = {
  floor: openFloor,
  lmdb: openMuster,
  memory: openMuster,
  nats: openNats,
  etcd: openEtcd,
};
const openedAtOnce = 20;

/** Writes that not all watchers have been told of yet. */
const underWay = new Map<number, number>();
/** Writes that each watcher has been told of since the burst began. */
const seen = new Float64Array(count);
let burst = false;

function told(watcher: number, number: number): void {
  if (burst) {
    seen[watcher] = (seen[watcher] ?? 0) + 1;
    return;
  }
  const already = (underWay.get(number) ?? 0) + 1;
  if (already < count) underWay.set(number, already);
  else {
    underWay.delete(number);
    emit("told", { number, atMs: sharedNowMs() });
  }
}

let least = -1;
setInterval(() => {
  if (!burst) return;
  const now = Math.min(...seen);
  if (now === least) return;
  least = now;
  emit("least", least);
}, 1);

serveParent({
  open: async () => {
    const open = openers[kind];
    if (open === undefined) throw new Error(`there are no watchers of the kind "${kind}"`);
    for (let first = 0; first < count; first += openedAtOnce)
      await Promise.all(
        Array.from({ length: Math.min(openedAtOnce, count - first) }, (_, index) => open(place, (number) => told(first + index, number))),
      );
    await sleepMs(300);
  },
  /** Begins or ends a burst; says how many writes all watchers together have been told of since it began. */
  burst: (begins) => {
    const sum = seen.reduce((total, value) => total + value, 0);
    burst = begins === true;
    least = -1;
    seen.fill(0);
    underWay.clear();
    return sum;
  },
});
