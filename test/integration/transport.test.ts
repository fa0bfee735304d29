import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { networkInterfaces, tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { type TransportUnderTest, transportConformance } from "../../src/testing/transport-conformance.ts";
import { type Address, type Connection, TcpTransport } from "../../src/transport/index.ts";

const settle = <T>(promise: Promise<T>): Promise<T> => promise;

async function freePort(host: string): Promise<number> {
  const listener = await new TcpTransport().listen({ kind: "tcp", host, port: 0 }, () => {});
  await listener.close();
  return listener.address.kind === "tcp" ? listener.address.port : 0;
}

async function overTcp(host: string): Promise<TransportUnderTest> {
  const nobody: Address = { kind: "tcp", host, port: await freePort(host) };
  return { transport: new TcpTransport(), address: { kind: "tcp", host, port: 0 }, nobody, settle, close: async () => {} };
}

async function overUnixSocket(): Promise<TransportUnderTest> {
  const folder = await temporaryFolder();
  return {
    transport: new TcpTransport(),
    address: { kind: "unix", path: path.join(folder.path, "made", "agent.sock") },
    nobody: { kind: "unix", path: path.join(folder.path, "nobody.sock") },
    settle,
    close: folder.remove,
  };
}

async function temporaryFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), "muster-"));
  return { path: folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === "::1"));

transportConformance("TCP over IPv4", () => overTcp("127.0.0.1"));
if (hasIpv6) transportConformance("TCP over IPv6", () => overTcp("::1"));
else test("transport: TCP over IPv6", { skip: "this machine has no ::1" }, () => {});
transportConformance("unix socket", overUnixSocket);

test("a listener above its limit closes new connections and keeps the old ones", async () => {
  const accepted: Connection[] = [];
  const transport = new TcpTransport({ connectionsMax: 2 });
  const listener = await transport.listen({ kind: "tcp", host: "127.0.0.1", port: 0 }, (connection) => {
    connection.open({ data: () => {}, drain: () => {}, close: () => {} });
    accepted.push(connection);
  });
  const kept = [await transport.connect(listener.address), await transport.connect(listener.address)];
  let keptClosed = 0;
  for (const connection of kept) connection.open({ data: () => {}, drain: () => {}, close: () => keptClosed++ });
  const over = await transport.connect(listener.address);
  await new Promise<void>((resolve) => over.open({ data: () => {}, drain: () => {}, close: () => resolve() }));
  assert.equal(accepted.length, 2);
  assert.equal(keptClosed, 0);
  for (const connection of [...kept, ...accepted]) connection.destroy();
  await listener.close();
});

test("a connection is bound to the local address that was asked for", async () => {
  const transport = new TcpTransport();
  const far = Promise.withResolvers<Connection>();
  const listener = await transport.listen({ kind: "tcp", host: "127.0.0.1", port: 0 }, far.resolve);
  const near = await transport.connect(listener.address, { localHost: "127.0.0.7" });
  assert.equal(near.local.kind === "tcp" && near.local.host, "127.0.0.7");
  const { peer } = await far.promise;
  assert.equal(peer.kind === "tcp" && peer.host, "127.0.0.7");
  near.destroy();
  (await far.promise).destroy();
  await listener.close();
});

test("an address that is not this host's is an error that says so", async () => {
  const transport = new TcpTransport();
  const foreign: Address = { kind: "tcp", host: "192.0.2.1", port: 0 };
  await assert.rejects(
    transport.listen(foreign, () => {}),
    { code: "transport/cannot-listen" },
  );
  const port = await freePort("127.0.0.1");
  await assert.rejects(transport.connect({ kind: "tcp", host: "127.0.0.1", port }, { localHost: "192.0.2.1" }), {
    code: "transport/unreachable",
  });
  await assert.rejects(transport.connect({ kind: "tcp", host: "no-such-host.invalid", port: 1 }), { code: "transport/unreachable" });
});

test("a peer that never answers times out after the time given", async () => {
  // A listener whose backlog is full drops further handshakes, as a firewall would.
  const child = fork(new URL("deaf-listener.mjs", import.meta.url), { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const port = await new Promise<number>((resolve) => child.once("message", (message) => resolve(Number(message))));
  const transport = new TcpTransport();
  const filled: Connection[] = [];
  try {
    await assert.rejects(
      async () => {
        for (let count = 0; count < 20; count++)
          filled.push(await transport.connect({ kind: "tcp", host: "127.0.0.1", port }, { timeoutMs: 150 }));
      },
      { code: "transport/timeout" },
    );
  } finally {
    for (const connection of filled) connection.destroy();
    child.kill("SIGKILL");
  }
});

test("a socket is for its user alone, and so is the folder made for it", async () => {
  const folder = await temporaryFolder();
  const file = path.join(folder.path, "made", "agent.sock");
  const listener = await new TcpTransport().listen({ kind: "unix", path: file }, () => {});
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.equal((await stat(path.dirname(file))).mode & 0o777, 0o700);
  await listener.close();
  await folder.remove();
});

test("a socket left behind by a killed process is replaced", async () => {
  const folder = await temporaryFolder();
  const file = path.join(folder.path, "agent.sock");
  const child = fork(new URL("deaf-listener.mjs", import.meta.url), [file], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  await new Promise((resolve) => child.once("message", resolve));
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
  assert.ok((await stat(file)).isSocket());
  const listener = await new TcpTransport().listen({ kind: "unix", path: file }, () => {});
  const near = await new TcpTransport().connect(listener.address);
  near.destroy();
  await listener.close();
  await folder.remove();
});

test("a file that is no socket is never removed", async () => {
  const folder = await temporaryFolder();
  const file = path.join(folder.path, "precious.sock");
  await writeFile(file, "data");
  await assert.rejects(
    new TcpTransport().listen({ kind: "unix", path: file }, () => {}),
    { code: "transport/cannot-listen" },
  );
  assert.equal((await stat(file)).size, 4);
  await folder.remove();
});

test("a path too long for the system is refused before it is cut", async () => {
  await assert.rejects(
    new TcpTransport().listen({ kind: "unix", path: `/tmp/${"x".repeat(120)}.sock` }, () => {}),
    {
      code: "transport/cannot-listen",
    },
  );
});

test("a killed peer is seen as a reset or an end, never as silence", async () => {
  const child = fork(new URL("deaf-listener.mjs", import.meta.url), ["accept"], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const port = await new Promise<number>((resolve) => child.once("message", (message) => resolve(Number(message))));
  const near = await new TcpTransport().connect({ kind: "tcp", host: "127.0.0.1", port });
  const closed = new Promise<Error | undefined>((resolve) => near.open({ data: () => {}, drain: () => {}, close: resolve }));
  near.write(Buffer.alloc(100_000));
  child.kill("SIGKILL");
  const error = await closed;
  if (error !== undefined) assert.ok("code" in error && error.code === "transport/reset", String(error));
});

test("a folder that cannot be made is named", async () => {
  const folder = await temporaryFolder();
  const obstacle = path.join(folder.path, "obstacle");
  await writeFile(obstacle, "");
  const file = path.join(obstacle, "agent.sock");
  await assert.rejects(
    new TcpTransport().listen({ kind: "unix", path: file }, () => {}),
    (error: Error & { code?: string }) => {
      assert.equal(error.code, "transport/cannot-listen");
      assert.ok(error.message.includes(file));
      return true;
    },
  );
  await folder.remove();
});
