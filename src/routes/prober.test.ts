import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Member, Scene, type SceneOptions } from "./prober-scene.ts";

/** Beyond what the window says: the answers of those who were asked, and the way. */
const cutMsMax = 750;

async function settled(options: SceneOptions = {}): Promise<Scene> {
  const scene = new Scene(options);
  await scene.settle();
  return scene;
}

/** Hosts whose agent alone is silent, as the log says. */
function silentAgents({ telemetry }: Member): string[] {
  return telemetry.lines
    .filter(({ event }) => event === "agent-silent")
    .map(({ fields }) => String(fields["host"]))
    .sort();
}

function reported(member: Member): string[] {
  return member.events.map((event) => event.replace(/^\d+ /, ""));
}

/** How long after the beginning (by default 3 s) the first report came. */
function afterMs(member: Member, sinceMs = 3000): number {
  const [first] = member.events;
  return first === undefined ? Number.NaN : Number.parseInt(first, 10) - sinceMs;
}

function isolate(scene: Scene, member: Member): void {
  scene.isolate(member, 0);
  scene.isolate(member, 1);
}

describe("routes that work", () => {
  test("[DSD-17] [DSD-18] both ends hear each other on every route, and every route is reported once", async () => {
    const scene = new Scene({ hosts: 2 });
    await scene.start();
    await scene.world.runFor(5000);
    assert.deepEqual(reported(scene.parent).sort(), ["HOST1.0 valid", "HOST1.1 valid", "HOST2.0 valid", "HOST2.1 valid"]);
    assert.deepEqual(reported(scene.host(1)), ["parent heard"]);
    for (const [member, other] of [
      [scene.parent, "HOST1"],
      [scene.host(1), "TOP"],
    ] as const)
      for (const route of [0, 1])
        for (const direction of ["in", "out"] as const) assert.equal(scene.row(member, other, route, direction)?.state, "heard");
  });

  test("the cost is one probe and one answer a period and route, and nobody else is sent anything", async () => {
    const scene = await settled({ hosts: 3 });
    const sent = () => [scene.parent, ...scene.hosts].map(({ telemetry }) => telemetry.counted("muster_probes_sent_total"));
    const before = sent();
    await scene.world.runFor(60_000);
    const [top = 0, ...hosts] = sent().map((count, at) => count - (before[at] ?? 0));
    for (const count of hosts) assert.ok(count >= 1190 && count < 1290, `${count}`);
    // And now and then a beat for whoever might hear multicast.
    assert.ok(top >= 3 * 1190 && top < 3 * 1290 + 2 * 70, `${top}`);
  });

  test("clocks that jump by an hour, and run 10 % fast or slow, change nothing", async () => {
    const scene = await settled();
    for (const byMs of [3_600_000, -7_200_000, 3_600_000]) {
      scene.parent.node.clock.jumpWall(byMs);
      scene.host(2).node.clock.jumpWall(-byMs);
      await scene.world.runFor(5000);
    }
    assert.deepEqual([scene.parent.events, ...scene.hosts.map(({ events }) => events)].flat(), []);
  });

  for (const seed of [1, 2, 3])
    test(`[DSD-17] ten minutes of 10 % loss, doubled and overtaken packets: no accusation (seed ${seed})`, async () => {
      const scene = new Scene({ seed, hosts: 3, network: { loss: 0.1, duplicate: 0.02, reorder: 0.02 }, timerLatenessMs: 5 });
      await scene.start();
      await scene.world.runFor(10_000);
      scene.forget();
      await scene.world.runFor(600_000);
      assert.deepEqual(
        reported(scene.parent).filter((event) => !event.endsWith("valid")),
        [],
      );
      assert.deepEqual(scene.hosts.flatMap(reported), []);
      assert.ok(scene.parent.telemetry.counted("muster_probes_proven_total") > 30_000);
    });
});

