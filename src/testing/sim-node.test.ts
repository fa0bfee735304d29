import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { every, sleep } from "../kernel/index.ts";
import { EventHeap, type HeapEvent } from "./event-heap.ts";
import { SimDisk } from "./sim-disk.ts";
import { SimNetwork } from "./sim-network.ts";
import { SimNode } from "./sim-node.ts";
import { SimTelemetry } from "./sim-telemetry.ts";
import { SimWorld } from "./sim-world.ts";
import fc from "fast-check";

function world(seed = 1): SimWorld {
  return new SimWorld({ seed });
}

describe("the event heap", () => {
  test("gives events in the order of time and insertion, also after removals", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat({ max: 20 }), fc.boolean()), { maxLength: 200 }), (plans) => {
        const heap = new EventHeap<HeapEvent>();
        const events = plans.map(([atMs], order): HeapEvent => ({ atMs, order, index: -1 }));
        for (const event of events) heap.push(event);
        const removed = events.filter((_, index) => plans[index]?.[1] === true);
        for (const event of removed) heap.remove(event);
        for (const event of removed) heap.remove(event);
        const given: HeapEvent[] = [];
        for (let next = heap.pop(); next !== undefined; next = heap.pop()) given.push(next);
        const expected = events.filter((event) => !removed.includes(event)).sort((a, b) => a.atMs - b.atMs || a.order - b.order);
        assert.deepEqual(given, expected);
      }),
    );
  });
});

describe("the simulated world", () => {
  test("promises settle between two events of the same instant", async () => {
    const w = world();
    const seen: string[] = [];
    w.at(5, () => {
      void (async () => {
        for (let step = 0; step < 20; step++) await Promise.resolve();
        seen.push("continuation");
      })();
    });
    w.at(5, () => seen.push("next event"));
    await w.run(10);
    assert.deepEqual(seen, ["continuation", "next event"]);
    assert.equal(w.nowMs, 10);
  });

  test("runUntil stops at the event that fulfils the predicate, and at the limit otherwise", async () => {
    const w = world();
    let count = 0;
    for (let at = 1; at <= 9; at++) w.at(at, () => count++);
    assert.equal(await w.runUntil(() => count === 3, 100), true);
    assert.equal(w.nowMs, 3);
    assert.equal(await w.runUntil(() => count === 99, 100), false);
    assert.equal(w.nowMs, 100);
  });

  test("what an event throws fails the run, and the world can go on", async () => {
    const w = world();
    w.at(1, () => {
      throw new Error("broken");
    });
    w.at(2, () => w.note("after"));
    await assert.rejects(w.run(10), /broken/);
    await w.run(10);
    assert.equal(w.events, 2);
  });

  test("a run that never ends is stopped", async () => {
    const w = new SimWorld({ seed: 1, eventsMax: 1000 });
    const again = () => {
      w.after(0, again);
    };
    again();
    await assert.rejects(w.run(10), { code: "testing/too-many-events" });
  });

  test("equal seeds give equal traces, other seeds others", async () => {
    const [first, second, other] = [await busyFleet(11), await busyFleet(11), await busyFleet(12)];
    assert.equal(first, second);
    assert.notEqual(first, other);
  });

  test("300,000 events a second are far from its limit", async () => {
    const w = world();
    for (let index = 0; index < 30; index++) every(new SimNode(w, { name: `N${index}` }).clock, 1, () => {});
    const began = process.hrtime.bigint();
    await w.run(3000);
    const seconds = Number(process.hrtime.bigint() - began) / 1e9;
    // A loaded machine may be ten times slower than the one this was measured on (2.5 million a second).
    assert.ok(w.events / seconds > 150_000, `${Math.round(w.events / seconds)} events a second`);
  });
});

/** Nodes with drifting clocks that talk, are paused, cut off, and crashed; the result is the trace. */
async function busyFleet(seed: number): Promise<string> {
  const w = world(seed);
  const network = new SimNetwork(w);
  const nodes = Array.from(
    { length: 6 },
    (_, index) => new SimNode(w, { name: `N${index}`, clockRate: 0.95 + 0.02 * index, timerLatenessMs: 1 }),
  );
  for (const [index, node] of nodes.entries()) {
    await network
      .transport(node)
      .listen({ kind: "tcp", host: node.name, port: 1 }, (connection) =>
        connection.open({ data: (chunk) => connection.write(chunk.slice()), drain: () => {}, close: () => w.note("closed") }),
      );
    const target = nodes[(index + 1) % nodes.length]?.name ?? "";
    every(node.clock, 10, () => {
      void network
        .transport(node)
        .connect({ kind: "tcp", host: target, port: 1 }, { timeoutMs: 50 })
        .then(
          (connection) => {
            connection.open({ data: (chunk) => w.note(String(chunk.length)), drain: () => {}, close: () => {} });
            connection.write(new Uint8Array(1 + Math.floor(node.random.fraction() * 100)));
            node.clock.schedule(20, () => connection.end());
          },
          () => w.note("failed"),
        );
    });
  }
  w.at(50, () => nodes[1]?.pause());
  w.at(80, () => nodes[1]?.resume());
  w.at(60, () => network.partition(["N2"], ["*"]));
  w.at(120, () => network.heal());
  w.at(130, () => nodes[3]?.crash());
  await w.run(300);
  return w.trace;
}

