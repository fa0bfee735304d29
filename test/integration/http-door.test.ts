import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { type HttpDoor, PrometheusMeter, openHttpDoor } from "../../src/doors/index.ts";
import { DoorFleet, type FleetHandle } from "../../src/fleet/index.ts";
import { MusterError, SystemClock, silentTelemetry } from "../../src/kernel/index.ts";
import { memoryDirectory } from "../../src/testing/memory-directory.ts";

function open(fleet: FleetHandle, port = 0): Promise<HttpDoor> {
  const meter = new PrometheusMeter();
  return openHttpDoor({
    fleet: new DoorFleet(fleet),
    telemetry: silentTelemetry,
    clock: new SystemClock(),
    metrics: () => meter.render(),
    version: "1.2.3",
    address: { kind: "tcp", host: "127.0.0.1", port },
  });
}

/** Sends bytes as they are and returns all that comes back. */
function raw(address: string, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(address.split(":")[1]), "127.0.0.1");
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    socket.on("close", () => resolve(text)).on("error", reject);
    socket.end(bytes);
  });
}

describe("the HTTP door on a socket", () => {
  test("it serves, watches live, refuses what is too large, and closes with watches open", async () => {
    const fleet = await memoryDirectory({ host: "HOST1" });
    const door = await open(fleet);
    const base = `http://${door.address}`;
    try {
      const put = await fetch(`${base}/v1/tables/gateway/entries/GW.1`, {
        method: "PUT",
        body: JSON.stringify({ value: { host: "HOST1", port: 80 } }),
      });
      assert.equal(put.status, 201);
      const watch = await fetch(`${base}/v1/watch?table=gateway`);
      const reader = watch.body?.getReader();
      assert.ok(reader !== undefined);
      await reader.read();
      await fleet.delete("gateway", "GW.1");
      assert.match(
        Buffer.from((await reader.read()).value ?? []).toString(),
        /^id: \d+\.\d+\nevent: Delete\ndata: \{"event":"Delete","table":"gateway"/,
      );
      const large = await fetch(`${base}/v1/tables/gateway/entries/GW.2`, { method: "PUT", body: "x".repeat(2 * 1024 * 1024) }).catch(
        () => undefined,
      );
      assert.ok(large === undefined || large.status === 413);
      assert.match(
        await raw(door.address, `GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ${"y".repeat(20_000)}\r\n\r\n`),
        /^HTTP\/1\.1 431/,
      );
      assert.match(
        await raw(door.address, "GET /v1/tables HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n"),
        /^HTTP\/1\.1 403[\s\S]*doors\/foreign-host/,
      );
      assert.match(await raw(door.address, "nonsense\r\n\r\n"), /^HTTP\/1\.1 400/);
      await assert.rejects(
        open(fleet, Number(door.address.split(":")[1])),
        (error) => error instanceof MusterError && error.code === "doors/address-in-use",
      );
      const ended = reader.read().then(
        ({ done }) => done,
        () => true,
      );
      await door.close();
      assert.equal(await ended, true);
      await assert.rejects(fetch(`${base}/healthz`));
    } finally {
      await door.close();
      await fleet.close();
    }
  });
});
