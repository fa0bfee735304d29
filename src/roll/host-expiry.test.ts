import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type SimFleet as Fleet, SimFleet } from "../testing/index.ts";
import type { JsonValue } from "../kernel/index.ts";

/** A directory, hosts attached to it directly, a server on each host, and a program on HOST1 that looks. */
async function fleetOf(hosts: number, options: { readonly relay?: boolean } = {}): Promise<Fleet> {
  const fleet = new SimFleet({ seed: 7 });
  fleet.addDirectory();
  if (options.relay === true) fleet.addRelay("relay");
  for (let host = 1; host <= hosts; host++) fleet.addAgent(`HOST${host}`);
  for (let host = 1; host <= hosts; host++) fleet.addClient(`server${host}`, { agent: `HOST${host}` });
  fleet.addClient("caller", { agent: "HOST1" });
  await fleet.start();
  for (let host = 1; host <= hosts; host++)
    await fleet.until(fleet.client(`server${host}`).serve("metadata", `MDS.${host}`, { port: 1000 + host, maxPeriodMs: 60_000 }));
  await fleet.runFor(100);
  return fleet;
}

function stateOf(fleet: Fleet, host: string, at = "caller"): string | undefined {
  const value = fleet.client(at).get("states", `hosts/${host}`)?.value;
  return isState(value) ? value.state : undefined;
}

function isState(value: JsonValue | undefined): value is { readonly state: string; readonly reason: string } {
  return typeof value === "object" && value !== null && "state" in value && "reason" in value;
}

function reasonOf(fleet: Fleet, host: string): string {
  const value = fleet.client("caller").get("states", `hosts/${host}`)?.value;
  return isState(value) ? value.reason : "";
}

function validHosts(fleet: Fleet, at = "caller"): readonly string[] {
  return fleet
    .client(at)
    .search("hosts")
    .filter(({ valid }) => valid)
    .map(({ key }) => key);
}

function attachment(fleet: Fleet, node: string, host: string): { session: number; counter: number } {
  const agent = fleet.member(node).node.neighbours.attachedAgents.find((one) => one.host === host);
  assert.ok(agent !== undefined, `${host} is attached to ${node}`);
  return agent;
}

/** At the preset `test`: ticks of 100 ms, silence after 4 of them, 1.2 s of grace, holds of 6 s. */
const silenceMs = 700;
const graceMs = 1200;

