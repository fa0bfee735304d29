import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import type { FleetHandle } from "../../src/fleet/index.ts";
import { type Labels, type Telemetry, silentTelemetry } from "../../src/kernel/index.ts";
import { type Address, type Datagrams, UdpDatagrams } from "../../src/transport/index.ts";
import { LocalFleet } from "./local-fleet.ts";

/** What a program counts. */
class Counts implements Telemetry {
  readonly #counts = new Map<string, number>();
  readonly log = silentTelemetry.log;
  readonly gauge = silentTelemetry.gauge;
  readonly observe = silentTelemetry.observe;

  count(name: string, by = 1, labels: Labels = {}): void {
    const key = [name, ...Object.values(labels)].join(" ");
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + by);
  }

  of(name: string): number {
    return this.#counts.get(`muster_request_${name}`) ?? 0;
  }
}

/** A network that swallows what `loses` says, of what this program sends. */
function filtered(loses: () => boolean): Datagrams {
  const udp = new UdpDatagrams();
  return {
    bind: async (local, receive) => {
      const socket = await udp.bind(local, receive);
      return { local: socket.local, send: (bytes, to) => (loses() ? undefined : socket.send(bytes, to)), close: () => socket.close() };
    },
  };
}

/** Five servers in processes of their own, and callers in this one, over UDP and TCP on loopback. */
describe("one datagram to five processes", () => {
  const fleet = new LocalFleet();
  let door: Address;

  before(async () => {
    door = (await fleet.startHost("HOST1", "127.0.0.1")).door;
    await Promise.all([1, 2, 3, 4, 5].map((number) => fleet.fork("request-server.mjs", door, `MDS.${number}.1`, "2")));
  });

  after(async () => {
    await fleet.close();
  });

  async function caller(name: string, datagrams: Datagrams): Promise<{ readonly handle: FleetHandle; readonly counts: Counts }> {
    const counts = new Counts();
    const handle = await fleet.start({ role: "client", name, parents: [door] }, { datagrams, multicastFrom: 3, telemetry: counts });
    await handle.node.ready();
    while (handle.search("metadata", "MDS.").filter(({ key, valid }) => valid && key.split(".").length === 3).length < 5) await delay(20);
    return { handle, counts };
  }

  async function all(handle: FleetHandle, body: string): Promise<void> {
    const { answers, complete, size } = await handle.gather("MDS", "look", body);
    const by = answers.map(({ answer }) => JSON.stringify(answer)).toSorted();
    assert.deepEqual([by, complete, size], [[1, 2, 3, 4, 5].map((number) => JSON.stringify({ by: `MDS.${number}.1`, body })), true, 5]);
  }

  test("[MRT-1] who hears is found out without being told, and from then on one datagram asks all of them", async () => {
    const { handle, counts } = await caller("caller", new UdpDatagrams());
    for (let count = 0; count < 100 && counts.of("datagrams_total request") === 0; count++) {
      await all(handle, "to find out");
      await delay(20);
    }
    assert.ok(counts.of("datagrams_total request") > 0, "loopback carries multicast");
    const [datagrams, asked] = [counts.of("datagrams_total request"), counts.of("multicast_asked_total")];
    for (let count = 0; count < 20; count++) await all(handle, `file${count}`);
    // On a machine that is busy with other things servers that are late to hear are asked by link for a while.
    assert.ok(counts.of("datagrams_total request") - datagrams >= 5, `${counts.of("datagrams_total request")} datagrams`);
    assert.ok(counts.of("multicast_asked_total") - asked >= 15);
  });

  test("[MRT-2] a server outside of the subset ignores it", async () => {
    const { handle } = await caller("chooser", new UdpDatagrams());
    for (let count = 0; count < 10; count++) await all(handle, "to find out");
    const subset = ["MDS.1.1", "MDS.3.1", "MDS.4.1"];
    const revision = await handle.add("request-types", "MDS/look", { effect: "read", subset, by: "operator" });
    await handle.settled(revision);
    for (let count = 0; count < 20; count++) {
      const { answers, complete, size } = await handle.gather("MDS", "look", count);
      assert.deepEqual([answers.map(({ server }) => server).toSorted(), complete, size], [subset, true, 3]);
    }
    await handle.settled(await handle.add("request-types", "MDS/look", { effect: "read" }));
  });

  test("[MRT-1] where UDP is filtered everything goes by link, and nobody waits for it", async () => {
    const { handle, counts } = await caller(
      "filtered",
      filtered(() => true),
    );
    for (let count = 0; count < 30; count++) await all(handle, `file${count}`);
    assert.equal(counts.of("multicast_asked_total"), 0);
  });

  test("[MRT-1] where half of the datagrams are lost every answer comes nevertheless", async () => {
    let count = 0;
    let isLossy = false;
    const { handle, counts } = await caller(
      "lossy",
      filtered(() => isLossy && ++count % 2 === 0),
    );
    for (let tries = 0; tries < 100 && counts.of("multicast_asked_total") === 0; tries++) {
      await all(handle, "to find out");
      await delay(20);
    }
    isLossy = true;
    for (let file = 0; file < 30; file++) await all(handle, `file${file}`);
    assert.ok(counts.of("multicast_repeated_total") > 0);
  });
});
