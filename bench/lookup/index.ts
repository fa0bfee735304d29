import type { Bench } from "../bench.ts";
import { localResults } from "./local.ts";
import { remoteAskResults } from "./remote-ask.ts";
import { remoteResults } from "./remote.ts";

/** `npm run bench -- lookup [local] [remote] [ask]`; all when none is named. */
export const bench: Bench = {
  name: "lookup",
  about: "what it costs to find a server: in the process, from another process, and from others' directories",
  run: async (context) => {
    const wants = (part: string) => context.args.length === 0 || context.args.includes(part);
    return [
      ...(wants("local") ? await localResults(context) : []),
      ...(wants("remote") ? await remoteResults(context) : []),
      ...(wants("ask") ? await remoteAskResults(context) : []),
    ];
  },
};
