import assert from "node:assert/strict";
import { test } from "node:test";
import { openLink } from "../link/index.ts";
import { SimFleet } from "../testing/index.ts";
import { MessageWriter } from "./message-writer.ts";
import { RequestReader, encodeBody, message, parseCancel, parseTarget } from "./messages.ts";

/** As servers were before they said what they begin: version 2, everything at once, answers after `workMs`. */
async function serveOld(
  fleet: SimFleet,
  name: string,
  host: string,
  port: number,
  workMs: (body: unknown) => number,
  version = 2,
): Promise<string[]> {
  const { clock, transport, telemetry } = fleet.member(name).handle.node.ports;
  const said: string[] = [];
  const reader = new RequestReader();
  const writer = new MessageWriter();
  await transport.listen({ kind: "tcp", host, port }, (connection) => {
    openLink({
      connection,
      clock,
      telemetry,
      versions: { min: 1, max: version },
      hello: { role: "server", name },
      accept: (link) => ({
        call: () => assert.fail("no calls"),
        message: (kind, bytes) => {
          if (kind === message.target) said.push(parseTarget(bytes).type);
          if (kind === message.cancel) said.push(`cancel ${parseCancel(bytes).where}`);
          if (kind === message.ping) link.send(message.pong, new Uint8Array(0));
          if (kind !== message.request) return;
          reader.read(bytes);
          const { id, attempt } = reader;
          const body = reader.body();
          if (reader.trace !== undefined) said.push("trace");
          said.push(`begin ${attempt}`);
          const answer = encodeBody(name, "done");
          const underWay = version < 3 ? undefined : 0;
          clock.schedule(workMs(body), () => link.sendParts(message.answer, writer.answerHead(id, attempt, answer, underWay), answer));
        },
        close: () => {},
      }),
    }).catch(() => {});
  });
  return said;
}

test("servers of version 2, which do not say when they begin, are asked as before: no twins, and hedges from the time of sending", async () => {
  const fleet = new SimFleet({ seed: 1 });
  fleet.addDirectory();
  for (const host of ["HOST1", "HOST2", "HOST3"]) fleet.addAgent(host);
  fleet.addClient("s1", { agent: "HOST1" });
  fleet.addClient("s2", { agent: "HOST2" });
  fleet.addClient("caller", { agent: "HOST3" });
  await fleet.start();
  const slow = 61;
  let isFirst = true;
  const workMs = (body: unknown) => {
    if (body !== slow || !isFirst) return 5;
    isFirst = false;
    return 300;
  };
  const said: (readonly string[])[] = [];
  const directory = fleet.client("directory");
  for (const number of [1, 2]) {
    said.push(await serveOld(fleet, `s${number}`, `HOST${number}`, 900 + number, workMs));
    await fleet.until(directory.add("metadata", `OLD.${number}.1`, { host: `HOST${number}`, port: 900 + number }));
  }
  await fleet.until(directory.add("request-types", "OLD/look", { effect: "read" }));
  await fleet.runFor(20);
  const caller = fleet.client("caller");
  const ask = async (body: number) => {
    const { nowMs } = fleet.world;
    await fleet.until(caller.request("OLD", "look", body));
    return fleet.world.nowMs - nowMs;
  };
  for (let count = 1; count <= 60; count++) await ask(count);
  const tookMs = await ask(slow);
  assert.ok(tookMs > 10 && tookMs < 40, `${tookMs} ms`);
  await fleet.runFor(20);
  const begun = said.flat().filter((line) => line.startsWith("begin"));
  assert.deepEqual([begun.length, begun.filter((line) => line === "begin 2").length], [62, 1]);
  assert.deepEqual(
    said.flat().filter((line) => line.startsWith("cancel")),
    ["cancel here"],
  );
});

test("servers of version 3, which know nothing of traces, are asked without", async () => {
  const fleet = new SimFleet({ seed: 1 });
  fleet.addDirectory();
  for (const host of ["HOST1", "HOST2"]) fleet.addAgent(host);
  fleet.addClient("s1", { agent: "HOST1" });
  fleet.addClient("caller", { agent: "HOST2" });
  await fleet.start();
  const bodies: unknown[] = [];
  const workMs = (body: unknown) => {
    bodies.push(body);
    return 1;
  };
  const said = await serveOld(fleet, "s1", "HOST1", 901, workMs, 3);
  await fleet.until(fleet.client("directory").add("metadata", "OLD.1.1", { host: "HOST1", port: 901 }));
  await fleet.runFor(20);
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  assert.equal(await fleet.until(fleet.client("caller").request("OLD.1.1", "look", "body", { traceparent })), "s1");
  assert.deepEqual([bodies, said], [["body"], ["look", "begin 1"]]);
});
