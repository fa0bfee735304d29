import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError } from "../../../src/kernel/index.ts";
import { type Ending, RequestStage, codes, threeServers, warm } from "./stage.ts";

describe("requests find a server and come back", () => {
  test("a service is asked in turn, an instance at its primary, a server by its own key; bodies come back as they were sent", async () => {
    const stage = await threeServers({ answer: (_type, number) => ({ number }) });
    await warm(stage);
    assert.deepEqual(new Set(stage.starts.map(({ server }) => server)), new Set(["s1", "s2", "s3"]));
    const caller = stage.fleet.client("caller");
    assert.deepEqual(await stage.fleet.until(caller.request("MDS.2.1", "look", 7)), { number: 7 });
    assert.equal(stage.starts.at(-1)?.server, "s2");
    assert.deepEqual(await stage.fleet.until(caller.request("MDS.3", "look", 8, { table: "metadata" })), { number: 8 });
    assert.equal(stage.starts.at(-1)?.server, "s3");
  });

  test("bytes arrive as bytes, large bodies whole, and what is too large is refused before it is sent", async () => {
    const stage = await threeServers();
    const server = stage.fleet.client("s1");
    await stage.fleet.until(
      server.serve("bitfile", "BSS.1", {
        port: 0,
        types: { turn: { effect: "read", handle: (body) => (body instanceof Uint8Array ? body.toReversed() : body) } },
      }),
    );
    await stage.fleet.runFor(10);
    const caller = stage.fleet.client("caller");
    assert.deepEqual(await stage.fleet.until(caller.request("BSS.1", "turn", new Uint8Array([1, 2, 3]))), new Uint8Array([3, 2, 1]));
    const large = new Uint8Array(2 * 1024 * 1024).map((_, index) => index % 251);
    assert.deepEqual(await stage.fleet.until(caller.request("BSS.1", "turn", large)), large.toReversed());
    const text = "ü".repeat(600_000);
    assert.equal(await stage.fleet.until(caller.request("BSS.1", "turn", text)), text);
    const tooLarge = stage.fleet.until(caller.request("BSS.1", "turn", new Uint8Array(4 * 1024 * 1024)));
    await assert.rejects(
      tooLarge,
      (error) => error instanceof MusterError && error.code === "requests/body-too-large" && error.effect === "none",
    );
  });

  test("a key that several tables name has to be asked for with its table", async () => {
    const stage = await threeServers();
    await stage.serve("s1", "MDS.9", { table: "gateway" });
    await stage.serve("s2", "MDS.9.1");
    await stage.fleet.runFor(10);
    assert.equal((await stage.asked("caller", "MDS.9", "look")).error?.code, "requests/ambiguous-key");
    assert.equal((await stage.asked("caller", "MDS.9", "look", { table: "gateway" })).server, "s1");
    assert.equal((await stage.asked("caller", "MDS.9", "look", { table: "nothing" })).error?.code, "tables/unknown-table");
  });

  test("a request for a service that has no server yet waits for one, and for no longer than its deadline", async () => {
    const stage = await threeServers();
    const early = stage.ask("caller", "NEW.1", "look", { deadlineMs: 2000 });
    const never = stage.ask("caller", "NOBODY.1", "look", { deadlineMs: 300 });
    await stage.fleet.runFor(100);
    await stage.serve("s1", "NEW.1");
    const ending = await stage.fleet.until(early);
    assert.equal(ending.server, "s1");
    assert.ok(ending.tookMs < 150, `${ending.tookMs} ms`);
    const { error, tookMs } = await stage.fleet.until(never);
    assert.equal(error?.code, "requests/no-server");
    assert.equal(error?.effect, "none");
    assert.ok(tookMs >= 300 && tookMs < 330, `${tookMs} ms`);
  });
});

