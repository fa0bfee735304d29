import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { FleetHandle } from "../fleet/index.ts";
import { SeededRandom, silentTelemetry } from "../kernel/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { memoryDirectory } from "../testing/memory-directory.ts";
import { type Check, CheckKeeper, type CheckResult, formatCheck } from "./index.ts";

const good: CheckResult = { healthy: true, reason: "connected" };
const bad: CheckResult = { healthy: false, reason: "connection refused" };

describe("the keeper of checks", () => {
  let fleet: FleetHandle;
  let keeper: CheckKeeper;
  let clock: ManualClock;
  let result: CheckResult;
  let looked: Check[];
  let logged: string[];

  function open(allowCommandChecks = false): CheckKeeper {
    const telemetry = { ...silentTelemetry, log: (_: string, event: string) => void logged.push(event) };
    const runner = {
      run: async (check: Check) => {
        looked.push(check);
        return result;
      },
    };
    return new CheckKeeper(fleet, { host: "HOST1", allowCommandChecks }, { clock, random: new SeededRandom(1), runner, telemetry });
  }

  beforeEach(async () => {
    fleet = await memoryDirectory({ host: "HOST1", routes: ["10.0.0.1"] });
    await fleet.add("host-route", "HOST2.0", "10.0.0.2");
    clock = new ManualClock();
    looked = [];
    logged = [];
    result = good;
    keeper = open();
  });

  afterEach(async () => {
    keeper.close();
    await fleet.close();
  });

  const server = { host: "HOST1", port: 80 };
  const checkRow = (check: string, host = "HOST1") => ({ table: "gateway", key: "GW.1", check, everyMs: 1000, host });
  const addChecked = (check: string, host = "HOST1") =>
    fleet.change([
      { op: "add", table: "gateway", key: "GW.1", value: { ...server, host }, valid: false },
      { op: "add", table: "checks", key: "gateway/GW.1", value: checkRow(check, host) },
    ]);
  const valid = () => fleet.get("gateway", "GW.1")?.valid;

  /** Moves the clock until `holds`; each round lets what is under way finish. */
  async function until(holds: () => boolean, why: string): Promise<void> {
    for (let round = 0; round < 200; round++) {
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (holds()) return;
      clock.advance(100);
    }
    assert.fail(why);
  }

  test("an entry is valid only while its program answers, and the reason of a failure can be read", async () => {
    await addChecked("tcp");
    await until(() => valid() === true, "it answers");
    assert.equal(formatCheck(looked[0] ?? { kind: "command", command: "" }), "tcp://10.0.0.1:80");
    result = bad;
    await until(() => valid() === false, "it does not answer any more");
    const why = JSON.stringify(await fleet.query("why", { key: "GW.1" }));
    assert.match(why, /its check tcp failed: connection refused/);
    result = good;
    await until(() => valid() === true, "it answers again");
    assert.deepEqual(fleet.get("checks", "gateway/GW.1")?.value, checkRow("tcp"));
  });

  test("what somebody else writes over the verdict is put right at the next look", async () => {
    result = bad;
    await addChecked("tcp");
    await until(() => logged.includes("check-turned"), "the first verdict");
    await fleet.change([{ op: "set-valid", table: "gateway", key: "GW.1", valid: true }]);
    await until(() => valid() === false, "it still does not answer");
  });

  test("rows of other hosts are left to their agents; unreadable rows are reported", async () => {
    await addChecked("tcp", "HOST2");
    await fleet.add("checks", "gateway/GW.2", { table: "gateway" });
    await fleet.add("checks", "gateway/GW.3", checkRow("tcp"));
    for (let round = 0; round < 30; round++) await until(() => true, "");
    assert.deepEqual([keeper.states().length, looked.length], [0, 0]);
    assert.equal(logged.filter((event) => event === "check-row-refused").length, 2);
  });

  test("a command is run only where the host's own configuration allows it; else the entry stays invalid and says why", async () => {
    await addChecked("exit 0");
    await until(
      () => JSON.stringify(fleet.get("checks", "gateway/GW.1")?.value).includes("does not run commands"),
      "the reason is on the roll",
    );
    assert.deepEqual([valid(), looked.length], [false, 0]);
    keeper.close();
    keeper = open(true);
    await until(() => valid() === true, "it is allowed now");
    assert.deepEqual(looked[0], { kind: "command", command: "exit 0" });
  });

  test("a row that is gone or changed is looked at no longer, or in the new way", async () => {
    await addChecked("tcp");
    await until(() => valid() === true, "it answers");
    await fleet.add("checks", "gateway/GW.1", checkRow("http:/health"));
    await until(() => looked.at(-1)?.kind === "http", "the new check is made");
    await fleet.delete("checks", "gateway/GW.1");
    assert.deepEqual([keeper.states().length, clock.timers], [0, 0]);
    const count = looked.length;
    clock.advance(5000);
    assert.equal(looked.length, count);
  });
});
