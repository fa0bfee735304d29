import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { FleetHandle } from "../fleet/index.ts";
import { silentTelemetry } from "../kernel/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { memoryDirectory } from "../testing/memory-directory.ts";
import type { FetchFleet } from "./fetch-fleet.ts";
import { Doubts, doubtsMax, orphanedMs, patienceMs, withdrawMs } from "./doubts.ts";

describe("doubts of an HTTP client", () => {
  let fleet: FleetHandle;
  let clock: ManualClock;
  let doubts: Doubts;
  const changes: Promise<unknown>[] = [];

  const doubted = () =>
    fleet
      .search("states")
      .filter(({ value }) => JSON.stringify(value).includes('"doubted"'))
      .map(({ key }) => key);

  function tell(by: Doubts, key: string): void {
    const route = fleet.find("gateway", key);
    assert.ok(route !== undefined);
    by.tell("gateway", route, "connect ECONNREFUSED");
  }

  /** Time, and then the changes that it has brought about. */
  async function pass(ms: number): Promise<void> {
    clock.advance(ms);
    for (let turn = 0; turn < 3; turn++) {
      await Promise.allSettled(changes.splice(0));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  beforeEach(async () => {
    clock = new ManualClock();
    fleet = await memoryDirectory();
    for (let number = 1; number <= 30; number++) {
      await fleet.add("host-route", `HOST${number}.0`, `10.0.0.${number}`);
      await fleet.add("gateway", `GW.${number}`, { host: `HOST${number}`, port: 80 });
    }
    const change: FetchFleet["change"] = (...change) => {
      const promise = fleet.change(...change);
      changes.push(promise);
      return promise;
    };
    doubts = new Doubts({ host: undefined, get: (table, key) => fleet.get(table, key), change }, clock, silentTelemetry);
  });

  afterEach(async () => {
    doubts.close();
    await fleet.close();
    assert.equal(clock.timers, 0);
  });

  test("a client that reaches nobody accuses ten, and takes back what nobody has looked into", async () => {
    for (let number = 1; number <= 30; number++) tell(doubts, `GW.${number}`);
    await pass(patienceMs);
    assert.equal(doubted().length, doubtsMax);
    tell(doubts, "GW.30");
    await pass(withdrawMs - 1);
    assert.equal(doubted().length, doubtsMax, "those that are open count");
    await pass(1);
    assert.deepEqual(doubted(), []);
    tell(doubts, "GW.30");
    await pass(patienceMs);
    assert.deepEqual(doubted(), ["gateway/GW.30"]);
  });

  test("what is known already, or of another program at the same key, is not doubted", async () => {
    const state = { state: "stalled", reason: "busy", by: "HOST2", sinceUnixMs: 0 };
    await fleet.add("states", "gateway/GW.2", state);
    for (const key of ["GW.1", "GW.2", "GW.3"]) tell(doubts, key);
    await fleet.add("gateway", "GW.1", { host: "HOST1", port: 81 });
    await fleet.add("gateway", "GW.3", { host: "HOST3", port: 80 }, { valid: false });
    await pass(patienceMs);
    assert.deepEqual(doubted(), []);
    assert.deepEqual(fleet.get("states", "gateway/GW.2")?.value, state);
  });

  test("what its owner says instead, or another's later doubt, is not taken back", async () => {
    for (const key of ["GW.1", "GW.2"]) tell(doubts, key);
    await pass(patienceMs);
    await fleet.add("states", "gateway/GW.1", { state: "dead", reason: "refused", by: "HOST1", sinceUnixMs: 0 });
    await fleet.delete("states", "gateway/GW.2");
    await fleet.add("states", "gateway/GW.2", { state: "doubted", reason: "refused", by: "HOST9", sinceUnixMs: 0 });
    await pass(withdrawMs);
    assert.equal(fleet.search("states").length, 2);
  });

  test("a doubt whose client has ended is taken back by the next one that meets it", async () => {
    await fleet.add("states", "gateway/GW.1", { state: "doubted", reason: "refused", by: "HOST9", sinceUnixMs: 0 });
    tell(doubts, "GW.1");
    await pass(patienceMs);
    await pass(orphanedMs - 1);
    assert.deepEqual(doubted(), ["gateway/GW.1"], "its own client comes first");
    await pass(1);
    assert.deepEqual(doubted(), []);
  });

  test("a client that closes takes its doubts along, also one that is just being told", async () => {
    for (const key of ["GW.1", "GW.2"]) tell(doubts, key);
    await pass(patienceMs);
    tell(doubts, "GW.3");
    clock.advance(patienceMs);
    doubts.close();
    tell(doubts, "GW.4");
    await pass(patienceMs);
    assert.deepEqual(doubted(), []);
  });
});
