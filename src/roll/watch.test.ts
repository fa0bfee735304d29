import assert from "node:assert/strict";
import { test } from "node:test";
import { silentTelemetry } from "../kernel/index.ts";
import { Replica, builtInTableRows, tableNumbers } from "../tables/index.ts";
import { Watch } from "./watch.ts";

const { metadata } = tableNumbers;

function bench() {
  const replica = new Replica();
  let sequence = 1;
  replica.begin(1, sequence);
  for (const { key, text } of builtInTableRows()) replica.put(tableNumbers.tables, key, text, true, "", 0);
  replica.end();
  const watch = new Watch({
    replica,
    telemetry: silentTelemetry,
    name: "HOST9",
    tickMs: 20,
    programGraceMs: 200,
    restartGraceMs: 5000,
    watchedMax: 100,
  });
  replica.observe({ touched: (table, key) => watch.touched(table, key), host: () => {}, reset: () => watch.rescan() });
  const change = (apply: () => void) => {
    replica.begin(1, ++sequence);
    apply();
    replica.end();
  };
  const bind = (key: string, session: number) =>
    change(() => replica.put(metadata, key, '{"host":"HOST9","port":1}', true, `HOST9/${session}`, sequence));
  const ticks = (count: number) => Array.from({ length: count }, () => watch.tick()).flat();
  return { replica, watch, bind, change, ticks };
}

const beat = { table: "metadata", key: "MDS.1.1", maxPeriodMs: 300, onExpiry: { action: "invalidate" } } as const;

test("[DSD-13] a heartbeat that does not come in its period lapses the entry, one that comes does not", () => {
  const { watch, bind, ticks } = bench();
  watch.present(7);
  bind("MDS.1.1", 7);
  assert.equal(watch.beat(7, beat), "watched");
  assert.deepEqual(ticks(15), []);
  assert.equal(watch.beat(7, beat), "watched");
  assert.deepEqual(ticks(15), []);
  const [lapse] = ticks(2);
  assert.equal(lapse?.cause, "heartbeat");
  assert.equal(lapse?.key, "MDS.1.1");
});

test("a late tick of the watcher itself re-arms every deadline", () => {
  const { watch, bind, ticks } = bench();
  watch.present(7);
  bind("MDS.1.1", 7);
  watch.beat(7, beat);
  assert.deepEqual(ticks(15), []);
  watch.late();
  assert.deepEqual(ticks(15), []);
  assert.equal(ticks(1).length, 1);
});

test("a program that comes back within its grace loses nothing; one that does not, lapses", () => {
  const { watch, bind, ticks } = bench();
  watch.present(7);
  bind("MDS.1.1", 7);
  watch.away(7, false);
  assert.equal(watch.unwatched, 1);
  assert.deepEqual(ticks(9), []);
  watch.present(7);
  assert.deepEqual(ticks(100), []);
  watch.away(7, false);
  assert.equal(ticks(10).length, 1);
});

test("the proven end of a process waits for nothing and touches only what it held", () => {
  const { watch, bind } = bench();
  watch.present(7);
  watch.present(8);
  bind("MDS.1.1", 7);
  bind("MDS.1.2", 8);
  assert.deepEqual(
    watch.gone(7, "program-gone").map(({ key }) => key),
    ["MDS.1.1"],
  );
  assert.equal(watch.size, 1);
});

test("an agent that was restarted reads from the roll whose return it waits for", () => {
  const { replica, bind } = bench();
  bind("MDS.1.1", 7);
  const again = new Watch({
    replica,
    telemetry: silentTelemetry,
    name: "HOST9",
    tickMs: 20,
    programGraceMs: 200,
    restartGraceMs: 5000,
    watchedMax: 100,
  });
  again.rescan();
  assert.equal(again.unwatched, 1);
  const before = Array.from({ length: 249 }, () => again.tick()).flat();
  assert.deepEqual(before, []);
  assert.equal(again.tick().length, 1, "the grace of a restart is 5 s, 250 ticks");
});

test("entries of other watchers, and entries that are invalid, are not watched", () => {
  const { replica, watch, change } = bench();
  change(() => replica.put(metadata, "MDS.2.1", '{"host":"HOST11","port":1}', true, "HOST11/9", 1));
  change(() => replica.put(metadata, "MDS.3.1", '{"host":"HOST9","port":1}', false, "HOST9/9", 1));
  assert.equal(watch.size, 0);
});
