import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Address, Connection, Listener } from "../transport/index.ts";
import { SimNetwork, type SimNetworkOptions } from "./sim-network.ts";
import { SimNode } from "./sim-node.ts";
import { SimWorld } from "./sim-world.ts";
import { transportConformance } from "./transport-conformance.ts";

const settleLimitMs = 60_000;

/** Steps the world until the promise has settled. */
async function settle<T>(world: SimWorld, promise: Promise<T>): Promise<T> {
  let settled = false;
  const done = () => {
    settled = true;
  };
  promise.then(done, done);
  const met = await world.runUntil(() => settled, world.nowMs + settleLimitMs);
  assert.ok(met, "nothing settled within a simulated minute");
  return promise;
}

for (const [name, address, nobody] of [
  ["simulated, between hosts", { kind: "tcp", host: "B", port: 0 }, { kind: "tcp", host: "B", port: 9 }],
  ["simulated, unix socket", { kind: "unix", path: "/run/a.sock" }, { kind: "unix", path: "/run/b.sock" }],
] as const)
  transportConformance(name, () => {
    const world = new SimWorld({ seed: 7 });
    const network = new SimNetwork(world, { splitChance: 0.3 });
    const near = network.transport(new SimNode(world, { name: "A", host: address.kind === "unix" ? "B" : "A" }));
    const far = network.transport(new SimNode(world, { name: "B" }));
    return Promise.resolve({
      transport: { listen: (at, accept) => far.listen(at, accept), connect: (at, options) => near.connect(at, options) },
      address,
      nobody,
      settle: (promise) => settle(world, promise),
      close: () => Promise.resolve(),
    });
  });

const serverAddress: Address = { kind: "tcp", host: "B", port: 7550 };

/** Two nodes, A and B, and what each end of their connections heard. */
class Pair {
  readonly world: SimWorld;
  readonly network: SimNetwork;
  readonly a: SimNode;
  readonly b: SimNode;
  readonly accepted: Heard[] = [];
  listener: Listener | undefined;

  constructor(options: SimNetworkOptions = {}, seed = 1) {
    this.world = new SimWorld({ seed });
    this.network = new SimNetwork(this.world, { latencyMs: 1, jitterMs: 0, connectionSpreadMs: 0, splitChance: 0, ...options });
    this.a = new SimNode(this.world, { name: "A" });
    this.b = new SimNode(this.world, { name: "B" });
    this.network.transport(this.a);
  }

  async listen(): Promise<void> {
    this.listener = await this.network
      .transport(this.b)
      .listen(serverAddress, (connection) => this.accepted.push(new Heard(this.world, connection)));
  }

  connect(timeoutMs?: number): Promise<Connection> {
    return settle(this.world, this.network.transport(this.a).connect(serverAddress, timeoutMs === undefined ? {} : { timeoutMs }));
  }

  async open(): Promise<{ near: Heard; far: Heard }> {
    if (this.listener === undefined) await this.listen();
    const before = this.accepted.length;
    const near = new Heard(this.world, await this.connect());
    await this.world.runUntil(() => this.accepted.length > before, this.world.nowMs + 100);
    return { near, far: this.accepted[before] ?? assert.fail("not accepted") };
  }
}

class Heard {
  readonly connection: Connection;
  readonly events: string[] = [];
  text = "";
  bytes = 0;
  closed: string | undefined;

  constructor(world: SimWorld, connection: Connection) {
    this.connection = connection;
    connection.open({
      data: (chunk) => {
        this.bytes += chunk.length;
        if (chunk.length < 100) this.text += Buffer.from(chunk).toString();
        this.events.push(`data ${world.nowMs.toFixed(3)}`);
      },
      drain: () => this.events.push(`drain ${world.nowMs.toFixed(3)}`),
      close: (error) => {
        this.closed = error === undefined ? "orderly" : "code" in error ? String(error.code) : error.message;
      },
    });
  }

