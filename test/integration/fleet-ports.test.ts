import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { bindPort, reservePort } from "../../src/main/fleet-addresses.ts";

test("a caller that comes too early does not keep a reserved port from being handed over", { timeout: 10_000 }, async (context) => {
  const reserved = await reservePort(["127.0.0.1"], 0);
  const early = connect(reserved.port, "127.0.0.1");
  context.after(() => early.destroy());
  await once(early, "connect");
  await reserved.handOver();
  const server = await bindPort("127.0.0.1", reserved.port);
  assert.equal(server.listening, true);
  await new Promise((resolve) => server.close(resolve));
});
