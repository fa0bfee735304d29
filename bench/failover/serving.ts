import { serveParent } from "../bench.ts";
import { contenderNamed, parsePlace } from "./contenders.ts";

/** A child: one server of a contender. Arguments: the contender, its place, which of the servers. */
const [word, place, index] = process.argv.slice(2);

serveParent({ serve: () => contenderNamed(word).serve(parsePlace(place), Number(index)) });
