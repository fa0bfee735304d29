import { serveParent } from "../bench.ts";
import { serveFloor } from "./floor.ts";
import { serveLink } from "./muster.ts";

/** The child of this bench: an echo server of the kind given. Arguments: kind, port, more ports where a peer needs them. */
const [kind = "", portText = ""] = process.argv.slice(2);
const port = Number(portText);
const servers: Readonly<Record<string, () => Promise<void>>> = {
  floor: () => serveFloor(port),
  link: () => serveLink(port),
};
const serve = servers[kind];
if (serve === undefined) throw new Error(`there is no echo server of the kind "${kind}"`);
const ready = serve();
serveParent({ ready: () => ready });
