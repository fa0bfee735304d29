import assert from "node:assert/strict";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { describe, test } from "node:test";
import { NodeCheckRunner, parseCheck } from "../../src/checks/index.ts";

const runner = new NodeCheckRunner();
const never = new AbortController().signal;
const look = (text: string, timeoutMs = 2000) => runner.run(parseCheck(text), timeoutMs, never);

function portOf(address: AddressInfo | string | null): number {
  assert.ok(address !== null && typeof address === "object");
  return address.port;
}

describe("checks over real sockets and processes", () => {
  test("tcp is healthy while somebody listens", async () => {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const check = `tcp://127.0.0.1:${portOf(server.address())}`;
    assert.deepEqual(await look(check), { healthy: true, reason: "connected" });
    await new Promise((resolve) => server.close(resolve));
    const refused = await look(check);
    assert.equal(refused.healthy, false);
    assert.match(refused.reason, /ECONNREFUSED/);
  });

  test("http is healthy for 2xx only, and a server that does not answer in time is not", async () => {
    const server = createHttpServer((request, response) => {
      if (request.url === "/hang") return;
      response.writeHead(Number(request.url?.slice(1)), { location: "/200" }).end("x".repeat(100_000));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const base = `http://127.0.0.1:${portOf(server.address())}`;
    for (const [status, healthy] of [
      [200, true],
      [204, true],
      [301, false],
      [404, false],
      [503, false],
    ] as const)
      assert.deepEqual(await look(`${base}/${status}`), { healthy, reason: `status ${status}` });
    assert.deepEqual(await look(`${base}/hang`, 50), { healthy: false, reason: "no answer within 50 ms" });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    assert.match((await look(`${base}/200`)).reason, /ECONNREFUSED/);
  });

  test("a command is healthy when it exits 0; one that hangs is ended with all that it started", async () => {
    assert.equal((await look("exit 0")).healthy, true);
    assert.deepEqual(await look("echo too slow >&2; exit 3"), { healthy: false, reason: "exit status 3: too slow" });
    const started = performance.now();
    assert.deepEqual(await look("sleep 30 | sleep 30", 50), { healthy: false, reason: "no answer within 50 ms" });
    assert.ok(performance.now() - started < 2000);
  });
});