describe("a host that is away", () => {
  test("whose agent was killed is unwatched at once, and the row goes when the agent is back", async () => {
    const fleet = await fleetOf(5);
    fleet.member("HOST5").crash();
    await fleet.runFor(20);
    assert.equal(stateOf(fleet, "HOST5"), "unwatched");
    assert.equal(fleet.client("caller").get("metadata", "MDS.5")?.valid, true);
    fleet.member("HOST5").restart();
    await fleet.runFor(400);
    assert.equal(stateOf(fleet, "HOST5"), undefined);
    assert.equal(validHosts(fleet).length, 5);
  });

  test("is given up after its grace, and its state says why; the state goes when it returns", async () => {
    const fleet = await fleetOf(5);
    fleet.member("HOST5").crash();
    await fleet.runFor(graceMs + 300);
    assert.deepEqual(validHosts(fleet), ["HOST1", "HOST2", "HOST3", "HOST4"]);
    assert.equal(stateOf(fleet, "HOST5"), "gone");
    assert.match(reasonOf(fleet, "HOST5"), /link to its agent was closed/);
    fleet.member("HOST5").restart();
    await fleet.runFor(500);
    assert.equal(validHosts(fleet).length, 5);
    assert.equal(stateOf(fleet, "HOST5"), undefined);
  });

  test("and that an operator drains stays drained, through its absence and its return", async () => {
    const fleet = await fleetOf(5);
    const draining = { state: "draining", reason: "new disks", by: "ops", sinceUnixMs: 1 };
    await fleet.until(fleet.client("caller").add("states", "hosts/HOST5", draining));
    fleet.member("HOST5").crash();
    await fleet.runFor(graceMs + 300);
    assert.ok(!validHosts(fleet).includes("HOST5"));
    assert.equal(stateOf(fleet, "HOST5"), "draining");
    fleet.member("HOST5").restart();
    await fleet.runFor(500);
    assert.equal(stateOf(fleet, "HOST5"), "draining");
  });

  test("whose relay died is not even unwatched: it attaches elsewhere", async () => {
    const fleet = new SimFleet({ seed: 3 });
    fleet.addDirectory();
    fleet.addRelay("relay-a");
    fleet.addRelay("relay-b");
    for (let host = 1; host <= 6; host++) fleet.addAgent(`HOST${host}`);
    await fleet.start();
    let said = 0;
    fleet.client("directory").subscribe({ tables: ["states", "hosts"] }, () => void said++);
    fleet.member("relay-a").crash();
    await fleet.runFor(3000);
    assert.equal(said, 0);
  });

  test("and silent on all routes is given up at once, and valid again when it is heard on the same attachment", async () => {
    const fleet = await fleetOf(5, { relay: true });
    const { node } = fleet.member("relay");
    const named = attachment(fleet, "relay", "HOST5");
    fleet.network.partition(["HOST5"], ["*"]);
    await fleet.runFor(150);
    node.hostSilent("HOST5", named, "all routes are silent, confirmed by HOST1, HOST2");
    await fleet.runFor(100);
    assert.ok(!validHosts(fleet).includes("HOST5"));
    assert.equal(stateOf(fleet, "HOST5"), "gone");
    assert.match(reasonOf(fleet, "HOST5"), /confirmed by HOST1/);
    fleet.network.heal();
    node.hostHeard("HOST5");
    await fleet.runFor(50);
    assert.ok(validHosts(fleet).includes("HOST5"));
    assert.equal(stateOf(fleet, "HOST5"), undefined);
  });

  test("that was silent and is started anew is admitted at once, with a new address, although its old link still hangs open", async () => {
    const fleet = await fleetOf(5, { relay: true });
    const named = attachment(fleet, "relay", "HOST5");
    fleet.member("HOST5").crash("silent");
    fleet.network.partition(["HOST5"], ["*"]);
    await fleet.runFor(150);
    fleet.member("relay").node.hostSilent("HOST5", named, "all routes are silent");
    await fleet.runFor(50);
    assert.ok(!validHosts(fleet).includes("HOST5"));
    const reborn = fleet.addAgent("reborn", { nodeName: "HOST5", routes: ["10.9.9.9"] });
    reborn.start();
    await fleet.runFor(150);
    assert.ok(Number(fleet.member("relay").node.status()["children"]) > 5, "the old link is still there");
    assert.ok(validHosts(fleet).includes("HOST5"));
    assert.equal(fleet.client("caller").get("host-route", "HOST5.0")?.value, "10.9.9.9");
  });

  test("an accusation is refuted by a newer attachment, and by bytes on the host's link", async () => {
    const fleet = await fleetOf(5, { relay: true });
    const { node } = fleet.member("relay");
    const named = attachment(fleet, "relay", "HOST5");
    node.hostSilent("HOST5", named, "probes are lost, the link is not");
    await fleet.runFor(500);
    assert.equal(validHosts(fleet).length, 5);
    fleet.network.reset("HOST5");
    await fleet.runFor(500);
    assert.notDeepEqual(attachment(fleet, "relay", "HOST5"), named);
    fleet.network.partition(["HOST5"], ["*"]);
    await fleet.runFor(150);
    node.hostSilent("HOST5", named, "about the attachment before");
    await fleet.runFor(100);
    assert.equal(validHosts(fleet).length, 5);
  });
});

