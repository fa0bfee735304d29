import { writeFileSync } from "node:fs";
import path from "node:path";
import { peerRequire, sleepMs } from "../bench.ts";
import { type Contender, deadlineMs, hostsPlace, loopbackPlace, serviceTimeMs } from "./contender.ts";

const subject = "work.do";

/** Reconnects soon and for ever, where the default is 10 times, 2 s apart. */
const connectOptions = (brokers: readonly string[]) => ({ servers: brokers, reconnectTimeWait: 50, maxReconnectAttempts: -1 });

function writeConfiguration(folder: string, listen: string): string {
  const file = path.join(folder, "nats.conf");
  writeFileSync(file, `listen: "${listen}"\nping_interval: "1s"\nping_max: 1\n`);
  return file;
}

/** The servers answer as members of a NATS service. The broker looks after silent clients each second, where the default is 2 minutes. */
export const nats: Contender = {
  name: "NATS micro, pings of 1 s",
  peer: true,
  debian: ["nats-server"],
  arrange: async (context) => {
    const port = await context.port();
    const file = writeConfiguration(context.folder(), `127.0.0.1:${port}`);
    const start = () => context.server("nats-server", ["-c", file], port);
    let server = await start();
    return {
      place: await loopbackPlace(context, [`127.0.0.1:${port}`]),
      faults: {
        directory: async () => {
          await server.stop();
          server = await start();
        },
      },
      close: () => server.stop(),
    };
  },
  settle: (hosts) => ({
    place: hostsPlace(
      hosts,
      hosts.directory.map((address) => `${address}:4222`),
    ),
    programs: [{ host: "directory", command: ["nats-server", "-c", writeConfiguration(hosts.folder, "0.0.0.0:4222")] }],
  }),
  serve: async ({ control }) => {
    const { connect } = peerRequire("nats");
    const connection = await connect(connectOptions(control));
    const service = await connection.services.add({ name: "work", version: "1.0.0" });
    const handler = async (error: Error | null, request: { respond(body: string): void }) => {
      if (error !== null) return;
      await sleepMs(serviceTimeMs);
      request.respond("done");
    };
    service.addEndpoint("do", { subject, handler });
    await connection.flush();
  },
  call: async ({ control }) => {
    const { connect } = peerRequire("nats");
    const connection = await connect(connectOptions(control));
    return () => connection.request(subject, "", { timeout: deadlineMs });
  },
};
