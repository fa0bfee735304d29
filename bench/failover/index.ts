import type { Bench, BenchResult } from "../bench.ts";
import { builtPackage } from "../built-package.ts";
import { contenders } from "./contenders.ts";
import { hungResults, killedResults } from "./known.ts";
import { faults, requestResults } from "./requests.ts";

const killsDefault = 300;
const stopsDefault = 90;
const runsDefault = 3;
const perSecondDefault = 1000;

/**
 * `npm run bench -- failover [known [killed] [hung]] [requests [killed] [hung] [directory] [relay] [host-cut] [route-cut] [contender …]]`; everything of
 * what is not named. `count=30` servers are lost for `known`; `rate=500` requests a second and `runs=1` for `requests`.
 */
export const bench: Bench = {
  name: "failover",
  about: "how soon everybody knows that a server is lost, and what callers see of it",
  run: async (context) => {
    const { args } = context;
    const allowed = ["known", "requests", ...faults, ...contenders.keys()];
    const unknown = args.find((word) => !allowed.includes(word) && !/^(count|rate|runs)=\d+$/.test(word));
    if (unknown !== undefined) throw new Error(`"${unknown}" chooses nothing; there are ${allowed.join(", ")}, count=N, rate=N, runs=N`);
    const number = (word: string) =>
      Number(args.find((text) => text.startsWith(`${word}=`))?.slice(word.length + 1) ?? Number.NaN) || undefined;
    const chosen = <Word extends string>(words: readonly Word[]): readonly Word[] => {
      const named = words.filter((word) => args.includes(word));
      return named.length > 0 ? named : words;
    };
    const parts = chosen(["known", "requests"]);
    const library = await builtPackage(context);
    const results: BenchResult[] = [];
    if (parts.includes("known")) {
      const losses = chosen(faults);
      if (losses.includes("killed")) results.push(...(await killedResults(context, library, number("count") ?? killsDefault)));
      if (losses.includes("hung")) results.push(...(await hungResults(context, library, number("count") ?? stopsDefault)));
    }
    if (parts.includes("requests"))
      results.push(
        ...(await requestResults(context, {
          library,
          words: chosen([...contenders.keys()]),
          faults: chosen(faults),
          perSecond: number("rate") ?? perSecondDefault,
          runs: number("runs") ?? runsDefault,
        })),
      );
    return results;
  },
};
