import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { MusterError, silentTelemetry } from "../kernel/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { Bindings } from "./bindings.ts";

const server = {
  table: "metadata",
  key: "MDS.1.1",
  value: "HOST1:1872",
  valid: true,
  maxPeriodMs: 300,
  onExpiry: { action: "invalidate" },
  automatic: true,
} as const;

/** What stands between a program and the directory is real; the directory here is a list of answers to its claims. */
describe("what a program holds on the roll", () => {
  let clock: ManualClock;
  let bindings: Bindings;
  let answers: (MusterError | undefined)[];
  let claims: number;
  let beats: number;
  let epoch: number;
  let asked: number;

  beforeEach(async () => {
    clock = new ManualClock();
    answers = [];
    claims = 0;
    beats = 0;
    epoch = 1;
    asked = 0;
    bindings = new Bindings({
      clock,
      telemetry: silentTelemetry,
      change: async () => {
        claims++;
        const refusal = answers.shift();
        if (refusal !== undefined) throw refusal;
      },
      beat: () => void beats++,
      epoch: () => epoch,
      admit: () => void asked++,
      token: "t",
      watcher: () => undefined,
    });
    bindings.admitted(true);
    await bindings.bind(server);
    claims = 0;
  });

  const passes = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 100) {
      clock.advance(100);
      await turn();
    }
  };

  test("a claim that is refused while its host is not known yet is made again until it holds", async () => {
    answers = [1, 2, 3].map(() => new MusterError("roll/unknown-host", "no such host"));
    bindings.admitted(true);
    await turn();
    bindings.lapsed("metadata", "MDS.1.1", true);
    assert.equal(bindings.size, 1, "a row that is not there yet was not ended by anybody");
    await passes(1000);
    assert.equal(claims, 4);
    await passes(2000);
    assert.equal(claims, 4, "what holds is not claimed again");
  });

  test("the directory of a new reign is asked about the session before an entry counts as ended by somebody", async () => {
    epoch = 2;
    bindings.lapsed("metadata", "MDS.1.1", true);
    assert.equal(asked, 1);
    bindings.admitted(true);
    await turn();
    assert.deepEqual([bindings.size, claims], [1, 1]);
  });

  test("what somebody ended on purpose ends", () => {
    bindings.lapsed("metadata", "MDS.1.1", true);
    assert.equal(bindings.size, 0);
    assert.equal(clock.timers, 0);
  });

  test("a key that another program holds is given up after thirty claims, with nothing left behind", async () => {
    answers = Array.from({ length: 100 }, () => new MusterError("roll/key-claimed", "held by another"));
    bindings.admitted(true);
    await passes(30_000);
    assert.deepEqual([bindings.size, claims, clock.timers], [0, 30, 0]);
  });

  test("heartbeats go on while a claim is refused, and closing ends both", async () => {
    answers = Array.from({ length: 100 }, () => new MusterError("roll/unknown-host", "no such host"));
    bindings.admitted(true);
    const before = beats;
    await passes(900);
    assert.ok(beats - before >= 8, `${beats - before} heartbeats`);
    bindings.close();
    assert.equal(clock.timers, 0);
    await turn();
    assert.equal(clock.timers, 0);
  });
});
