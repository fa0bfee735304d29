import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Ending, RequestStage, codes, threeServers, warm } from "./stage.ts";

describe("[DSD-20] a caller notices a dead path of its own", () => {
  /** Requests at a steady pace, and how long the slowest took. */
  async function pace(stage: RequestStage, count: number, everyMs: number): Promise<readonly Ending[]> {
    const asked: Promise<Ending>[] = [];
    for (let index = 0; index < count; index++) {
      asked.push(stage.ask("caller", "MDS", index % 2 === 0 ? "look" : "again", { deadlineMs: 2000 }));
      await stage.fleet.runFor(everyMs);
    }
    return stage.fleet.until(Promise.all(asked));
  }

  /** Half of what is documented for `lan`: the preset of simulated fleets ticks faster. */
  const noticedMs = 250;

  for (const [title, from, to] of [
    ["to the server", "HOST4", "HOST1"],
    ["from the server", "HOST1", "HOST4"],
  ] as const)
    test(`a path that dies between two hosts, ${title}: reads move within a moment, nobody is accused, mended it is used again`, async () => {
      const stage = await threeServers({ workMs: 20 });
      const { fleet } = stage;
      await warm(stage);
      const rows: string[] = [];
      fleet.client("directory").subscribe({ tables: ["states"] }, ({ event, entry }) => {
        if (event === "Add") rows.push(`${entry?.key} ${JSON.stringify(entry?.value)}`);
      });
      fleet.network.cut(from, to);
      const endings = await pace(stage, 300, 5);
      assert.deepEqual(codes(endings), [undefined]);
      assert.ok(
        Math.max(...endings.map(({ tookMs }) => tookMs)) < noticedMs + 30,
        `${Math.max(...endings.map(({ tookMs }) => tookMs))} ms`,
      );
      // From then on nothing waits for that path, although it is tried again.
      const later = endings.slice(100);
      assert.ok(Math.max(...later.map(({ tookMs }) => tookMs)) < 30, `${Math.max(...later.map(({ tookMs }) => tookMs))} ms`);
      assert.ok(rows.length > 0, "the server is doubted");
      for (const row of rows) assert.match(row, /^metadata\/MDS\.1\.1 .*"state":"doubted".* by caller/);
      assert.equal(fleet.client("directory").get("metadata", "MDS.1.1")?.valid, true);
      fleet.network.heal();
      await pace(stage, 700, 5);
      const afterwards = await pace(stage, 30, 5);
      assert.ok(
        afterwards.some(({ server }) => server === "s1"),
        "the path is used again",
      );
    });

  test("writes that were sent over the dead path wait, and are answered when it is mended; none is begun twice", async () => {
    const stage = await threeServers({ workMs: 20 });
    const { fleet } = stage;
    await warm(stage);
    fleet.network.cut("HOST1", "HOST4");
    const writes = Array.from({ length: 30 }, () => stage.ask("caller", "MDS", "act", { deadlineMs: 5000 }));
    await fleet.runFor(700);
    assert.equal(stage.endings.filter(({ error }) => error !== undefined).length, 0);
    fleet.network.heal();
    assert.deepEqual(codes(await fleet.until(Promise.all(writes))), [undefined]);
    for (const { number } of stage.endings) assert.equal(stage.startsOf(number).length, 1);
  });

  test("a handler that takes long is not a dead path: nothing is begun twice, no server is avoided or doubted", async () => {
    const stage = await threeServers({ workMs: 2000 });
    const states: unknown[] = [];
    stage.fleet.client("directory").subscribe({ tables: ["states"] }, ({ event, entry }) => {
      if (event === "Add") states.push(entry?.value);
    });
    const asked: Promise<Ending>[] = [];
    for (let index = 0; index < 60; index++) {
      asked.push(stage.ask("caller", "MDS", index % 2 === 0 ? "look" : "again", { deadlineMs: 5000 }));
      // Some follow at once, and for longer than it takes to notice a dead path none does.
      await stage.fleet.runFor(index % 10 === 9 ? 700 : 10);
    }
    const endings = await stage.fleet.until(Promise.all(asked));
    assert.deepEqual(codes(endings), [undefined]);
    for (const { number } of endings) assert.equal(stage.startsOf(number).length, 1);
    assert.ok(Math.max(...endings.map(({ tookMs }) => tookMs)) < 2010);
    // In turn to the end: nobody was passed over.
    assert.deepEqual(
      [1, 2, 3].map((number) => endings.filter(({ server }) => server === `s${number}`).length),
      [20, 20, 20],
    );
    assert.deepEqual(states, []);
  });

  test("a server in an endless loop answers no ping: its reads move as from a dead path, and it is used again when it goes on", async () => {
    const stage = await threeServers({ workMs: 20 });
    await warm(stage);
    stage.member("s1").stall();
    const endings = await pace(stage, 100, 5);
    assert.deepEqual(codes(endings), [undefined]);
    assert.ok(endings.every(({ server }) => server !== "s1"));
    assert.ok(Math.max(...endings.map(({ tookMs }) => tookMs)) < noticedMs + 30);
    stage.member("s1").resume();
    await stage.fleet.runFor(3000);
    assert.ok((await pace(stage, 30, 5)).some(({ server }) => server === "s1"));
  });

  test("a caller that was paused accuses nobody", async () => {
    const stage = await threeServers({ workMs: 100 });
    await warm(stage);
    for (let round = 0; round < 5; round++) {
      const asked = Array.from({ length: 6 }, () => stage.ask("caller", "MDS", "look", { deadlineMs: 5000 }));
      await stage.fleet.runFor(40);
      stage.member("caller").pause();
      await stage.fleet.runFor(1000);
      stage.member("caller").resume();
      assert.deepEqual(codes(await stage.fleet.until(Promise.all(asked))), [undefined]);
    }
    assert.ok(stage.starts.every(({ attempt }) => attempt === 1));
  });

  test("the only server stands still for a moment: nothing fails, and what is new is answered as soon as it goes on", async () => {
    const stage = new RequestStage();
    for (const host of ["HOST1", "HOST2"]) stage.addHost(host);
    stage.fleet.addClient("s1", { agent: "HOST1" });
    stage.fleet.addClient("caller", { agent: "HOST2" });
    await stage.fleet.start();
    await stage.serve("s1", "MDS.1", { workMs: 5 });
    await stage.fleet.runFor(20);
    assert.equal((await stage.asked("caller", "MDS.1", "look")).server, "s1");
    stage.member("s1").stall();
    const asked = [stage.ask("caller", "MDS.1", "look")];
    await stage.fleet.runFor(noticedMs + 50);
    asked.push(stage.ask("caller", "MDS.1", "act"));
    await stage.fleet.runFor(20);
    stage.member("s1").resume();
    await stage.fleet.runFor(100);
    assert.equal(stage.endings.length, 3);
    assert.deepEqual(codes(await stage.fleet.until(Promise.all(asked))), [undefined]);
  });
});