describe("routes that are cut", () => {
  for (const direction of ["both", "up", "down"] as const)
    test(`[DSD-17] [DSD-18] a route that is cut for all (${direction}) is reported within the window, and valid again after the damping`, async () => {
      const scene = await settled();
      const host = scene.host(3);
      for (const other of [scene.parent, ...scene.hosts]) if (other !== host) scene.cut(host, 0, direction, other);
      await scene.world.runFor(3000);
      assert.deepEqual(reported(scene.parent), ["HOST3.0 cut"]);
      assert.ok(afterMs(scene.parent) <= cutMsMax, `${afterMs(scene.parent)} ms`);
      assert.deepEqual(scene.hosts.flatMap(reported), ["parent route cut 10.0.0.13"]);
      scene.forget();
      const mendedAtMs = scene.world.nowMs;
      scene.mend(host, 0);
      await scene.world.runFor(4000);
      assert.deepEqual(reported(scene.parent), ["HOST3.0 valid"]);
      assert.ok(afterMs(scene.parent, mendedAtMs) >= 900, "ten answers come first");
    });

  test("[DSD-18] an asymmetric cut is seen in its direction", async () => {
    const scene = await settled();
    scene.cut(scene.host(2), 1, "up");
    await scene.world.runFor(2000);
    // The host hears us on route 1; we do not hear it, and both know.
    assert.equal(scene.row(scene.parent, "HOST2", 1, "in")?.state, "cut");
    assert.match(scene.row(scene.host(2), "TOP", 1, "in")?.state ?? "", /heard|missed/);
    assert.equal(scene.row(scene.host(2), "TOP", 1, "out")?.state, "cut");
    assert.equal(scene.row(scene.host(2), "TOP", 0, "out")?.state, "heard");
  });

  test("a path that only this pair has lost is a fact of this pair, until others lose it too", async () => {
    const scene = await settled();
    scene.cut(scene.host(3), 0);
    await scene.world.runFor(5000);
    assert.deepEqual(reported(scene.parent), []);
    assert.equal(scene.row(scene.parent, "HOST3", 0, "in")?.note, "this pair only");
    const looked = scene.parent.prober.table().filter(({ note }) => note === "asked to look");
    assert.ok(looked.length > 0 && looked.every(({ to, state }) => to === "HOST3" && state === "heard"));
    scene.isolate(scene.host(3), 0);
    await scene.world.runFor(4000);
    assert.deepEqual(reported(scene.parent), ["HOST3.0 cut"]);
  });

  test("a flapping route is reported less and less often", async () => {
    const scene = await settled();
    for (let flap = 0; flap < 30; flap++) {
      scene.isolate(scene.host(1), 0);
      await scene.world.runFor(1000);
      scene.mend(scene.host(1), 0);
      await scene.world.runFor(2000);
    }
    const cuts = reported(scene.parent).filter((event) => event.endsWith("cut"));
    assert.ok(cuts.length >= 2 && cuts.length <= 8, `${cuts.length} cuts of 30`);
    await scene.world.runFor(90_000);
    assert.equal(reported(scene.parent).at(-1), "HOST1.0 valid");
  });

  test("a route that never worked is called cut only when others say so", async () => {
    const scene = new Scene();
    scene.cut(scene.host(1), 1);
    scene.isolate(scene.host(2), 1);
    await scene.start();
    await scene.world.runFor(5000);
    const events = reported(scene.parent);
    assert.ok(events.includes("HOST2.1 cut"));
    assert.ok(!events.some((event) => event.startsWith("HOST1.1")));
  });

  test("a switch that fails is a cut of every host's route, because the hosts say so of one another", async () => {
    const scene = await settled({ hosts: 6 });
    for (const host of scene.hosts) scene.isolate(host, 0);
    await scene.world.runFor(3000);
    assert.deepEqual(
      reported(scene.parent).sort(),
      scene.hosts.map(({ node }) => `${node.name}.0 cut`),
    );
  });

  test("the parent's own interface is suspected when more than half falls silent at once, and nobody is accused", async () => {
    for (const hosts of [2, 5]) {
      const scene = await settled({ hosts });
      scene.isolate(scene.parent, 0);
      await scene.world.runFor(10_000);
      assert.deepEqual(reported(scene.parent), []);
      assert.equal(scene.row(scene.parent, "HOST1", 0, "in")?.note, "own interface suspected");
      assert.ok(scene.parent.telemetry.lines.some(({ event }) => event === "own-interface-suspected"));
      scene.mend(scene.parent, 0);
      await scene.world.runFor(5000);
      assert.equal(scene.row(scene.parent, "HOST1", 0, "in")?.note, undefined);
    }
  });

  test("[DSD-28] an interface that goes down is known at the parent with the next message; its return is damped", async () => {
    const scene = await settled();
    const host = scene.host(2);
    host.prober.interface(host.addresses[0] ?? "", false);
    await scene.world.runFor(5);
    assert.deepEqual(reported(scene.parent), ["HOST2.0 cut"]);
    assert.equal(scene.row(scene.parent, "HOST2", 0, "in")?.note, "its interface is down");
    await scene.world.runFor(3000);
    const upAtMs = scene.world.nowMs;
    scene.forget();
    host.prober.interface(host.addresses[0] ?? "", true);
    await scene.world.runFor(5000);
    assert.deepEqual(reported(scene.parent), ["HOST2.0 valid"]);
    assert.ok(afterMs(scene.parent, upAtMs) >= 900);
  });

  test("[DSD-28] the parent's own interface that goes down accuses nobody", async () => {
    const scene = await settled({ hosts: 1 });
    scene.parent.prober.interface(scene.parent.addresses[0] ?? "", false);
    await scene.world.runFor(5000);
    assert.deepEqual(reported(scene.parent), []);
  });
});

