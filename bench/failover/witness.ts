import { createServer } from "node:net";
import { emit, serveParent, sharedNowMs } from "../bench.ts";

/**
 * A child, the floor: a bare TCP peer that is told a server's name when it connects, and tells its parent when that connection ends.
 * Nobody who learns of a death from the system can know it sooner.
 */
const listening = new Promise<number>((resolve) => {
  const server = createServer((socket) => {
    let name = "";
    socket.on("data", (chunk) => {
      name += chunk.toString();
    });
    socket.on("error", () => socket.destroy());
    socket.once("close", () => emit("closed", { name, atMs: sharedNowMs() }));
  });
  server.listen({ port: 0, host: "127.0.0.1" }, () => {
    const address = server.address();
    if (typeof address === "object" && address !== null) resolve(address.port);
  });
});

serveParent({ port: () => listening });
