import assert from "node:assert/strict";
import { test } from "node:test";
import { SimFleet } from "../../../src/testing/index.ts";

test("small bodies share their memory with what the same peer has sent, never with what another one has", async () => {
  const fleet = new SimFleet({ seed: 1 });
  fleet.addDirectory();
  for (const host of ["HOST1", "HOST2", "HOST3"]) fleet.addAgent(host);
  for (const [name, agent] of [
    ["server1", "HOST1"],
    ["server2", "HOST2"],
    ["caller1", "HOST3"],
    ["caller2", "HOST3"],
  ] as const)
    fleet.addClient(name, { agent });
  await fleet.start();
  const taken = new Map<string, Set<ArrayBufferLike>>();
  const take = (from: string, body: unknown) => {
    assert.ok(body instanceof Uint8Array);
    const buffers = taken.get(from) ?? new Set();
    taken.set(from, buffers.add(body.buffer));
    return body;
  };
  for (const number of [1, 2]) {
    const handle = (body: unknown, context: { readonly caller: { readonly name: string } }) =>
      take(`${context.caller.name} at ${number}`, body).slice();
    const types = { echo: { effect: "read", handle } } as const;
    await fleet.until(fleet.client(`server${number}`).serve("metadata", `MDS.${number}.1`, { port: 0, types }));
  }
  await fleet.runFor(20);
  for (let count = 0; count < 5; count++)
    for (const caller of ["caller1", "caller2"])
      for (const number of [1, 2]) {
        const body = new TextEncoder().encode(`secret ${count} of ${caller}`);
        const answer = await fleet.until(fleet.client(caller).request(`MDS.${number}.1`, "echo", body));
        take(`${caller} from ${number}`, answer);
      }
  const all = [...taken.values()].flatMap((buffers) => [...buffers]);
  assert.deepEqual([taken.size, all.length, new Set(all).size], [8, 8, 8]);
});
