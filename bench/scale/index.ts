import type { Bench } from "../bench.ts";
import { loadResults } from "./load.ts";
import { millionResults } from "./million.ts";
import { startResults } from "./start.ts";

/** `npm run bench -- scale [load] [million] [start]`; all when none is named. */
export const bench: Bench = {
  name: "scale",
  about: "what a large roll costs a node, and what an agent costs a host",
  run: async (context) => {
    const wants = (part: string) => context.args.length === 0 || context.args.includes(part);
    return [
      ...(wants("load") ? await loadResults(context) : []),
      ...(wants("million") ? await millionResults(context) : []),
      ...(wants("start") ? await startResults(context) : []),
    ];
  },
};
