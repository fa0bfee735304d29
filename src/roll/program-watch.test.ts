import assert from "node:assert/strict";
import { test } from "node:test";
import { silentTelemetry } from "../kernel/index.ts";
import { Replica, builtInTableRows, tableNumbers } from "../tables/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { linked } from "../testing/link-sides.ts";
import type { Transport } from "../transport/index.ts";
import { Child } from "./child.ts";
import { presets } from "./options.ts";
import { ProgramWatch } from "./program-watch.ts";

const periods = presets.test;

/** Nothing is doubted here, so nobody connects. */
const noTransport: Transport = {
  connect: () => Promise.reject(new Error("nobody connects")),
  listen: () => Promise.reject(new Error("nobody listens")),
};

/** A watch of one program, of which the test says whether its process has ended. */
async function watching(process: { readonly pid?: number; readonly started?: string } = { pid: 77, started: "1" }) {
  const clock = new ManualClock();
  const replica = new Replica();
  replica.begin(1, 1);
  for (const { key, text } of builtInTableRows()) replica.put(tableNumbers.tables, key, text, true, "", 0);
  replica.end();
  const seen = { looks: 0, gone: 0, isGone: false };
  const watch = new ProgramWatch({
    clock,
    telemetry: silentTelemetry,
    transport: noTransport,
    replica,
    periods,
    name: "HOST9",
    watchedMax: 100,
    processes: {
      isGone: () => {
        seen.looks++;
        return seen.isGone;
      },
    },
    hook: undefined,
    change: () => Promise.resolve(),
    gone: () => void seen.gone++,
  });
  watch.start();
  const { near } = await linked();
  const attached = (counter: number) => {
    const child = new Child(near.link, { fleet: "", epoch: 0, role: "client", name: "program", token: "token", ...process });
    Object.assign(child, { session: 7, counter });
    watch.present(child);
    return child;
  };
  return { clock, watch, seen, attached };
}

test("a program whose link has ended is looked at until its session ends, and then no more", async () => {
  const { clock, watch, seen, attached } = await watching();
  const ticking = clock.timers;
  watch.ended(attached(1), true);
  clock.advance(300);
  const quick = seen.looks;
  assert.ok(quick >= 9, `${quick} looks at first`);
  clock.advance(periods.sessionGraceMs / 2);
  const half = seen.looks - quick;
  assert.ok(Math.abs(half - periods.sessionGraceMs / 2 / periods.tickMs) <= 2, `${half} looks, one a tick`);
  clock.advance(periods.sessionGraceMs);
  const all = seen.looks;
  clock.advance(10 * periods.sessionGraceMs);
  assert.equal(seen.looks, all);
  assert.equal(clock.timers, ticking);
});

test("one that dies meanwhile is told of once; one that comes back, leaves or is lost again is not looked at twice", async () => {
  const { clock, watch, seen, attached } = await watching();
  const ticking = clock.timers;
  for (let counter = 1; counter <= 5; counter++) {
    watch.ended(attached(counter), false);
    clock.advance(10);
    assert.ok(clock.timers <= ticking + 1, `${clock.timers - ticking} looks wait`);
  }
  const back = attached(6);
  assert.equal(clock.timers, ticking);
  back.leaving = true;
  seen.isGone = true;
  watch.ended(back, false);
  clock.advance(1000);
  assert.equal(seen.gone, 0, "it left in good order");
  watch.ended(attached(7), false);
  assert.equal(seen.gone, 1);
  clock.advance(1000);
  assert.equal(seen.gone, 1);
});

test("a watch that closes looks at nobody any more, and nobody is looked at of whom no process is known", async () => {
  const one = await watching();
  one.watch.ended(one.attached(1), false);
  one.watch.close();
  assert.equal(one.clock.timers, 0);
  const unknown = await watching({});
  const ticking = unknown.clock.timers;
  unknown.watch.ended(unknown.attached(1), false);
  assert.equal(unknown.clock.timers, ticking);
  assert.equal(unknown.seen.looks, 0);
});