  say(text: string): void {
    this.connection.write(Buffer.from(text));
  }
}

describe("the simulated network", () => {
  test("a connection costs a round trip, its data one way", async () => {
    const pair = new Pair();
    const { near, far } = await pair.open();
    assert.equal(pair.world.nowMs, 2);
    near.say("x");
    await pair.world.runFor(10);
    assert.deepEqual(far.events, ["data 3.000"]);
  });

  test("what is written in one instant arrives in one event", async () => {
    const pair = new Pair();
    const { near, far } = await pair.open();
    const before = pair.world.events;
    for (let index = 0; index < 50; index++) near.say("x");
    await pair.world.runFor(10);
    assert.equal(far.text.length, 50);
    assert.equal(pair.world.events - before, 1);
  });

  test("a partition keeps bytes back in both directions, and healing delivers them in order", async () => {
    const pair = new Pair();
    const { near, far } = await pair.open();
    pair.network.partition(["A"], ["B"]);
    near.say("1");
    far.say("a");
    await pair.world.runFor(1000);
    near.say("2");
    await pair.world.runFor(1000);
    assert.deepEqual([near.text, far.text], ["", ""]);
    pair.network.heal();
    near.say("3");
    await pair.world.runFor(1000);
    assert.deepEqual([near.text, far.text, near.closed], ["a", "123", undefined]);
  });

  test("a one-way cut stops only that way", async () => {
    const pair = new Pair();
    const { near, far } = await pair.open();
    pair.network.cut("A", "B");
    near.say("lost");
    far.say("heard");
    await pair.world.runFor(100);
    assert.deepEqual([near.text, far.text], ["heard", ""]);
  });

  test("a cut of one address leaves the host's other routes alone", async () => {
    const pair = new Pair();
    pair.network.addAddress("B", "B.1");
    const heard: string[] = [];
    await pair.network
      .transport(pair.b)
      .listen({ kind: "tcp", host: "0.0.0.0", port: 80 }, (connection) =>
        heard.push(connection.local.kind === "tcp" ? connection.local.host : ""),
      );
    pair.network.partition(["*"], ["B"]);
    pair.network.heal();
    pair.network.cut("A", "B.1");
    const transport = pair.network.transport(pair.a);
    await assert.rejects(settle(pair.world, transport.connect({ kind: "tcp", host: "B.1", port: 80 }, { timeoutMs: 500 })), {
      code: "transport/timeout",
    });
    await settle(pair.world, transport.connect({ kind: "tcp", host: "B", port: 80 }));
    await pair.world.runFor(10);
    assert.deepEqual(heard, ["B"]);
  });

  test("an address that was taken from a host answers nobody, and what the host opens begins at another", async () => {
    const pair = new Pair();
    pair.network.addAddress("A", "10.0.0.1");
    for (const address of ["10.0.0.2", "10.0.0.3"]) pair.network.addAddress("B", address);
    pair.network.removeAddress("B", "10.0.0.2");
    const from: string[] = [];
    await pair.network
      .transport(pair.a)
      .listen({ kind: "tcp", host: "10.0.0.1", port: 80 }, ({ peer }) => from.push(peer.kind === "tcp" ? peer.host : ""));
    await settle(pair.world, pair.network.transport(pair.b).connect({ kind: "tcp", host: "10.0.0.1", port: 80 }));
    await pair.world.runFor(10);
    assert.deepEqual(from, ["10.0.0.3"]);
    const old = pair.network.transport(pair.a).connect({ kind: "tcp", host: "10.0.0.2", port: 80 }, { timeoutMs: 500 });
    await assert.rejects(settle(pair.world, old), { code: "transport/timeout" });
  });

  test("a connection through a partition times out at the caller's limit", async () => {
    const pair = new Pair();
    await pair.listen();
    pair.network.partition(["A"], ["*"]);
    await assert.rejects(pair.connect(700), { code: "transport/timeout" });
    assert.ok(Math.abs(pair.world.nowMs - 700) < 1);
  });

  test("a connection that is cut on the way back exists at the other end only until the caller gives up", async () => {
    const pair = new Pair();
    await pair.listen();
    pair.network.cut("B", "A");
    await assert.rejects(pair.connect(500), { code: "transport/timeout" });
    assert.equal(pair.accepted.length, 1);
    await pair.world.runFor(10);
    pair.network.heal();
    await pair.world.runFor(1000);
    assert.notEqual(pair.accepted[0]?.closed, undefined);
  });

  test("a reset breaks both ends, and bytes in flight are lost", async () => {
    const pair = new Pair();
    const { near, far } = await pair.open();
    near.say("in flight");
    assert.equal(pair.network.reset("A", "B"), 1);
    await pair.world.runFor(100);
    assert.deepEqual([far.text, near.closed, far.closed], ["", "transport/reset", "transport/reset"]);
    assert.equal(pair.network.connections, 0);
  });

  test("a stalled connection carries nothing while a new one does, and goes on later with everything", async () => {
    const pair = new Pair();
    const old = await pair.open();
    pair.network.stall("A", "B");
    old.near.say("old");
    const fresh = await pair.open();
    fresh.near.say("new");
    await pair.world.runFor(100);
    assert.deepEqual([old.far.text, fresh.far.text], ["", "new"]);
    pair.network.unstall("A", "B");
    await pair.world.runFor(1000);
    assert.equal(old.far.text, "old");
  });

  test("data of a connection that was given up can arrive after data of its successor", async () => {
    let overtaken = false;
    for (let seed = 1; seed < 40 && !overtaken; seed++) {
      const pair = new Pair({ connectionSpreadMs: 5 }, seed);
      const old = await pair.open();
      const fresh = await pair.open();
      const order: string[] = [];
      old.near.say("old");
      old.near.connection.destroy();
      fresh.near.say("new");
      await pair.world.runUntil(() => old.far.text !== "" || fresh.far.text !== "", 1000);
      if (fresh.far.text !== "") order.push("new");
      await pair.world.runFor(100);
      overtaken = order.length > 0 && old.far.text === "old";
    }
    assert.ok(overtaken);
  });

  test("a paused program is a slow receiver: the sender's bytes pile up, and drain tells when they have gone", async () => {
    const pair = new Pair({ systemBytesMax: 10_000 });
    const { near, far } = await pair.open();
    pair.b.pause();
    near.connection.write(new Uint8Array(25_000));
    await pair.world.runFor(1000);
    assert.equal(near.connection.bufferedBytes, 15_000);
    pair.b.resume();
    await pair.world.runFor(100);
    assert.deepEqual([near.connection.bufferedBytes, far.bytes, near.events.length], [0, 25_000, 1]);
  });

  test("a killed program's peers hear of it one way later; what it had handed to its system still arrives", async () => {
    const pair = new Pair();
    const { near, far } = await pair.open();
    far.say("last words");
    pair.b.crash("reset");
    await pair.world.runFor(10);
    assert.deepEqual([near.text, near.closed], ["last words", "orderly"]);
    await assert.rejects(pair.connect(), { code: "transport/refused" });
  });

  test("a host without power leaves half-open connections; when it is back they are reset", async () => {
    const pair = new Pair();
    const { near } = await pair.open();
    pair.b.crash("silent");
    near.say("anybody?");
    await pair.world.runFor(60_000);
    assert.equal(near.closed, undefined);
    await assert.rejects(pair.connect(), { code: "transport/timeout" });
    pair.b.restart();
    await pair.listen();
    await pair.world.runFor(1000);
    assert.equal(near.closed, "transport/reset");
    const again = await pair.open();
    again.near.say("hello");
    await pair.world.runFor(10);
    assert.equal(again.far.text, "hello");
  });

  test("an idle half-open connection is reset by its first use after the host is back", async () => {
    const pair = new Pair();
    const { near } = await pair.open();
    pair.b.crash("silent");
    pair.b.restart();
    await pair.listen();
    await pair.world.runFor(5000);
    assert.equal(near.closed, undefined);
    near.say("x");
    await pair.world.runFor(10);
    assert.equal(near.closed, "transport/reset");
  });

  test("a crashed life hears nothing any more, and what it awaited never settles", async () => {
    const pair = new Pair();
    const { near, far } = await pair.open();
    let continued = false;
    void pair.network
      .transport(pair.a)
      .connect(serverAddress)
      .then(
        () => {
          continued = true;
        },
        () => {
          continued = true;
        },
      );
    far.say("too late");
    pair.a.crash("reset");
    await pair.world.runFor(10_000);
    assert.deepEqual([near.text, near.closed, continued], ["", undefined, false]);
    assert.equal(far.closed, "orderly");
  });

  test("chunks are cut at random and lent, never reordered", async () => {
    const pair = new Pair({ splitChance: 0.6 });
    const { near, far } = await pair.open();
    const text = Array.from({ length: 500 }, (_, index) => String(index)).join(",");
    for (const part of text.split(/(?<=,)/)) {
      near.say(part);
      await pair.world.runFor(0.1);
    }
    await pair.world.runFor(10);
    assert.equal(far.text, text);
    assert.ok(far.events.length > 600);
  });
});

