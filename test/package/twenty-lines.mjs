// What a user writes first: run in an empty folder with the package installed, against a running agent (MUSTER_AGENT).
import assert from "node:assert/strict";
import { connect } from "@musterhq/muster";

const fleet = await connect();
await fleet.addTable("cache", { symbol: "DSD_MTID_CACHE" });
const events = [];
const subscription = fleet.subscribe(
  { tables: ["gateway"], prefix: "GW.", context: 7 },
  (event, context) => void events.push([event.event, context]),
);
await fleet.add("gateway", "GW.3", { host: "HOST1", port: 8080 });
await fleet.change([
  { op: "add", table: "cache", key: "C.1", value: { host: "HOST1", port: 1 } },
  { op: "add", table: "metadata-partition", key: "6", value: "MDS.1" },
]);
const server = await fleet.serve("metadata", "MDS.1.1", { port: 1872, data: { zone: "a" } });
await fleet.heartbeat("gateway", "GW.3", { maxPeriodMs: 3000 });
assert.equal(fleet.search("metadata", "MDS.1.").length, 1);
assert.equal(fleet.find("metadata", "MDS.1", { where: { zone: "a" } })?.port, 1872);
assert.equal(fleet.findPartition("metadata-partition", "6")?.instance, "MDS.1.1");
const route = fleet.find("gateway", "GW.3");
await server.close();
assert.equal(fleet.find("metadata", "MDS.1"), undefined);
await fleet.settled(await fleet.delete("gateway", "GW.3"));
subscription.cancel();
await fleet.close();
console.log(JSON.stringify({ route: `${route?.address}:${route?.port}`, events }));
