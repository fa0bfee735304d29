import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SimNode } from "../testing/index.ts";
import type { DatagramSocket, Endpoint } from "../transport/index.ts";
import { type Probe, encodeProbe, parseProbe } from "./probe.ts";
import { type Member, Scene } from "./prober-scene.ts";
import { ProbeSeal } from "./seal.ts";

const seal = new ProbeSeal(() => Buffer.from("a secret of this fleet, 32 bytes"));
const stranger: Probe = {
  kind: "probe",
  name: "somebody",
  route: 0,
  tag: 77,
  number: 1,
  echoTag: 0,
  echoNumber: 0,
  epoch: 1,
  sequence: 1,
  hears: 255,
  down: 0,
  beat: 0,
  beats: 0,
};

/** A machine on both networks that can send whatever it likes. */
async function intruder(scene: Scene): Promise<{ readonly socket: DatagramSocket; readonly received: Uint8Array[] }> {
  const node = new SimNode(scene.world, { name: "INTRUDER" });
  const received: Uint8Array[] = [];
  const socket = await scene.network.datagrams(node).bind({ host: "INTRUDER", port: 0 }, (bytes) => received.push(bytes.slice()));
  return { socket, received };
}

/** Everything that some members send from now on. */
function record(scene: Scene, ...members: Member[]): { readonly bytes: Uint8Array; readonly to: Endpoint }[] {
  const kept: { bytes: Uint8Array; to: Endpoint }[] = [];
  scene.tap = (from, bytes, to) => {
    if (members.some(({ node }) => node.name === from)) kept.push({ bytes: bytes.slice(), to });
  };
  return kept;
}

function encoded(probe: Probe): Uint8Array {
  const bytes = encodeProbe(probe, seal);
  assert.ok(bytes);
  return bytes;
}

describe("hostile datagrams", () => {
  const top: Endpoint = { host: "10.0.0.1", port: 7550 };

  test("a stranger without the secret gets nothing, whatever it sends", async () => {
    const scene = new Scene({ hosts: 1 });
    await scene.settle();
    const { socket, received } = await intruder(scene);
    const wrong = new ProbeSeal(() => Buffer.from("not the secret"));
    for (const bytes of [new Uint8Array(0), new Uint8Array(60_000), Buffer.from("GET / HTTP/1.1"), encodeProbe(stranger, wrong)])
      socket.send(bytes ?? new Uint8Array(1), top);
    await scene.world.runFor(1000);
    assert.deepEqual([received, scene.parent.events], [[], []]);
    assert.ok(scene.parent.telemetry.counted("muster_probes_refused_total") >= 4);
  });

  test("one with the secret is answered, at a bounded rate, and learns nothing but that", async () => {
    const scene = new Scene({ hosts: 1 });
    await scene.settle();
    const { socket, received } = await intruder(scene);
    for (let number = 1; number <= 5000; number++) socket.send(encoded({ ...stranger, number }), top);
    await scene.world.runFor(90);
    assert.ok(received.length > 0 && received.length <= 400, `${received.length}`);
    const answer = parseProbe(received[0] ?? new Uint8Array(0), seal);
    assert.ok(typeof answer === "object" && answer.kind === "answer" && answer.tag === 0 && answer.echoTag === 77 && answer.hears === 0);
    assert.deepEqual(scene.parent.events, []);
  });

  test("recorded probes of a dead host, sent again from anywhere, do not keep it alive", async () => {
    const scene = new Scene({ hosts: 4 });
    await scene.settle();
    const recorded = record(scene, scene.host(3));
    await scene.world.runFor(3000);
    assert.ok(recorded.length > 50);
    scene.tap = () => {};
    const { socket } = await intruder(scene);
    const diedAtMs = scene.world.nowMs;
    scene.crash(scene.host(3), "silent");
    const replay = () => {
      for (const { bytes, to } of recorded) socket.send(bytes, to);
      if (scene.world.nowMs < diedAtMs + 5000) scene.world.after(50, replay);
    };
    replay();
    await scene.world.runFor(5000);
    assert.equal(scene.parent.events.length, 1);
    assert.match(scene.parent.events[0] ?? "", /HOST3 silent/);
    assert.ok(Number.parseInt(scene.parent.events[0] ?? "", 10) - diedAtMs < 750);
    assert.ok(scene.parent.telemetry.counted("muster_probes_refused_total") > 1000);
  });

  test("recorded probes sent again while all is well change nothing", async () => {
    const scene = new Scene({ hosts: 2 });
    await scene.settle();
    const recorded = record(scene, scene.host(1), scene.parent);
    await scene.world.runFor(2000);
    scene.tap = () => {};
    const { socket } = await intruder(scene);
    for (let again = 0; again < 20; again++) {
      for (const { bytes, to } of recorded) socket.send(bytes, to);
      await scene.world.runFor(150);
    }
    await scene.world.runFor(3000);
    assert.deepEqual([scene.parent.events, scene.host(1).events], [[], []]);
  });

  test("recorded beats, from the parent's own address, do not keep it alive", async () => {
    const scene = new Scene({ hosts: 2, network: { multicast: true } });
    await scene.settle();
    const recorded = record(scene, scene.parent);
    await scene.world.runFor(3000);
    scene.tap = () => {};
    assert.ok(recorded.some(({ to }) => to.host.startsWith("239.")));
    scene.crash(scene.parent, "reset");
    const ghost = new SimNode(scene.world, { name: "GHOST", host: "TOP" });
    const socket = await scene.network.datagrams(ghost).bind(top, () => {});
    for (let again = 0; again < 60; again++) {
      for (const { bytes, to } of recorded) socket.send(bytes, to);
      await scene.world.runFor(50);
    }
    assert.deepEqual(
      scene
        .host(1)
        .events.map((event) => event.replace(/^\d+ /, ""))
        .at(-1),
      "parent unheard",
    );
    assert.ok(Number.parseInt(scene.host(1).events.at(-1) ?? "", 10) <= 6000 + 750);
  });

  test("a host that is asked to look tells only its parent, and only what is fresh", async () => {
    const scene = new Scene({ hosts: 2 });
    await scene.settle();
    const { socket, received } = await intruder(scene);
    const ask: Probe = { ...stranger, kind: "ask", id: 1, target: 2, address: "10.0.0.12", port: 9 };
    for (let port = 20_000; port < 20_020; port++) socket.send(encoded(ask), { host: "10.0.0.11", port });
    await scene.world.runFor(2000);
    assert.deepEqual(received, []);
  });
});
