import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { SystemClock } from "../../src/kernel/index.ts";
import { type Link, type LinkEnd, openLink } from "../../src/link/index.ts";
import { type Address, TcpTransport } from "../../src/transport/index.ts";

interface Opened {
  readonly link: Link;
  readonly ended: Promise<LinkEnd>;
}

async function dial(address: Address): Promise<Opened> {
  const ended = Promise.withResolvers<LinkEnd>();
  const link = await openLink({
    connection: await new TcpTransport().connect(address),
    clock: new SystemClock(),
    hello: { name: "test" },
    versions: { min: 1, max: 1 },
    accept: () => ({ call: (_method, body) => body, message: () => {}, close: ended.resolve }),
  });
  return { link, ended: ended.promise };
}

/** A process of its own that echoes (method 1), answers after the milliseconds in the body (2), or never (3). */
async function startPeer(listen: string): Promise<{ peer: ChildProcess; address: Address }> {
  const peer = fork(new URL("link-peer.ts", import.meta.url), [listen], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const port = await new Promise<number>((resolve) => peer.once("message", (message) => resolve(Number(message))));
  return { peer, address: listen === "tcp" ? { kind: "tcp", host: "127.0.0.1", port } : { kind: "unix", path: listen } };
}

async function kill(peer: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => peer.once("exit", resolve));
  peer.kill("SIGKILL");
  await gone;
}

for (const kind of ["tcp", "unix"] as const)
  describe(`a link over ${kind} to another process`, { timeout: 30_000 }, () => {
    let folder = "";
    let peer: ChildProcess;
    let address: Address;

    before(async () => {
      folder = await mkdtemp(path.join(tmpdir(), "muster-"));
      ({ peer, address } = await startPeer(kind === "tcp" ? "tcp" : path.join(folder, "peer.sock")));
    });

    after(async () => {
      if (peer.exitCode === null && peer.signalCode === null) await kill(peer);
      await rm(folder, { recursive: true, force: true });
    });

    test("thousands of calls in flight, small and large, each get their own answer", async () => {
      const { link, ended } = await dial(address);
      const bodies = Array.from({ length: 5000 }, (_, index) => Buffer.alloc(index % 100 === 0 ? 100_000 : 20, String(index)));
      const answers = await Promise.all(bodies.map((body) => link.call(1, body)));
      answers.forEach((answer, index) => assert.ok(bodies[index]?.equals(answer) === true, `answer ${index}`));
      link.close();
      assert.equal((await ended).by, "us");
    });

    test("a deadline is kept although the peer never answers", async () => {
      const { link } = await dial(address);
      const startMs = performance.now();
      await assert.rejects(link.call(3, Buffer.alloc(0), { deadlineMs: 80 }), { code: "link/deadline-exceeded", effect: "maybe" });
      const tookMs = performance.now() - startMs;
      assert.ok(tookMs >= 79, `${tookMs} ms`);
      link.close();
    });

    test("a slow answer does not hold up fast ones", async () => {
      const { link } = await dial(address);
      const order: string[] = [];
      const slow = link.call(2, Buffer.from("60")).then(() => order.push("slow"));
      await link.call(1, Buffer.from("x")).then(() => order.push("fast"));
      await slow;
      assert.deepEqual(order, ["fast", "slow"]);
      link.close();
    });

    test("a stranger who talks garbage is dropped, and links beside it do not notice", async () => {
      const { link } = await dial(address);
      const socket = address.kind === "tcp" ? connect(address.port, address.host) : connect(address.path);
      let heard = "";
      socket.on("data", (chunk) => (heard += chunk.toString("latin1")));
      socket.write("GET / HTTP/1.1\r\nhost: here\r\n\r\n");
      await new Promise((resolve) => socket.once("close", resolve));
      assert.ok(heard.includes("wire/frame-too-large"), heard);
      assert.equal(Buffer.from(await link.call(1, Buffer.from("fine"))).toString(), "fine");
      link.close();
    });

    test("when the peer is killed every call in flight ends at once, and the end is told", async () => {
      const { link, ended } = await dial(address);
      const calls = Array.from({ length: 50 }, () => link.call(3, Buffer.alloc(10)));
      await link.call(1, Buffer.alloc(0));
      peer.kill("SIGKILL");
      for (const call of calls) await assert.rejects(call, { code: "link/closed", effect: "maybe" });
      assert.equal((await ended).by, "connection");
      await assert.rejects(link.call(1, Buffer.alloc(0)), { code: "link/closed", effect: "none" });
    });
  });
