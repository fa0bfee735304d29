import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import type { FleetHandle } from "../../src/fleet/index.ts";
import type { MusterError } from "../../src/kernel/index.ts";
import type { Address } from "../../src/transport/index.ts";
import { LocalFleet } from "./local-fleet.ts";

/** The roll and the caller in this process, servers in processes of their own, all over real sockets. */
describe("requests to servers in other processes", () => {
  const fleet = new LocalFleet();
  let door: Address;
  let caller: FleetHandle;

  const serve = (key: string, workMs: number) => fleet.fork("request-server.mjs", door, key, String(workMs));

  /** One request each `everyMs` while `act` runs and for a while after it; how each ended. */
  async function under(key: string, type: string, everyMs: number, act: () => Promise<void>): Promise<(MusterError | undefined)[]> {
    const asked: Promise<MusterError | undefined>[] = [];
    let goesOn = true;
    const asking = (async () => {
      for (; goesOn; await delay(everyMs))
        asked.push(
          caller.request(key, type, asked.length, { deadlineMs: 2000 }).then(
            () => undefined,
            (error: MusterError) => error,
          ),
        );
    })();
    await delay(500);
    await act();
    await delay(1000);
    goesOn = false;
    await asking;
    return Promise.all(asked);
  }

  before(async () => {
    ({ door } = await fleet.startHost("HOST1", "127.0.0.1"));
    caller = await fleet.startProgram("caller", door);
  });

  after(async () => {
    await fleet.close();
  });

  test("[DSD-20] a server is killed with signal 9 under 200 reads a second: not one fails", async () => {
    const first = await serve("MDS.1.1", 20);
    await serve("MDS.1.2", 20);
    const endings = await under("MDS.1", "look", 5, async () => {
      first.kill("SIGKILL");
      await once(first, "exit");
    });
    assert.deepEqual(
      endings.filter((error) => error !== undefined).map(({ code, message }) => `${code}: ${message}`),
      [],
    );
    assert.ok(endings.length > 60, `${endings.length} requests`);
  });

  test("a server that is told to end answers the writes that are under way and turns others away: not one fails", async () => {
    const first = await serve("BSS.1.1", 20);
    await serve("BSS.1.2", 20);
    const endings = await under("BSS.1", "act", 5, async () => {
      first.kill("SIGTERM");
      const [code] = await once(first, "exit");
      assert.equal(code, 0);
    });
    assert.deepEqual(
      endings.filter((error) => error !== undefined).map(({ code, message }) => `${code}: ${message}`),
      [],
    );
  });

  test("a body of 2 MiB goes there and back, ten at a time", async () => {
    await serve("BIG.1.1", 0);
    const body = new Uint8Array(2 * 1024 * 1024);
    for (let at = 0; at < body.length; at++) body[at] = (at * 31) & 0xff;
    const answers = await Promise.all(Array.from({ length: 10 }, () => caller.request("BIG.1", "echo", body, { deadlineMs: 20_000 })));
    for (const answer of answers) assert.ok(answer instanceof Uint8Array && Buffer.compare(answer, body) === 0);
  });

  test("a server that is stopped (SIGSTOP) before a connection stands is passed over by writes, too", async () => {
    const first = await serve("GW.1.1", 1);
    await serve("GW.1.2", 1);
    assert.ok(first.pid !== undefined);
    process.kill(first.pid, "SIGSTOP");
    try {
      const answer = await caller.request("GW.1", "act", "x", { deadlineMs: 2000 });
      assert.deepEqual(answer, { by: "GW.1.2", body: "x" });
    } finally {
      process.kill(first.pid, "SIGCONT");
    }
  });
});
