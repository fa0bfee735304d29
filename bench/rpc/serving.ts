import { serveParent } from "../bench.ts";
import { endSoon, wayNamed } from "./way.ts";

/** A child of this bench: an echo server. Arguments: the way to ask it, then its words. */
const [word, ...words] = process.argv.slice(2);

let executed = 0;

serveParent({
  serve: () =>
    wayNamed(word).serve(words, () => {
      executed++;
    }),
  executed: () => executed,
  end: endSoon,
});