describe("[DSD-20] a failure moves what is pending", () => {
  test("a killed server: all its pending reads and repeatable requests are answered by others within milliseconds, none fails", async () => {
    const stage = await threeServers({ workMs: 20 });
    await warm(stage);
    const asked = Array.from({ length: 300 }, (_, index) =>
      stage.ask("caller", "MDS", index % 2 === 0 ? "look" : "again", { deadlineMs: 2000 }),
    );
    await stage.fleet.runFor(10);
    stage.member("s1").crash();
    const endings = await stage.fleet.until(Promise.all(asked));
    assert.deepEqual(codes(endings), [undefined]);
    assert.ok(endings.every(({ server }) => server !== "s1"));
    assert.ok(Math.max(...endings.map(({ tookMs }) => tookMs)) < 60);
  });

  test("10,000 requests in flight when their server dies are all answered by another one, each by its second attempt", async () => {
    const stage = new RequestStage();
    for (const host of ["HOST1", "HOST2"]) stage.addHost(host);
    for (const [name, agent] of [
      ["s1", "HOST1"],
      ["s2", "HOST2"],
      ["caller", "HOST2"],
    ] as const)
      stage.fleet.addClient(name, { agent });
    await stage.fleet.start();
    await stage.serve("s1", "MDS.1.1", { workMs: 500 });
    await stage.serve("s2", "MDS.1.2", { workMs: 5 });
    await stage.fleet.runFor(20);
    const asked = Array.from({ length: 10_000 }, () => stage.ask("caller", "MDS.1", "look", { deadlineMs: 5000 }));
    await stage.fleet.runFor(100);
    assert.equal(stage.starts.length, 10_000);
    stage.member("s1").crash();
    const endings = await stage.fleet.until(Promise.all(asked));
    assert.deepEqual(codes(endings), [undefined]);
    assert.equal(stage.starts.length, 20_000);
    assert.ok(stage.starts.slice(10_000).every(({ server, attempt }) => server === "s2" && attempt === 2));
    assert.ok(Math.max(...endings.map(({ tookMs }) => tookMs)) < 250);
  });

  test("writes that were with a killed server end as unknown at once, and none of them is begun a second time", async () => {
    const stage = await threeServers({ workMs: 200 });
    await warm(stage);
    const asked = Array.from({ length: 60 }, () => stage.ask("caller", "MDS", "act", { deadlineMs: 3000 }));
    await stage.fleet.runFor(50);
    const hit = stage.starts.filter(({ server, type }) => server === "s1" && type === "act").map(({ number }) => number);
    assert.equal(hit.length, 20);
    stage.member("s1").crash();
    await stage.fleet.runFor(20);
    const unknown = stage.endings.filter(({ error }) => error !== undefined);
    assert.deepEqual(new Set(unknown.map(({ number }) => number)), new Set(hit));
    assert.ok(unknown.every(({ error }) => error?.code === "requests/unknown" && error.effect === "maybe"));
    const endings = await stage.fleet.until(Promise.all(asked));
    assert.equal(endings.filter(({ error }) => error === undefined).length, 40);
    for (const { number } of endings) assert.equal(stage.startsOf(number).length, 1);
  });

  test("a type that nobody declared is a write, whatever the server calls it elsewhere; the caller may say it is a read", async () => {
    const stage = await threeServers({ workMs: 200 });
    await warm(stage);
    const { fleet } = stage;
    await fleet.until(fleet.client("directory").delete("request-types", "MDS/look"));
    await fleet.runFor(20);
    const plain = [1, 2, 3].map(() => stage.ask("caller", "MDS", "look"));
    await fleet.runFor(50);
    stage.member("s1").crash();
    const endings = await fleet.until(Promise.all(plain));
    assert.deepEqual(
      endings.map(({ error }) => error?.code).filter((code) => code !== undefined),
      ["requests/unknown"],
    );
    const said = [1, 2].map(() => stage.ask("caller", "MDS", "look", { effect: "read" }));
    await fleet.runFor(50);
    stage.member("s2").crash();
    assert.deepEqual(codes(await fleet.until(Promise.all(said))), [undefined]);
  });

  test("an address that failed is not tried again for a while, nor by anybody who asks meanwhile", async () => {
    const stage = await threeServers();
    const { fleet } = stage;
    stage.addHost("HOST5");
    await fleet.start();
    fleet.network.links.set("HOST4", "HOST5", { latencyMs: 30 });
    await fleet.until(fleet.client("directory").add("metadata", "MDS.4.1", { host: "HOST5", port: 9 }));
    await fleet.runFor(20);
    await fleet.until(Promise.all([1, 2, 3, 4].map(() => stage.ask("caller", "MDS", "look"))));
    const later: Ending[] = [];
    for (let count = 0; count < 20; count++) later.push(await stage.asked("caller", "MDS", "look"));
    assert.ok(
      later.every(({ error, tookMs }) => error === undefined && tookMs < 10),
      `${later.map(({ tookMs }) => tookMs).join(" ")} ms`,
    );
  });

  test("a refused port: nothing was sent, so even writes go elsewhere, the port is avoided, and the server is doubted once", async () => {
    const stage = await threeServers();
    const { fleet } = stage;
    const states: string[] = [];
    fleet
      .client("directory")
      .subscribe({ tables: ["states"] }, ({ event, entry }) => void states.push(`${event} ${entry?.key} ${JSON.stringify(entry?.value)}`));
    // The roll names a server at a port where nobody listens.
    await fleet.until(fleet.client("directory").add("metadata", "MDS.4.1", { host: "HOST3", port: 9 }));
    await fleet.runFor(20);
    const endings = await fleet.until(Promise.all(Array.from({ length: 40 }, () => stage.ask("caller", "MDS", "act"))));
    assert.deepEqual(codes(endings), [undefined]);
    for (const { number } of endings) assert.equal(stage.startsOf(number).length, 1);
    await fleet.runFor(100);
    const doubts = states.filter((line) => line.startsWith("Add"));
    assert.equal(doubts.length, 1);
    assert.match(doubts[0] ?? "", /^Add metadata\/MDS\.4\.1 .*"state":"doubted".*HOST3:9 could not be reached by caller/);
    assert.equal(fleet.client("caller").get("metadata", "MDS.4.1")?.valid, true);
  });

  test("the only server closes its port for a moment: requests wait without a busy loop and are answered when it is back", async () => {
    const stage = new RequestStage();
    stage.addHost("HOST1");
    stage.addHost("HOST2");
    stage.fleet.addClient("s1", { agent: "HOST1" });
    stage.fleet.addClient("caller", { agent: "HOST2" });
    await stage.fleet.start();
    await stage.serve("s1", "MDS.1", { workMs: 10 });
    await stage.fleet.runFor(20);
    assert.equal((await stage.asked("caller", "MDS.1", "look")).server, "s1");
    stage.member("s1").crash();
    const asked = [1, 2, 3].map(() => stage.ask("caller", "MDS.1", "look", { deadlineMs: 3000 }));
    await stage.fleet.runFor(1000);
    assert.equal(stage.endings.length, 1);
    stage.member("s1").restart();
    await stage.fleet.until(stage.fleet.client("s1").node.ready());
    await stage.serve("s1", "MDS.1", { workMs: 10 });
    assert.deepEqual(codes(await stage.fleet.until(Promise.all(asked))), [undefined]);
  });

  test("a hung server: what is pending moves when the roll says so, what is new does not wait for a connection that does not answer", async () => {
    const stage = await threeServers({ workMs: 20 });
    await warm(stage);
    const asked = Array.from({ length: 30 }, () => stage.ask("caller", "MDS", "look", { deadlineMs: 2000 }));
    await stage.fleet.runFor(5);
    stage.member("s1").pause();
    await stage.fleet.runFor(100);
    await stage.state("metadata/MDS.1.1", "stalled");
    const endings = await stage.fleet.until(Promise.all(asked));
    assert.deepEqual(codes(endings), [undefined]);
    assert.ok(Math.max(...endings.map(({ tookMs }) => tookMs)) < 150, "long before the caller would notice by itself");
    // Late answers of the hung server find nobody.
    stage.member("s1").resume();
    await stage.fleet.runFor(100);
    assert.equal(stage.endings.length, 33);
  });

  test("a server that hangs before a connection stands is passed over after a quarter of a second, also by writes", async () => {
    const stage = await threeServers();
    stage.member("s1").pause();
    const endings = await stage.fleet.until(Promise.all([1, 2, 3].map(() => stage.ask("caller", "MDS", "act", { deadlineMs: 2000 }))));
    assert.deepEqual(codes(endings), [undefined]);
    assert.ok(Math.max(...endings.map(({ tookMs }) => tookMs)) < 300);
    stage.member("s1").resume();
    await stage.fleet.runFor(500);
    for (const { number } of endings) assert.equal(stage.startsOf(number).length, 1);
  });

  test("an error of the attempt that was left does not end the one that goes on, an answer of it does, and stops the other", async () => {
    for (const [fails, expected] of [
      [true, "late"],
      [false, "s1"],
    ] as const) {
      const stage = new RequestStage();
      for (const host of ["HOST1", "HOST2", "HOST3"]) stage.addHost(host);
      for (const [name, agent] of [
        ["s1", "HOST1"],
        ["s2", "HOST2"],
        ["caller", "HOST3"],
      ] as const)
        stage.fleet.addClient(name, { agent });
      await stage.fleet.start();
      const answer = () => {
        if (fails) throw new Error("s1 cannot");
        return "s1";
      };
      await stage.serve("s1", "MDS.1.1", { workMs: 60, answer });
      await stage.serve("s2", "MDS.1.2", { workMs: 400, answer: () => "late" });
      await stage.fleet.runFor(20);
      stage.fleet.network.links.set("HOST3", "HOST1", { latencyMs: 40 });
      stage.fleet.network.links.set("HOST1", "HOST3", { latencyMs: 40 });
      const asked = stage.ask("caller", "MDS.1", "look");
      // s1 has just ended when the caller leaves it: its word and the cancel pass each other on the way.
      await stage.fleet.world.runUntil(() => stage.starts[0]?.ended === true, stage.nowMs + 1000);
      await stage.state("metadata/MDS.1.1", "stalled");
      await stage.fleet.runFor(20);
      assert.deepEqual(
        stage.starts.map(({ server }) => server),
        ["s1", "s2"],
      );
      assert.equal((await stage.fleet.until(asked)).server, expected);
      await stage.fleet.runFor(50);
      assert.equal(stage.starts[1]?.aborted !== undefined, !fails);
    }
  });

  test("a request that has moved moves again when its second server turns suspect, too, at the expense of the budget", async () => {
    const stage = await threeServers({ workMs: 20 });
    await warm(stage);
    for (const name of ["s1", "s2"]) stage.member(name).pause();
    const asked = Array.from({ length: 30 }, () => stage.ask("caller", "MDS", "again", { deadlineMs: 2000 }));
    await stage.fleet.runFor(20);
    await stage.state("metadata/MDS.1.1", "suspect");
    await stage.fleet.runFor(2);
    await stage.state("metadata/MDS.2.1", "suspect");
    const endings = await stage.fleet.until(Promise.all(asked));
    assert.deepEqual(codes(endings), [undefined]);
    assert.ok(endings.every(({ server }) => server === "s3"));
    assert.ok(Math.max(...endings.map(({ tookMs }) => tookMs)) < 100);
    assert.ok(stage.starts.some(({ attempt }) => attempt === 3));
  });

  test("a key that becomes ambiguous while its request is with a server that dies: the error does not say that nothing has happened", async () => {
    const stage = await threeServers({ workMs: 60_000 });
    const { fleet } = stage;
    const asked = stage.ask("caller", "MDS", "again", { deadlineMs: 20_000 });
    await fleet.runFor(100);
    await fleet.until(fleet.client("directory").add("tables", "shadow", { symbol: "SHD" }));
    await fleet.until(fleet.client("directory").add("gateway", "MDS.7", { host: "HOST1", port: 5 }));
    await fleet.runFor(100);
    fleet.member(stage.starts[0]?.server ?? "").crash();
    const { error, number } = await fleet.until(asked);
    assert.deepEqual([error?.code, error?.effect], ["requests/ambiguous-key", "maybe"]);
    assert.equal(stage.startsOf(number).length, 1);
  });

  test("suspect and stalled servers lose their reads to others, keep their writes, and keep everything when they are the last", async () => {
    const stage = await threeServers({ workMs: 300 });
    await warm(stage);
    const reads = [1, 2, 3].map(() => stage.ask("caller", "MDS", "look"));
    const writes = [1, 2, 3].map(() => stage.ask("caller", "MDS", "act"));
    await stage.fleet.runFor(50);
    await stage.state("metadata/MDS.1.1", "suspect");
    await stage.state("hosts/HOST2", "suspect");
    await stage.fleet.runFor(50);
    assert.equal(stage.starts.filter(({ type, attempt }) => type === "look" && attempt === 2).length, 2);
    const before = stage.starts.length;
    await stage.state("metadata/MDS.3.1", "stalled");
    const endings = await stage.fleet.until(Promise.all([...reads, ...writes]));
    assert.deepEqual(codes(endings), [undefined]);
    assert.equal(stage.starts.filter(({ type }) => type === "act").length, 3);
    assert.equal(stage.starts.length, before);
  });
});