describe("hosts that fall silent together", () => {
  test("a switch is cut: half the fleet is suspect, not given up, and back without an expiry", async () => {
    const fleet = await fleetOf(6);
    let expired = 0;
    fleet.client("caller").subscribe({ tables: ["hosts"] }, ({ entry }) => void (entry?.valid === false && expired++));
    const cut = ["HOST4", "HOST5", "HOST6"];
    fleet.network.partition(cut, ["directory"]);
    await fleet.runFor(silenceMs + graceMs + 500);
    assert.equal(validHosts(fleet).length, 6);
    for (const host of cut) {
      assert.equal(stateOf(fleet, host), "suspect");
      assert.match(
        reasonOf(fleet, host),
        /mass-failure guard: 3 of 6 hosts of the fleet fell silent together; given up if still silent at 2026-/,
      );
    }
    assert.equal(fleet.member("directory").node.guardedHosts, 3);
    const { guard } = fleet.member("directory").node.status();
    assert.ok(JSON.stringify(guard).includes('"host":"HOST4"'));
    fleet.network.heal();
    await fleet.runFor(2500);
    for (const host of cut) assert.equal(stateOf(fleet, host), undefined);
    assert.equal(expired, 0);
    assert.equal(fleet.member("directory").node.guardedHosts, 0);
  });

  test("what is still silent when the hold ends is given up, one change for each host", async () => {
    const fleet = await fleetOf(6);
    let lost = 0;
    fleet.client("caller").subscribe({ tables: ["hosts"] }, ({ entry }) => void (entry?.valid === false && lost++));
    fleet.network.partition(["HOST4", "HOST5", "HOST6"], ["directory"]);
    await fleet.runFor(5500);
    assert.equal(lost, 0);
    await fleet.runFor(2000);
    assert.equal(lost, 3);
    assert.deepEqual(validHosts(fleet), ["HOST1", "HOST2", "HOST3"]);
    assert.equal(stateOf(fleet, "HOST4"), "gone");
    assert.equal(fleet.member("directory").node.guardedHosts, 0);
  });

  test("proof passes while the guard holds: a killed program, and an agent whose link was closed", async () => {
    const fleet = await fleetOf(8);
    fleet.network.partition(["HOST6", "HOST7", "HOST8"], ["directory"]);
    await fleet.runFor(silenceMs + 200);
    assert.equal(stateOf(fleet, "HOST6"), "suspect");
    fleet.member("server2").crash();
    fleet.member("HOST3").crash();
    await fleet.runFor(100);
    assert.equal(fleet.client("caller").get("metadata", "MDS.2")?.valid, false);
    await fleet.runFor(graceMs + 200);
    assert.ok(!validHosts(fleet).includes("HOST3"));
    assert.equal(stateOf(fleet, "HOST6"), "suspect");
  });

  test("a fleet of three with one dead host is not guarded", async () => {
    const fleet = await fleetOf(3);
    fleet.member("HOST3").crash("silent");
    fleet.network.partition(["HOST3"], ["*"]);
    await fleet.runFor(silenceMs + graceMs + 300);
    assert.deepEqual(validHosts(fleet), ["HOST1", "HOST2"]);
  });

  test("two hosts of a service that is spread over four are held in a large fleet, a third that serves something else is not", async () => {
    const fleet = new SimFleet({ seed: 5 });
    fleet.addDirectory();
    for (let host = 1; host <= 12; host++) fleet.addAgent(`HOST${host}`);
    fleet.addClient("caller", { agent: "HOST1" });
    await fleet.start();
    for (let host = 9; host <= 12; host++)
      await fleet.until(fleet.client("caller").add("gateway", `GW.1.${host}`, { host: `HOST${host}`, port: 1 }));
    fleet.network.partition(["HOST8", "HOST9", "HOST10"], ["*"]);
    await fleet.runFor(silenceMs + graceMs + 300);
    assert.equal(stateOf(fleet, "HOST9"), "suspect");
    assert.match(reasonOf(fleet, "HOST9"), /2 of 4 hosts of gateway\/GW/);
    assert.equal(stateOf(fleet, "HOST8"), "gone");
  });

  test("accusations of one instant are judged together", async () => {
    const fleet = await fleetOf(6, { relay: true });
    const { node } = fleet.member("relay");
    const cut = ["HOST4", "HOST5", "HOST6"];
    const named = cut.map((host) => attachment(fleet, "relay", host));
    fleet.network.partition(cut, ["*"]);
    await fleet.runFor(150);
    cut.forEach((host, index) => node.hostSilent(host, named[index] ?? { session: 0, counter: 0 }, "silent on both routes"));
    await fleet.runFor(100);
    for (const host of cut) assert.equal(stateOf(fleet, host), "suspect");
    assert.equal(validHosts(fleet).length, 6);
  });

  test("a directory that hears nobody gives nobody up, and all get their grace when it is back", async () => {
    const fleet = await fleetOf(6);
    let lost = 0;
    fleet.client("caller").subscribe({ tables: ["hosts"] }, ({ entry }) => void (entry?.valid === false && lost++));
    fleet.network.partition(["directory"], ["*"]);
    await fleet.runFor(20_000);
    assert.equal(validHosts(fleet, "directory").length, 6);
    assert.equal(JSON.stringify(fleet.member("directory").node.status()["guard"]).includes('"isolated":true'), true);
    fleet.network.heal();
    await fleet.runFor(2000);
    assert.equal(lost, 0);
    assert.equal(fleet.client("caller").node.detached, false);
    for (let host = 1; host <= 6; host++) assert.equal(stateOf(fleet, `HOST${host}`), undefined);
  });

  test("whom the directory has missed is given up although another agent comes and goes, and the directory hears nobody in between", async () => {
    const fleet = await fleetOf(5);
    for (const host of ["HOST2", "HOST3", "HOST4", "HOST5"]) fleet.member(host).crash("silent");
    // One grace more after the first time that nobody was heard, the hold, and what passes while nobody is heard.
    const flapMs = 1000;
    const awayMs = 250;
    const heardMs = silenceMs + 2 * 6000 + graceMs;
    for (let ms = 0; ms < (heardMs * flapMs) / (flapMs - awayMs - 200); ms += flapMs) {
      fleet.member("HOST1").crash();
      await fleet.runFor(awayMs);
      fleet.member("HOST1").restart();
      await fleet.runFor(flapMs - awayMs);
    }
    assert.deepEqual(validHosts(fleet, "directory"), ["HOST1"]);
  });

  test("an absence that outlasts an isolation gets one new grace, not one for each", async () => {
    const fleet = await fleetOf(6);
    const cut = ["HOST3", "HOST4", "HOST5", "HOST6"];
    let lost = 0;
    fleet.client("directory").subscribe({ tables: ["hosts"] }, ({ entry }) => void (entry?.valid === false && lost++));
    const isolate = async (heardMs: number) => {
      fleet.network.partition(["directory"], ["*"]);
      await fleet.runFor(20_000);
      assert.equal(lost, 0, "nobody is given up while nobody is heard");
      fleet.network.heal();
      fleet.network.partition(cut, ["*"]);
      await fleet.runFor(heardMs);
      assert.equal(lost, 0, "the guard holds them");
    };
    await isolate(5000);
    await isolate(300);
    // What is left of the hold, and the time in which hosts come back to their directory.
    await fleet.runFor(4000);
    assert.equal(lost, 4);
  });

  test("hosts that were given up long ago make no failure of many smaller", async () => {
    const fleet = new SimFleet({ seed: 7 });
    fleet.addDirectory();
    for (let host = 1; host <= 16; host++) fleet.addAgent(`HOST${host}`);
    await fleet.start();
    for (let host = 11; host <= 16; host++) {
      fleet.member(`HOST${host}`).crash();
      await fleet.runFor(2500);
    }
    assert.equal(validHosts(fleet, "directory").length, 10);
    fleet.network.partition(["HOST1", "HOST2", "HOST3", "HOST4"], ["directory"]);
    await fleet.runFor(silenceMs + graceMs + 500);
    assert.equal(fleet.member("directory").node.guardedHosts, 4);
    assert.equal(validHosts(fleet, "directory").length, 10);
  });

  test("a directory that restarts pushes no state and no expiry before the grace is over; then who is missing goes", async () => {
    const fleet = await fleetOf(8);
    let events = 0;
    fleet.client("caller").subscribe({ tables: ["hosts"] }, ({ entry }) => void (entry?.valid === false && events++));
    fleet.member("directory").crash();
    fleet.member("HOST8").crash("silent");
    await fleet.runFor(3000);
    fleet.member("directory").restart();
    await fleet.runFor(graceMs - 200);
    assert.equal(events, 0);
    assert.equal(validHosts(fleet).length, 8);
    await fleet.runFor(600);
    assert.equal(events, 1);
    assert.equal(stateOf(fleet, "HOST8"), "gone");
  });
});

