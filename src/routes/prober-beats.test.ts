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

function reported(member: Member): string[] {
  return member.events.map((event) => event.replace(/^\d+ /, ""));
}

/** How long after the beginning (by default 3 s) the first report came. */
function afterMs(member: Member, sinceMs = 3000): number {
  const [first] = member.events;
  return first === undefined ? Number.NaN : Number.parseInt(first, 10) - sinceMs;
}

describe("networks with multicast", () => {
  const network = { multicast: true };

  test("[DSD-18] the parent beats to all at once, and spares every other answer", async () => {
    const scene = await settled({ hosts: 6, network });
    const before = scene.parent.telemetry.counted("muster_probes_sent_total");
    await scene.world.runFor(60_000);
    const sent = scene.parent.telemetry.counted("muster_probes_sent_total") - before;
    // 2 routes × 600 periods: one beat for all, and half an answer for each of six hosts.
    assert.ok(sent < 1.1 * 1200 * (1 + 6 / 2), `${sent}`);
    assert.deepEqual([scene.parent, ...scene.hosts].flatMap(reported), []);
  });

  test("[DSD-18] a route that is cut is found as fast, in each direction", async () => {
    for (const direction of ["both", "up", "down"] as const) {
      const scene = await settled({ network });
      const host = scene.host(3);
      for (const other of [scene.parent, ...scene.hosts]) if (other !== host) scene.cut(host, 0, direction, other);
      await scene.world.runFor(3000);
      assert.deepEqual(reported(scene.parent), ["HOST3.0 cut"]);
      assert.ok(afterMs(scene.parent) <= cutMsMax, `${direction}: ${afterMs(scene.parent)} ms`);
    }
  });

  test("[DSD-18] a parent that is gone is unheard in time, and ten minutes of 10 % loss accuse nobody", async () => {
    const scene = await settled({ hosts: 3, network: { ...network, loss: 0.1, duplicate: 0.02, reorder: 0.02 } });
    await scene.world.runFor(10_000);
    scene.forget();
    await scene.world.runFor(600_000);
    assert.deepEqual(
      [scene.parent, ...scene.hosts].flatMap(reported).filter((event) => !event.endsWith("valid")),
      [],
    );
    const goneAtMs = scene.world.nowMs;
    scene.forget();
    scene.crash(scene.parent, "silent");
    await scene.world.runFor(2000);
    for (const host of scene.hosts) {
      assert.deepEqual(reported(host), ["parent unheard"]);
      assert.ok(afterMs(host, goneAtMs) <= cutMsMax);
    }
  });
});
