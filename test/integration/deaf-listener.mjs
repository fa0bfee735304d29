// A process that listens and then never runs its event loop again (a path, or no argument), or accepts and reads nothing
// ("accept"). It tells its port over IPC and lives until it is killed.
import { createServer } from "node:net";

const mode = process.argv[2];
const server = createServer({ pauseOnConnect: true });
const where = mode === undefined || mode === "accept" ? { host: "127.0.0.1", port: 0, backlog: 1 } : { path: mode };
server.listen(where, () => {
  const address = server.address();
  process.send?.(typeof address === "object" ? (address?.port ?? 0) : 0, () => {
    if (mode === undefined) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
});
process.on("disconnect", () => process.exit(0));