describe("routes of hosts", () => {
  test("a cut is one change with its reason, repeating it is none, and the return of the agent leaves it", async () => {
    const fleet = new SimFleet({ seed: 9 });
    fleet.addDirectory();
    fleet.addRelay("relay");
    fleet.addAgent("HOST1", { routes: ["10.0.0.1", "10.1.0.1"] });
    fleet.addClient("caller", { agent: "HOST1" });
    await fleet.start();
    const { node } = fleet.member("relay");
    const route = (number: number) => fleet.client("caller").get("host-route", `HOST1.${number}`)?.valid;
    node.routeNews("HOST1", 0, false, "8 probes missed, HOST2 misses it too");
    await fleet.runFor(20);
    assert.equal(route(0), false);
    assert.equal(route(1), true);
    assert.match(JSON.stringify(fleet.client("caller").get("states", "host-route/HOST1.0")?.value), /8 probes missed/);
    const { sequence } = fleet.client("caller").position;
    node.routeNews("HOST1", 0, false, "again");
    node.routeNews("HOST1", 1, true, "it always was");
    await fleet.runFor(50);
    assert.equal(fleet.client("caller").position.sequence, sequence);
    fleet.member("HOST1").restart();
    await fleet.runFor(500);
    assert.equal(route(0), false);
    node.routeNews("HOST1", 0, true, "10 answers");
    await fleet.runFor(20);
    assert.equal(route(0), true);
    assert.equal(fleet.client("caller").get("states", "host-route/HOST1.0"), undefined);
  });

  test("one that an operator set invalid is not revived by probes; a new address is a new route", async () => {
    const fleet = new SimFleet({ seed: 9 });
    fleet.addDirectory();
    fleet.addAgent("HOST1", { routes: ["10.0.0.1", "10.1.0.1"] });
    await fleet.start();
    const route = (number: number) => fleet.client("directory").get("host-route", `HOST1.${number}`)?.valid;
    await fleet.until(fleet.client("directory").add("host-route", "HOST1.1", "10.1.0.1", { valid: false }));
    fleet.member("directory").node.routeNews("HOST1", 1, true, "it answers");
    await fleet.runFor(50);
    assert.equal(route(1), false);
    fleet.member("HOST1").restart();
    await fleet.runFor(500);
    assert.equal(route(1), false);
    // The agent itself may tell of its own host.
    fleet.member("HOST1").node.routeNews("HOST1", 0, false, "the cable is out");
    await fleet.runFor(50);
    assert.equal(route(0), false);
  });

  test("nobody tells of hosts that are not attached there", async () => {
    const fleet = await fleetOf(4, { relay: true });
    fleet.member("directory").node.routeNews("HOST1", 0, false, "hearsay");
    fleet.member("HOST2").node.routeNews("HOST1", 0, false, "hearsay");
    await fleet.runFor(50);
    assert.equal(fleet.client("caller").get("host-route", "HOST1.0")?.valid, true);
  });
});