describe("hosts that fall silent", () => {
  test("[DSD-17] a host cut off on all routes is silent within a second, and heard when it is back", async () => {
    const scene = await settled();
    isolate(scene, scene.host(3));
    await scene.world.runFor(3000);
    assert.deepEqual(reported(scene.parent), ["HOST3 silent 3/1"]);
    assert.ok(afterMs(scene.parent) <= cutMsMax, `${afterMs(scene.parent)} ms`);
    assert.deepEqual(reported(scene.host(3)), ["parent unheard"]);
    scene.mend(scene.host(3), 0);
    scene.mend(scene.host(3), 1);
    await scene.world.runFor(4000);
    assert.deepEqual(reported(scene.parent), ["HOST3 silent 3/1", "HOST3 heard"]);
    assert.deepEqual(reported(scene.host(3)), ["parent unheard", "parent heard"]);
  });

  test("a host whose power is gone is silent; one whose agent is gone or stopped is not", async () => {
    const scene = await settled({ hosts: 5 });
    scene.crash(scene.host(1), "silent");
    scene.crash(scene.host(2), "reset");
    scene.host(3).node.pause();
    await scene.world.runFor(3000);
    assert.deepEqual(reported(scene.parent), ["HOST1 silent 1/1"]);
    assert.deepEqual(silentAgents(scene.parent), ["HOST2", "HOST3"]);
    scene.host(3).node.resume();
    await scene.restart(scene.host(2));
    await scene.world.runFor(2000);
    assert.deepEqual(reported(scene.parent), ["HOST1 silent 1/1"]);
    for (const host of [2, 3])
      assert.ok(scene.parent.prober.table().some(({ from, state }) => from === `HOST${host}` && state === "heard"));
  });

  test("an agent that is silent on a living host is not forgotten: when the host dies too, that is found", async () => {
    const scene = await settled();
    scene.crash(scene.host(2), "reset");
    await scene.world.runFor(2000);
    isolate(scene, scene.host(2));
    await scene.world.runFor(5000);
    assert.deepEqual(silentAgents(scene.parent), ["HOST2"]);
    assert.deepEqual(reported(scene.parent), ["HOST2 silent 2/1"]);
  });

  test("one observer is not enough: a host that others reach is not silent, nor is one about which nobody could be asked", async () => {
    const scene = await settled();
    scene.cut(scene.host(3), 0);
    scene.cut(scene.host(3), 1);
    await scene.world.runFor(10_000);
    assert.deepEqual(reported(scene.parent), []);
    const alone = await settled({ hosts: 1 });
    isolate(alone, alone.host(1));
    await alone.world.runFor(10_000);
    assert.deepEqual(reported(alone.parent), []);
    assert.deepEqual(reported(alone.host(1)), ["parent unheard"]);
  });

  test("two hosts: the one other host is enough; a parent that hears nobody accuses nobody", async () => {
    const scene = await settled({ hosts: 2 });
    isolate(scene, scene.host(1));
    await scene.world.runFor(3000);
    assert.deepEqual(reported(scene.parent), ["HOST1 silent 1/1"]);
    const cut = await settled();
    isolate(cut, cut.parent);
    await cut.world.runFor(20_000);
    assert.deepEqual(reported(cut.parent), []);
    assert.ok(cut.hosts.every((host) => reported(host).join() === "parent unheard"));
  });

  test("an accusation names the attachment that it is about", async () => {
    const scene = await settled();
    scene.adopt(scene.hosts, 7);
    isolate(scene, scene.host(4));
    await scene.world.runFor(2000);
    assert.deepEqual(reported(scene.parent), ["HOST4 silent 4/7"]);
  });

  test("a host that is not attached any more is not accused", async () => {
    const scene = await settled();
    scene.adopt(scene.hosts.slice(0, 3));
    isolate(scene, scene.host(4));
    await scene.world.runFor(3000);
    assert.deepEqual(reported(scene.parent), []);
    assert.ok(!scene.parent.prober.table().some(({ from }) => from === "HOST4"));
  });

  test("an agent that was never heard by probes is not accused", async () => {
    const scene = new Scene();
    scene.secretOf = (name) => (name === "HOST2" ? undefined : Buffer.from("s"));
    await scene.start();
    await scene.world.runFor(20_000);
    assert.ok(!reported(scene.parent).some((event) => event.startsWith("HOST2")));
    assert.equal(scene.row(scene.parent, "HOST2", 0, "in")?.state, "unknown");
    assert.equal(scene.host(2).telemetry.counted("muster_probes_sent_total"), 0);
  });
});

