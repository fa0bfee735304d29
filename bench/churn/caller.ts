import { serveLoad } from "../failover/loading.ts";
import { callMuster } from "../failover/muster.ts";

/** A child: the caller. Arguments: the library, its agent's socket, how many servers there are. */
const [library = "", agent = "", servers = ""] = process.argv.slice(2);

serveLoad(() => callMuster(library, agent, Number(servers), () => {}));