describe("simulated datagrams", () => {
  async function sent(options: SimNetworkOptions, count: number): Promise<number[]> {
    const pair = new Pair(options);
    const received: number[] = [];
    await pair.network.datagrams(pair.b).bind({ host: "B", port: 7 }, (bytes, from) => {
      assert.deepEqual(from, { host: "A", port: 9 });
      received.push(bytes[0] ?? 0);
    });
    const socket = await pair.network.datagrams(pair.a).bind({ host: "A", port: 9 }, () => {});
    for (let number = 0; number < count; number++) {
      socket.send(Uint8Array.of(number), { host: "B", port: 7 });
      await pair.world.runFor(1);
    }
    await pair.world.runFor(1000);
    return received;
  }

  test("arrive in order on a good link", async () => {
    assert.deepEqual(
      await sent({}, 20),
      Array.from({ length: 20 }, (_, index) => index),
    );
  });

  test("are lost, doubled and overtaken as the link says", async () => {
    const lossy = await sent({ loss: 0.5 }, 200);
    assert.ok(lossy.length > 60 && lossy.length < 140);
    const doubled = await sent({ duplicate: 0.5 }, 200);
    assert.ok(doubled.length > 260 && doubled.length < 340);
    const shuffled = await sent({ reorder: 0.3 }, 200);
    assert.equal(shuffled.length, 200);
    assert.notDeepEqual(
      shuffled,
      [...shuffled].sort((a, b) => a - b),
    );
  });

  test("do not pass a cut, and a paused program's inbox is bounded", async () => {
    const pair = new Pair();
    let received = 0;
    await pair.network.datagrams(pair.b).bind({ host: "0.0.0.0", port: 7 }, () => received++);
    const socket = await pair.network.datagrams(pair.a).bind({ host: "A", port: 0 }, () => {});
    pair.network.cut("A", "B");
    socket.send(Uint8Array.of(1), { host: "B", port: 7 });
    await pair.world.runFor(10);
    assert.equal(received, 0);
    pair.network.heal();
    pair.b.pause();
    for (let index = 0; index < 400; index++) socket.send(new Uint8Array(1024), { host: "B", port: 7 });
    await pair.world.runFor(10);
    pair.b.resume();
    await pair.world.runFor(10);
    assert.equal(received, 208);
    pair.b.crash();
    socket.send(Uint8Array.of(1), { host: "B", port: 7 });
    socket.close();
    await pair.world.runFor(10);
    assert.equal(received, 208);
  });
});