describe("the clock of a simulated node", () => {
  test("drifts: a fast clock's timers fire early in true time, never early by its own", async () => {
    const w = world();
    const node = new SimNode(w, { name: "A", clockRate: 1.1 });
    const began = node.clock.monoMs();
    let fired: { readonly trueMs: number; readonly ownMs: number } | undefined;
    node.clock.schedule(110, () => {
      fired = { trueMs: w.nowMs, ownMs: node.clock.monoMs() - began };
    });
    await w.run(200);
    assert.ok(fired !== undefined && Math.abs(fired.trueMs - 100) < 0.01 && fired.ownMs >= 110 && fired.ownMs < 110.01);
  });

  test("wall time has an offset and jumps in both directions; monotonic time does not care", async () => {
    const w = world();
    const node = new SimNode(w, { name: "A", wallOffsetMs: 5000 });
    assert.equal(node.clock.unixMs(), w.startUnixMs + 5000);
    const mono = node.clock.monoMs();
    node.clock.jumpWall(-3_600_000);
    await w.run(10);
    assert.equal(node.clock.unixMs(), w.startUnixMs + 5000 - 3_600_000 + 10);
    assert.equal(node.clock.monoMs(), mono + 10);
  });

  test("a cancelled timer does not fire, also when it is cancelled while the node stands still", async () => {
    const w = world();
    const node = new SimNode(w, { name: "A" });
    let fired = 0;
    const early = node.clock.schedule(5, () => fired++);
    const late = node.clock.schedule(6, () => fired++);
    early.cancel();
    early.cancel();
    node.pause();
    await w.run(10);
    late.cancel();
    node.resume();
    await w.run(20);
    assert.equal(fired, 0);
  });

  test("turn runs after the input of the same instant, and sleep and every work on it", async () => {
    const w = world();
    const node = new SimNode(w, { name: "A" });
    const seen: string[] = [];
    node.life.plan(1, "input", () => {
      node.clock.turn(() => seen.push("turn"));
      seen.push("first");
    });
    node.life.plan(1, "input", () => seen.push("second"));
    void sleep(node.clock, 2).then(() => seen.push("slept"));
    const ticking = every(node.clock, 1.5, () => seen.push("tick"));
    await w.run(3.2);
    ticking.cancel();
    await w.run(10);
    assert.deepEqual(seen, ["first", "second", "turn", "tick", "slept", "tick"]);
  });
});

describe("a simulated node that stands still", () => {
  test("fires its expired timers before it reads its input, as Node does, and then goes on", async () => {
    const w = world();
    const node = new SimNode(w, { name: "A" });
    const seen: string[] = [];
    node.life.plan(12, "input", () => seen.push("input 12"));
    node.life.plan(15, "input", () => {
      seen.push("input 15");
      void Promise.resolve().then(() => seen.push("continuation"));
    });
    node.life.plan(16, "input", () => seen.push("input 16"));
    node.clock.schedule(20, () => seen.push("timer 20"));
    node.clock.schedule(14, () => seen.push("timer 14"));
    w.at(10, () => node.pause());
    w.at(30, () => node.resume());
    node.life.plan(30, "input", () => seen.push("input 30"));
    node.clock.schedule(40, () => seen.push("timer 40"));
    await w.run(50);
    assert.deepEqual(seen, ["timer 14", "timer 20", "input 12", "input 15", "continuation", "input 16", "input 30", "timer 40"]);
  });

  test("in a pause its clocks go on; in a suspension monotonic time and its timers stand still", async () => {
    const w = world();
    const [paused, suspended] = [new SimNode(w, { name: "A" }), new SimNode(w, { name: "B" })];
    const began = [paused.clock.monoMs(), suspended.clock.monoMs()] as const;
    const fired: string[] = [];
    paused.clock.schedule(50, () => fired.push(`paused ${Math.round(w.nowMs)}`));
    suspended.clock.schedule(50, () => fired.push(`suspended ${Math.round(w.nowMs)}`));
    w.at(10, () => {
      paused.pause();
      suspended.suspend();
    });
    w.at(1010, () => {
      paused.resume();
      suspended.resume();
    });
    await w.run(2000);
    assert.deepEqual(fired, ["paused 1010", "suspended 1050"]);
    assert.deepEqual([Math.round(paused.clock.monoMs() - began[0]), Math.round(suspended.clock.monoMs() - began[1])], [2000, 1000]);
    assert.equal(suspended.clock.unixMs(), w.startUnixMs + 2000);
  });

  test("a node that is paused again while it catches up keeps what is left", async () => {
    const w = world();
    const node = new SimNode(w, { name: "A" });
    const seen: number[] = [];
    node.pause();
    for (let at = 1; at <= 4; at++)
      node.life.plan(at, "input", () => {
        seen.push(at);
        if (at === 2) node.pause();
      });
    await w.run(5);
    node.resume();
    await w.run(6);
    assert.deepEqual(seen, [1, 2]);
    node.resume();
    await w.run(7);
    assert.deepEqual(seen, [1, 2, 3, 4]);
  });
});

