import { serveParent } from "../bench.ts";
import { quickMs, slowMs, slowShare } from "./contender.ts";
import { contenderNamed, parsePlace } from "./contenders.ts";

/** A child: one server of a contender. Arguments: the contender, its place, which of the servers. */
const [word, place, index] = process.argv.slice(2);
let executed = 0;

function work(): Promise<void> {
  executed++;
  return new Promise((resolve) => setTimeout(resolve, Math.random() < slowShare ? slowMs : quickMs));
}

serveParent({
  serve: () => contenderNamed(word).serve(parsePlace(place), Number(index), work),
  executed: () => executed,
  /** Stands still for so many milliseconds, as a program in an endless loop does; its other threads go on. Answered before. */
  block: (ms) => {
    setTimeout(() => {
      const untilMs = performance.now() + Number(ms);
      while (performance.now() < untilMs);
    }, 1);
  },
});
