import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManualClock } from "../testing/manual-clock.ts";
import type { IpCommand } from "./ip-command.ts";
import { LinkState } from "./link-state.ts";

const address = "192.0.2.2";
const link = "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default ";
const unplugged = "2: eth0: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue state DOWN mode DEFAULT group default ";
const addresses = "2: eth0    inet 192.0.2.2/24 brd 192.0.2.255 scope global eth0 ";

/** A stand-in for the commands: lists wait until they are answered, monitors run until they are ended. */
function stage() {
  const clock = new ManualClock();
  const logged: string[] = [];
  const told: string[] = [];
  const lists: { readonly what: string; readonly answer: (line: string) => void }[] = [];
  const running = new Set<{ readonly line: (text: string) => void; readonly end: () => void }>();
  let started = 0;
  const ip: IpCommand = {
    list: (what) => new Promise((resolve) => lists.push({ what, answer: (line) => resolve([line]) })),
    monitor: (line, ended) => {
      started++;
      const monitor = {
        line,
        end: () => {
          if (running.delete(monitor)) ended();
        },
      };
      running.add(monitor);
      return monitor.end;
    },
  };
  const state = new LinkState({
    addresses: [address],
    clock,
    telemetry: { log: (level, event) => void logged.push(`${level} ${event}`), count: () => {}, gauge: () => {}, observe: () => {} },
    report: (one, up) => void told.push(`${one} ${up ? "up" : "down"}`),
    ip,
  });
  const answer = async () => {
    for (let round = 0; round < 20; round++) {
      for (const { what, answer: say } of lists.splice(0)) say(what === "link" ? link : addresses);
      await Promise.resolve();
    }
  };
  const endMonitor = async () => {
    for (const monitor of running) monitor.end();
    await answer();
  };
  const pass = async (ms: number) => {
    clock.advance(ms);
    await answer();
  };
  const starting = state.start();
  return { clock, state, starting, logged, told, running, answer, endMonitor, pass, started: () => started };
}

describe("the state of the interfaces", () => {
  test("what the monitor says is told, also while the list is made", async () => {
    const { answer, running, told, state, pass } = stage();
    await answer();
    assert.deepEqual(told, []);
    for (const { line } of running) line(unplugged);
    assert.deepEqual(told, [`${address} down`]);
    for (const { line } of running) line(link);
    assert.deepEqual(told, [`${address} down`, `${address} up`]);
    await pass(1000);
    state.close();
    assert.equal(running.size, 0);
  });

  test("nothing is started any more after the end, whenever that comes", async () => {
    const ends: readonly (readonly [what: string, before: (scene: ReturnType<typeof stage>) => Promise<void>])[] = [
      ["before the first list is there", () => Promise.resolve()],
      ["when it listens", ({ answer }) => answer()],
      [
        "when the monitor has ended while the list was made",
        async ({ answer, running, starting }) => {
          await answer();
          await starting;
          for (const monitor of running) monitor.end();
        },
      ],
      [
        "when the monitor has ended, and a second look is due",
        async ({ answer, endMonitor, pass }) => {
          await answer();
          await endMonitor();
          await pass(900);
        },
      ],
      [
        "while it begins anew",
        async ({ answer, endMonitor, pass, clock }) => {
          await answer();
          await pass(60_000);
          await endMonitor();
          clock.advance(5000);
        },
      ],
    ];
    for (const [what, before] of ends) {
      const scene = stage();
      await before(scene);
      scene.state.close();
      const startedBefore = scene.started();
      await scene.answer();
      assert.equal(scene.clock.timers, 0, what);
      await scene.pass(100_000);
      assert.equal(scene.started(), startedBefore, what);
      assert.equal(scene.running.size, 0, what);
    }
  });

  test("a monitor that ends after a while is started again, as often as that happens", async () => {
    const { answer, endMonitor, pass, started, logged, running } = stage();
    await answer();
    for (let round = 0; round < 10; round++) {
      await pass(20_000);
      await endMonitor();
      await pass(5000);
    }
    assert.equal(started(), 11);
    assert.equal(running.size, 1);
    assert.deepEqual(new Set(logged), new Set(["warn link-state-ended"]));
  });

  test("one that ends at once is tried a few times, at growing intervals, then given up with one warning", async () => {
    const { answer, endMonitor, pass, started, logged, clock } = stage();
    await answer();
    await endMonitor();
    const startsAtMs: number[] = [];
    for (let ms = 0, before = started(); ms < 600_000; ms += 1000) {
      await pass(1000);
      if (started() > before) startsAtMs.push(ms + 1000);
      before = started();
      await endMonitor();
    }
    assert.deepEqual(startsAtMs, [5000, 15_000, 35_000]);
    assert.deepEqual(logged, ["warn link-state-off"]);
    assert.equal(clock.timers, 0);
  });
});