describe("[DSD-20] another route to the same server", () => {
  async function twoRoutes(workMs: number): Promise<RequestStage> {
    const stage = new RequestStage();
    stage.addHost("HOST1", "HOST1-a", "HOST1-b");
    stage.addHost("HOST2");
    stage.fleet.addClient("s1", { agent: "HOST1" });
    stage.fleet.addClient("caller", { agent: "HOST2" });
    await stage.fleet.start();
    await stage.serve("s1", "MDS.1", { workMs });
    await stage.fleet.runFor(20);
    assert.equal((await stage.asked("caller", "MDS.1", "look")).server, "s1");
    return stage;
  }

  test("a route that the host has got after the server began is served, too", async () => {
    const stage = await twoRoutes(1);
    const { fleet } = stage;
    fleet.network.addAddress("HOST1", "HOST1-c");
    await fleet.until(fleet.client("directory").add("host-route", "HOST1.2", "HOST1-c"));
    await fleet.runFor(20);
    for (const key of ["HOST1.0", "HOST1.1"]) await stage.set("host-route", key, false);
    fleet.network.partition(["HOST1-a", "HOST1-b"], ["HOST2"]);
    await fleet.runFor(20);
    assert.equal((await stage.asked("caller", "MDS.1", "act")).server, "s1");
    assert.equal(fleet.client("caller").find("metadata", "MDS.1")?.address, "HOST1-c");
  });

  test("a cut route that the roll knows of: reads are sent again over the other route at once, writes are unknown", async () => {
    const stage = await twoRoutes(100);
    const read = stage.ask("caller", "MDS.1", "look", { deadlineMs: 5000 });
    const write = stage.ask("caller", "MDS.1", "act", { deadlineMs: 5000 });
    await stage.fleet.runFor(20);
    stage.fleet.network.partition(["HOST1-a"], ["HOST2"]);
    await stage.set("host-route", "HOST1.0", false);
    const ending = await stage.fleet.until(read);
    assert.equal(ending.server, "s1");
    assert.ok(ending.tookMs < 200, `${ending.tookMs} ms`);
    assert.equal((await stage.fleet.until(write)).error?.code, "requests/unknown");
  });

  test("a cancel that comes before its request: the late first attempt is never begun, the second one runs", async () => {
    const stage = await twoRoutes(100);
    const { fleet } = stage;
    const before = stage.starts.length;
    // What is sent over the first route is held up; the system keeps it and delivers it later.
    assert.equal(fleet.network.stall("HOST2", "HOST1-a"), 1);
    const read = stage.ask("caller", "MDS.1", "look", { deadlineMs: 5000 });
    await fleet.runFor(20);
    assert.equal(stage.starts.length, before);
    await stage.set("host-route", "HOST1.0", false);
    await fleet.runFor(50);
    assert.deepEqual(
      stage.starts.slice(before).map(({ attempt }) => attempt),
      [2],
    );
    fleet.network.unstall();
    assert.equal((await fleet.until(read)).server, "s1");
    await fleet.runFor(500);
    assert.deepEqual(
      stage.starts.slice(before).map(({ attempt, aborted }) => ({ attempt, aborted })),
      [{ attempt: 2, aborted: undefined }],
    );
  });
});
