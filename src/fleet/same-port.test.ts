import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SimFleet } from "../testing/index.ts";

const port = 1872;
const keys = ["MDS.1", "MDS.2", "MDS.3"] as const;

async function started(): Promise<SimFleet> {
  const fleet = new SimFleet({ seed: 3 });
  fleet.addDirectory();
  fleet.addAgent("HOST1");
  fleet.addClient("server", { agent: "HOST1" });
  fleet.addClient("other", { agent: "HOST1" });
  fleet.addClient("caller", { agent: "HOST1" });
  await fleet.start();
  return fleet;
}

const types = (answer: string) => ({ name: { effect: "read", handle: () => answer } }) as const;
const serve = (fleet: SimFleet, member: string, key: string) =>
  fleet.client(member).serve("metadata", key, { port, types: types(`${member} ${key}`) });
const ask = (fleet: SimFleet, key: string) => fleet.client("caller").request(key, "name", null, { table: "metadata" });

describe("several servers of one program on one port", () => {
  test("are served although they begin at the same time", async () => {
    const fleet = await started();
    await fleet.until(Promise.all(keys.map((key) => serve(fleet, "server", key))));
    for (const key of keys) assert.equal(await fleet.until(ask(fleet, key)), `server ${key}`);
  });

  test("the last one can end and the next begin at the same time", async () => {
    const fleet = await started();
    const first = await fleet.until(serve(fleet, "server", "MDS.1"));
    const [, second] = await fleet.until(Promise.all([first.close(), serve(fleet, "server", "MDS.2")]));
    assert.equal(await fleet.until(ask(fleet, "MDS.2")), "server MDS.2");
    await fleet.until(Promise.all([second.close().then(() => serve(fleet, "server", "MDS.3")), serve(fleet, "server", "MDS.1")]));
    for (const key of ["MDS.1", "MDS.3"]) assert.equal(await fleet.until(ask(fleet, key)), `server ${key}`);
  });

  test("one that is refused does not take the port from the others", async () => {
    const fleet = await started();
    await fleet.until(fleet.client("other").serve("metadata", "MDS.1", { port: port + 1, types: types("other") }));
    const [refused, served] = await fleet.until(Promise.allSettled([serve(fleet, "server", "MDS.1"), serve(fleet, "server", "MDS.2")]));
    assert.deepEqual([refused.status, served.status], ["rejected", "fulfilled"]);
    assert.equal(await fleet.until(ask(fleet, "MDS.2")), "server MDS.2");
  });
});