describe("nodes that were away", () => {
  for (const way of ["pause", "suspend"] as const)
    test(`a parent after a ${way} of 30 s accuses nobody, whatever waited in its sockets`, async () => {
      for (const seed of [1, 2, 3, 4]) {
        const scene = new Scene({ seed, network: { loss: 0.1 } });
        await scene.settle(10_000);
        scene.parent.node[way]();
        await scene.world.runFor(30_000);
        scene.parent.node.resume();
        await scene.world.runFor(20_000);
        assert.deepEqual(
          reported(scene.parent).filter((event) => !event.endsWith("valid")),
          [],
        );
      }
    });

  test("a parent that stands still again and again accuses nobody", async () => {
    const scene = await settled();
    for (let again = 0; again < 40; again++) {
      scene.parent.node.pause();
      await scene.world.runFor(350);
      scene.parent.node.resume();
      await scene.world.runFor(130);
    }
    assert.deepEqual(reported(scene.parent), []);
  });

  test("a host that died during the parent's pause is found all the same, and only that one", async () => {
    const scene = await settled();
    scene.parent.node.pause();
    await scene.world.runFor(5000);
    isolate(scene, scene.host(2));
    await scene.world.runFor(5000);
    scene.parent.node.resume();
    await scene.world.runFor(2500);
    assert.deepEqual(reported(scene.parent), ["HOST2 silent 2/1"]);
  });

  test("an agent after a pause does not say that its parent is unheard", async () => {
    const scene = await settled();
    scene.host(1).node.pause();
    await scene.world.runFor(30_000);
    scene.host(1).node.resume();
    await scene.world.runFor(5000);
    assert.deepEqual(reported(scene.host(1)), []);
  });
});

describe("nodes that were away for about a window", () => {
  test("neither a host nor a parent that stood still for half a second loses a single route by it", async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const scene = new Scene({ seed, network: { jitterMs: 3 }, timerLatenessMs: 5 });
      await scene.settle();
      for (const node of [scene.host(2).node, scene.parent.node])
        for (let pauseMs = 480; pauseMs < 760; pauseMs += 20) {
          node.pause();
          await scene.world.runFor(pauseMs);
          node.resume();
          await scene.world.runFor(3000);
        }
      assert.deepEqual(
        [scene.parent, ...scene.hosts].flatMap(reported).filter((event) => event.includes(" cut")),
        [],
      );
    }
  });
});

describe("what the parent's position tells", () => {
  test("a position that stays ahead for a whole period is reported once; one that is reached is not", async () => {
    const scene = await settled({ hosts: 1 });
    scene.position = { epoch: 1, sequence: 12 };
    await scene.world.runFor(1000);
    assert.deepEqual(reported(scene.host(1)), ["ahead 1.12"]);
    scene.position = { epoch: 2, sequence: 12 };
    await scene.world.runFor(1000);
    assert.deepEqual(reported(scene.host(1)), ["ahead 1.12", "ahead 2.12"]);
  });
});
