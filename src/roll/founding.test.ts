import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type MusterError, silentTelemetry } from "../kernel/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { Founding } from "./founding.ts";

const foundingMs = 100;
const silentTicks = 4;

function stage() {
  const clock = new ManualClock();
  const happened: string[] = [];
  const founding = new Founding({
    clock,
    telemetry: silentTelemetry,
    foundingMs,
    silentTicks,
    found: () => Promise.resolve(void happened.push("founded")),
  });
  const offer = (name: string, sequence: number) => {
    const adopt = () => void happened.push(`${name} is asked`);
    founding.offered({ fleet: "f", epoch: 1, sequence, seen: 1 }, adopt, (error: MusterError) =>
      happened.push(`${name} is sent away: ${error.message}`),
    );
    return adopt;
  };
  const ticks = (count: number) => {
    for (let tick = 0; tick < count; tick++) founding.tick();
  };
  founding.begin();
  return { clock, happened, founding, offer, ticks };
}

describe("a directory without a store", () => {
  test("asks another node when the one that it has asked says nothing for some of its ticks", () => {
    const { clock, happened, offer, ticks } = stage();
    offer("stopped", 9);
    offer("behind", 7);
    clock.advance(foundingMs);
    offer("late", 8);
    ticks(silentTicks);
    assert.deepEqual(happened, ["stopped is asked"]);
    ticks(1);
    clock.advance(foundingMs);
    assert.deepEqual(happened.slice(1), ["stopped is sent away: nothing came of the replica that was asked for", "late is asked"]);
  });

  test("waits as long as parts arrive, and sends everybody else away only when it reigns", () => {
    const { clock, happened, founding, offer, ticks } = stage();
    offer("slow", 9);
    clock.advance(foundingMs);
    offer("other", 9);
    for (let part = 0; part < 10; part++) {
      ticks(silentTicks);
      founding.progress();
    }
    founding.taken();
    ticks(10 * silentTicks);
    assert.deepEqual(happened, ["slow is asked"]);
    founding.end();
    assert.ok(happened.includes("other is sent away: the directory reigns now"));
  });

  test("begins anew with the others when the one that it has asked leaves", () => {
    const { clock, happened, founding, offer } = stage();
    const leaver = offer("leaver", 9);
    offer("other", 8);
    clock.advance(foundingMs);
    founding.withdrawn(leaver);
    clock.advance(foundingMs);
    assert.deepEqual(happened, ["leaver is asked", "other is asked"]);
  });
});
