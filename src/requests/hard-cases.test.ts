import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Link, openLink } from "../link/index.ts";
import { SimFleet } from "../testing/index.ts";
import { MessageWriter } from "./message-writer.ts";
import { attemptOf, encodeTarget, idOf, message, parseRefusal, versions } from "./messages.ts";
import type { RequestBody } from "./options.ts";

/** A server of `MDS.1`, and a caller on another host. */
async function oneServer(handle: (body: RequestBody) => RequestBody | Promise<RequestBody>, latencyMs?: number) {
  const fleet = new SimFleet({ seed: 1 });
  fleet.addDirectory();
  for (const host of ["HOST1", "HOST2"]) fleet.addAgent(host);
  fleet.addClient("server", { agent: "HOST1" });
  fleet.addClient("caller", { agent: "HOST2" });
  await fleet.start();
  const types = { ask: { effect: "read", handle } } as const;
  await fleet.until(fleet.client("server").serve("metadata", "MDS.1", { port: 0, types }));
  await fleet.runFor(20);
  if (latencyMs !== undefined)
    for (const [from, to] of [
      ["HOST1", "HOST2"],
      ["HOST2", "HOST1"],
    ] as const)
      fleet.network.links.set(from, to, { latencyMs, jitterMs: 0 });
  return { fleet, caller: fleet.client("caller") };
}

/** What the server says about requests, over a link of a caller of which the test is the program. */
async function ownLink(fleet: SimFleet) {
  const { clock, transport, telemetry } = fleet.member("caller").handle.node.ports;
  const route = fleet.client("caller").find("metadata", "MDS.1");
  assert.ok(route !== undefined);
  const said: { readonly kind: number; readonly id: number; readonly attempt: number; readonly bytes: number; readonly why: string }[] = [];
  const open = async (): Promise<Link> => {
    const connection = await transport.connect({ kind: "tcp", host: route.address, port: route.port });
    return openLink({
      connection,
      clock,
      telemetry,
      versions,
      hello: { role: "caller", name: "caller", token: "0".repeat(32) },
      accept: () => ({
        call: () => assert.fail("no calls"),
        message: (kind, body) => {
          const why = kind === message.refusal ? parseRefusal(body).reason : "";
          said.push({ kind, id: idOf(body), attempt: attemptOf(body), bytes: body.length, why });
        },
        close: () => {},
      }),
    });
  };
  const link = await fleet.until(open());
  link.send(message.target, encodeTarget({ number: 0, table: "metadata", instance: "MDS.1", type: "ask", sequence: 0 }));
  const writer = new MessageWriter();
  const ask = (id: number) => link.sendParts(message.request, writer.requestHead(id, 1, "read", 0, 60_000, "null"), "null");
  return { link, said, ask };
}

describe("[DSD-21] hard cases of reads", () => {
  test("a caller that reads no answers is refused before the server's memory fills; what was answered comes whole when it reads again", async () => {
    const large = new Uint8Array(1024 * 1024).fill(7);
    const { fleet } = await oneServer(() => large);
    const { link, said, ask } = await ownLink(fleet);
    const asked = 60;
    link.pause();
    for (let id = 1; id <= asked; id++) {
      ask(id);
      await fleet.runFor(2);
    }
    const kept = fleet.network.waitingBytes("HOST1", "HOST2");
    assert.ok(kept > 30 * 1024 * 1024 && kept < 34 * 1024 * 1024, `${kept} bytes wait at the server`);
    link.resume();
    await fleet.runFor(5000);
    const answers = said.filter(({ kind }) => kind === message.answer);
    const refusals = said.filter(({ kind }) => kind === message.refusal);
    assert.equal(answers.length + refusals.length, asked);
    assert.ok(answers.length >= 32 && refusals.length > 10, `${answers.length} answers, ${refusals.length} refusals`);
    assert.ok(answers.every(({ bytes }) => bytes > large.length));
    assert.deepEqual([...new Set(refusals.map(({ why }) => why))], ["overloaded"]);
    // Whoever reads is served again.
    ask(asked + 1);
    await fleet.runFor(100);
    assert.equal(said.at(-1)?.kind, message.answer);
  });

  test("the answer and the cancel cross: the request ends once, its handler is not told, and the late answer is nobody's", async () => {
    let ran = 0;
    const { fleet, caller } = await oneServer(() => ++ran, 20);
    const controller = new AbortController();
    await fleet.until(caller.request("MDS.1", "ask"));
    const asked = caller.request("MDS.1", "ask", null, { signal: controller.signal }).then(
      () => "answered",
      (error: unknown) => (error as { code: string }).code,
    );
    await fleet.runFor(30);
    assert.equal(ran, 2, "its answer is on the way");
    controller.abort(new Error("no longer"));
    assert.equal(await fleet.until(asked), "requests/aborted");
    await fleet.runFor(100);
    assert.equal(caller.metrics().requests.pending, 0);
    assert.equal(await fleet.until(caller.request("MDS.1", "ask")), 3);
  });

  test("a handler that answers twice, or answers and then fails, has answered once", async () => {
    const { fleet } = await oneServer(
      () =>
        new Promise((resolve, reject) => {
          resolve("first");
          resolve("second");
          reject(new Error("and failed"));
        }),
    );
    const { said, ask } = await ownLink(fleet);
    ask(1);
    await fleet.runFor(200);
    assert.deepEqual(
      said.map(({ kind, id }) => ({ kind, id })),
      [{ kind: message.answer, id: 1 }],
    );
  });
});
