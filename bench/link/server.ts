import { serveParent } from "../bench.ts";
import { serveFloor } from "./floor.ts";
import { serveLink } from "./muster.ts";
import { peers } from "./peers.ts";

/** The child of this bench: an echo server. Arguments: its kind, then the ports it is given. */
const [kind = "", ...portTexts] = process.argv.slice(2);
const ports = portTexts.map(Number);
const [port = 0] = ports;

function serve(): Promise<void> {
  if (kind === "floor") return serveFloor(port);
  if (kind === "link") return serveLink(port);
  const peer = peers.find((one) => one.kind === kind);
  if (peer === undefined) throw new Error(`there is no echo server of the kind "${kind}"`);
  return peer.serve(ports);
}

const ready = serve();
serveParent({ ready: () => ready });
