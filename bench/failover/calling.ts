import { emit, sharedNowMs } from "../bench.ts";
import { contenderNamed, parsePlace } from "./contenders.ts";
import { serveLoad } from "./loading.ts";

/** A child: the caller of a contender's servers. Arguments: the contender, its place. */
const [word, place] = process.argv.slice(2);

serveLoad(() => contenderNamed(word).call(parsePlace(place), () => emit("lost", sharedNowMs())));