describe("a simulated node that crashes", () => {
  test("never runs a callback of its former life, and its new life is another", async () => {
    const w = world();
    const node = new SimNode(w, { name: "A" });
    const old = node.clock;
    let ran = 0;
    let continued = false;
    node.clock.schedule(10, () => ran++);
    node.clock.turn(() => ran++);
    void sleep(node.clock, 10).then(() => {
      continued = true;
    });
    node.crash();
    assert.equal(node.alive, false);
    old.schedule(1, () => ran++);
    old.turn(() => ran++);
    const life = node.restart();
    life.clock.schedule(20, () => {
      ran += 100;
    });
    await w.run(100);
    assert.deepEqual([ran, continued, node.lives], [100, false, 2]);
    assert.notEqual(old.monoMs(), life.clock.monoMs());
  });
});

describe("the telemetry of a simulated node", () => {
  test("keeps the newest lines with true times, and counts", async () => {
    const w = world();
    const telemetry = new SimTelemetry(w, 2);
    const node = new SimNode(w, { name: "A", clockRate: 1.1, telemetry });
    for (const delayMs of [11, 22, 33]) node.clock.schedule(delayMs, () => node.telemetry.log("info", "fired", { delayMs }));
    node.telemetry.count("sent", 2, { to: "B" });
    node.telemetry.count("sent", 1, { to: "C" });
    await w.run(100);
    assert.deepEqual(
      telemetry.lines.map(({ atMs, fields }) => [Math.round(atMs), fields["delayMs"]]),
      [
        [20, 22],
        [30, 33],
      ],
    );
    assert.equal(telemetry.counted("sent"), 3);
  });
});

describe("the simulated disk", () => {
  const entry = (key: string, value: number) => ({ table: 1, key, bytes: Uint8Array.of(value) });

  async function opened(seed: number) {
    const w = world(seed);
    const node = new SimNode(w, { name: "A" });
    const disk = new SimDisk(w, { commitMs: 5, jitterMs: 0 });
    const store = disk.store(node.life);
    await store.open();
    return { w, node, disk, store };
  }

  async function keysOf(disk: SimDisk, node: SimNode): Promise<string[]> {
    const roll = await disk.store(node.life).open();
    return [...roll.entries()].map(({ key }) => key);
  }

  test("a commit takes its time, and outlives the program", async () => {
    const { w, node, disk, store } = await opened(1);
    let done: number | undefined;
    void store.commit({ entries: [entry("a", 1)] }).then(() => {
      done = w.nowMs;
    });
    await w.run(100);
    assert.equal(done, 5);
    node.crash();
    node.restart();
    assert.deepEqual(await keysOf(disk, node), ["a"]);
  });

  test("a crash in the middle of a commit keeps all of the batch or nothing, and the promise never settles", async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 20; seed++) {
      const { w, node, disk, store } = await opened(seed);
      let settled = false;
      void store.commit({ entries: [entry("a", 1), entry("b", 2)] }).then(() => {
        settled = true;
      });
      w.at(3, () => node.crash());
      await w.run(100);
      assert.equal(settled, false);
      node.restart();
      outcomes.add((await keysOf(disk, node)).join());
    }
    assert.deepEqual([...outcomes].sort(), ["", "a,b"]);
  });

  test("a full disk rejects and keeps what was there; a lost one is empty; two programs never have it", async () => {
    const { w, node, disk, store } = await opened(1);
    const other = new SimNode(w, { name: "B" });
    await assert.rejects(disk.store(other.life).open(), { code: "storage/busy" });
    const outcomes: string[] = [];
    const commit = (key: string) =>
      store.commit({ entries: [entry(key, 1)] }).then(
        () => outcomes.push(key),
        (error: unknown) => outcomes.push(`${key} ${error instanceof Error && "code" in error ? String(error.code) : ""}`),
      );
    void commit("a");
    await w.runFor(10);
    disk.full = true;
    void commit("b");
    await w.runFor(10);
    disk.full = false;
    void commit("c");
    await w.runFor(10);
    assert.deepEqual(outcomes, ["a", "b storage/full", "c"]);
    node.crash();
    assert.deepEqual(await keysOf(disk, other), ["a", "c"]);
    other.crash();
    disk.lose();
    node.restart();
    assert.deepEqual(await keysOf(disk, node), []);
  });
});
