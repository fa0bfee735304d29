import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom, randomBelow } from "../../../src/kernel/index.ts";
import { addressOf, by, change, lose, noAttemptBegunTwice, requestGroup, sayings, scene } from "./multicast-scene.ts";

describe("a question to several servers by multicast", () => {
  test("[MRT-1] is one datagram, which each of them answers over its link according to the type", async () => {
    const { stage, caller, servers, gather, settle } = await scene(5);
    const first = await gather("look");
    assert.deepEqual([first.answers.length, caller.of("datagrams_total request")], [5, 0], "nobody is known to hear yet");
    await settle();
    const counted = await change(caller, sayings, async () => {
      const { answers, complete, size } = await gather("look");
      assert.deepEqual([by(answers), complete, size], [["s1", "s2", "s3", "s4", "s5"], true, 5]);
    });
    assert.deepEqual(counted, [1, 5, 0]);
    assert.ok(servers.every((server) => server.of("multicast_heard_total") >= 1));
    // Repeatable types, and reads that are declared to be asked of all, go the same way.
    assert.deepEqual(await change(caller, sayings, () => gather("again")), [1, 5, 0]);
    const copied = await change(caller, sayings, () => stage.asked("caller", "MDS", "look", { copies: "all" }));
    assert.deepEqual(copied.slice(0, 2), [1, 5]);
    await stage.fleet.runFor(100);
    noAttemptBegunTwice(stage);
  });

  test("[MRT-2] is ignored by a host outside of the subset, although it listens: it begins nothing and says nothing", async () => {
    const { stage, caller, servers, gather, settle } = await scene(6);
    await settle();
    const directory = stage.fleet.client("directory");
    await stage.fleet.until(directory.add("request-types", "MDS/look", { effect: "read", subset: ["HOST1", "HOST2", "HOST4", "MDS.5.1"] }));
    await stage.fleet.runFor(50);
    const heard = servers.map((server) => server.of("multicast_heard_total"));
    const begun = stage.starts.length;
    const counted = await change(caller, [...sayings, "s_refused_total"], async () => {
      for (let count = 0; count < 5; count++) {
        const { answers, complete, size, tookMs } = await gather("look", { deadlineMs: 500 });
        assert.deepEqual([by(answers), complete, size], [["s1", "s2", "s4", "s5"], true, 4]);
        assert.ok(tookMs < 50, `${tookMs} ms`);
      }
    });
    assert.deepEqual(counted.slice(0, 2), [5, 20]);
    assert.equal(counted[3], 0, "nobody has to say that it is outside");
    assert.deepEqual(new Set(stage.starts.slice(begun).map(({ server }) => server)), new Set(["s1", "s2", "s4", "s5"]));
    assert.deepEqual(
      servers.map((server, index) => server.of("multicast_heard_total") - (heard[index] ?? 0)),
      [5, 5, 0, 5, 5, 0],
    );
  });

  test("[MRT-1] who does not hear gets its copy over the link within milliseconds; after three losses it is asked there, and tried again later", async () => {
    const { stage, caller, gather, settle } = await scene(4);
    await settle();
    lose(stage, 2, 1);
    for (let count = 0; count < 3; count++) {
      const counted = await change(caller, sayings, async () => {
        const { complete, tookMs } = await gather("look");
        assert.ok(complete && tookMs < 15, `${tookMs} ms`);
      });
      assert.deepEqual(counted, [1, 4, 1]);
    }
    await gather("look");
    assert.deepEqual(await change(caller, sayings, () => gather("look")), [1, 3, 0], "it is left in peace");
    lose(stage, 2, 0);
    await stage.fleet.runFor(2500);
    await settle();
    assert.deepEqual(await change(caller, sayings, () => gather("look")), [1, 4, 0]);
    noAttemptBegunTwice(stage);
  });

  for (const [name, network] of [
    ["datagrams are filtered", { loss: 1 }],
    ["there is no multicast", { multicast: false }],
  ] as const)
    test(`[MRT-1] where ${name} everything goes by link, no later than ever`, async () => {
      const { stage, caller, gather, settle } = await scene(4, network);
      await settle();
      for (let count = 0; count < 20; count++) {
        const { complete, tookMs } = await gather("look");
        assert.ok(complete && tookMs < 4, `${tookMs} ms`);
        await stage.fleet.runFor(200);
      }
      assert.equal(caller.of("datagrams_total request"), 0);
      assert.ok(caller.of("datagrams_total call") <= 4, "and that is asked ever less often");
      assert.equal(stage.starts.length, 22 * 4);
    });

  test("a datagram that comes after its copy begins nothing, and neither does one that comes twice", async () => {
    // Held back by up to 40 ms, which is longer than the patience of whoever sent it.
    const { stage, caller, gather, settle } = await scene(4, { latencyMs: 2, reorder: 1, duplicate: 0.5 }, { workMs: 3 });
    await settle();
    await settle();
    for (let count = 0; count < 30; count++) assert.equal((await gather("look")).complete, true);
    await stage.fleet.runFor(500);
    assert.ok(caller.of("multicast_asked_total") > 20 && caller.of("multicast_repeated_total") > 5);
    noAttemptBegunTwice(stage);
    assert.equal(stage.starts.length, 34 * 4);
  });

  test("[MRT-6] what is taken back before its datagram comes never begins", async () => {
    const { stage, caller, gather, settle } = await scene(4, {}, { workMs: (server) => (server === "s1" ? 1 : 200) });
    await settle();
    for (const number of [2, 3, 4])
      stage.fleet.network.links.set(addressOf(100), addressOf(number), { latencyMs: 0.5, reorder: 1, loss: 0 });
    const begun = stage.starts.length;
    const counted = await change(caller, sayings, async () => {
      for (let count = 0; count < 10; count++) {
        assert.equal((await gather("look", { until: "first" })).answers[0]?.answer, "s1");
        await stage.fleet.runFor(50);
      }
    });
    assert.ok((counted[1] ?? 0) >= 30);
    const others = stage.starts.slice(begun).filter(({ server }) => server !== "s1");
    assert.ok(others.length < 30, "some are late");
    for (const { aborted } of others) assert.match(aborted ?? "not told", /enough others have answered/);
  });

  test("[MRT-6] one that waits for its turn is deleted when it is taken back; what comes by datagram waits like anything else", async () => {
    const { stage, caller, settle } = await scene(3, {}, { workMs: (server) => (server === "s3" ? 100 : 2), concurrency: 1 });
    await settle();
    await stage.fleet.runFor(200);
    const begun = stage.starts.length;
    const counted = await change(caller, sayings, async () => {
      const fleet = stage.fleet.client("caller");
      const first = fleet.gather("MDS", "look", 1);
      await stage.fleet.runFor(1);
      const [all, two] = await stage.fleet.until(Promise.all([first, fleet.gather("MDS", "look", 2, { until: 2 })]));
      assert.deepEqual(by(two.answers), ["s1", "s2"]);
      assert.equal(all.complete, true);
    });
    assert.deepEqual(counted, [2, 6, 0]);
    await stage.fleet.runFor(200);
    assert.equal(stage.starts.slice(begun).filter(({ server }) => server === "s3").length, 1);
  });

  test("a datagram that somebody else has changed, or keeps and says again, begins nothing", async () => {
    const { stage, gather, settle } = await scene(4);
    await settle();
    const { datagrams } = stage.member("s4").node.ports;
    assert.ok(datagrams?.join !== undefined);
    const socket = await stage.fleet.until(datagrams.bind({ host: addressOf(4), port: 0 }, () => {}));
    const heard: Buffer[] = [];
    const meddle = (bytes: Uint8Array) => {
      heard.push(Buffer.from(bytes));
      if (heard.length > 1) return;
      // The last digit of the body: whoever has not heard the true one cannot know, but for the 16 bytes behind it.
      const forged = Buffer.from(bytes);
      forged.writeUInt8(forged.readUInt8(forged.length - 17) ^ 1, forged.length - 17);
      socket.send(forged, requestGroup);
    };
    await stage.fleet.until(datagrams.join(requestGroup, [addressOf(4)], meddle));
    lose(stage, 1, 1);
    const begun = stage.starts.length;
    assert.equal((await gather("look", {}, 7776)).complete, true);
    await stage.fleet.runFor(100);
    for (const said of heard) socket.send(said, requestGroup);
    await stage.fleet.runFor(100);
    assert.equal(heard.length > 1, true);
    assert.deepEqual(
      stage.starts
        .slice(begun)
        .map(({ server, number }) => `${server} ${number}`)
        .toSorted(),
      [1, 2, 3, 4].map((number) => `s${number} 7776`),
    );
  });

  test("of fewer servers than the program says is asked by link", async () => {
    const { caller, gather, settle } = await scene(8, {}, {}, 1, 8);
    await settle();
    assert.deepEqual(await change(caller, sayings, () => gather("look")), [1, 8, 0]);
    const few = await scene(7, {}, {}, 1, 8);
    await few.settle();
    assert.deepEqual(await change(few.caller, ["datagrams_total", ...sayings], () => few.gather("look")), [0, 0, 0, 0]);
  });

  test("two servers are asked by link, and so is what a datagram cannot carry; a write is asked of nobody", async () => {
    const { stage, caller, gather, settle } = await scene(4);
    await settle();
    const long = await change(caller, sayings, async () => assert.equal((await gather("look", {}, "x".repeat(1200))).complete, true));
    assert.deepEqual(long, [0, 0, 0]);
    assert.deepEqual(await change(caller, sayings, () => gather("look", {}, "x".repeat(900))), [1, 4, 0]);
    await assert.rejects(gather("act"), { code: "requests/not-a-read" });
    for (const name of ["s1", "s2"]) stage.member(name).crash();
    await stage.fleet.runFor(100);
    assert.deepEqual(await change(caller, sayings, async () => assert.equal((await gather("look")).size, 2)), [0, 0, 0]);
  });

  test("[MRT-1] many servers are asked by a few datagrams", async () => {
    const { caller, gather, settle } = await scene(60);
    await settle();
    const counted = await change(caller, sayings, async () => assert.equal((await gather("look", {}, "x".repeat(400))).answers.length, 60));
    assert.deepEqual(counted.slice(1), [60, 0]);
    assert.ok((counted[0] ?? 0) <= 3, `${counted[0]} datagrams`);
  });

  test("a server that comes back hears again, and its former life's datagrams mean nothing to it", async () => {
    const { stage, caller, gather, settle } = await scene(4);
    await settle();
    stage.member("s3").restart();
    await stage.fleet.until(stage.member("s3").node.ready());
    await stage.serve("s3", "MDS.3.1");
    await stage.fleet.runFor(50);
    assert.equal((await gather("look")).complete, true);
    await settle();
    assert.deepEqual(await change(caller, sayings, () => gather("look")), [1, 4, 0]);
    noAttemptBegunTwice(stage);
  });

  for (let seed = 1; seed <= 20; seed++)
    test(`[MRT-1] [MRT-4] while servers die, stand still and lose their connections each attempt begins once, and each gather ends in time (seed ${seed})`, async () => {
      const random = new SeededRandom(seed);
      const network = { loss: 0.1, duplicate: 0.2, reorder: 0.2, latencyMs: 0.5 };
      const { stage, caller, settle } = await scene(6, network, { workMs: () => random.fraction() * 30 }, seed);
      await settle();
      const { world } = stage.fleet;
      const wrong: string[] = [];
      let [ended, complete] = [0, 0];
      const ask = () => {
        const startMs = stage.nowMs;
        const deadlineMs = 100 + random.fraction() * 600;
        const until = random.fraction() < 0.7 ? "all" : "quorum";
        stage.fleet
          .client("caller")
          .gather("MDS", "look", 0, { deadlineMs, until })
          .then(
            (gathered) => {
              const { answers, missing, size } = gathered;
              ended++;
              if (gathered.complete) complete++;
              const named = [...answers, ...missing].map(({ server }) => server);
              if (named.length !== size || new Set(named).size !== size) wrong.push(`${named.join()} of ${size}`);
              if (stage.nowMs - startMs > deadlineMs + 30) wrong.push(`${stage.nowMs - startMs - deadlineMs} ms too late`);
            },
            (error: Error) => wrong.push(error.message),
          );
      };
      const hit = () => {
        const number = 1 + randomBelow(random, 6);
        const member = stage.member(`s${number}`);
        const forMs = 20 + random.fraction() * 300;
        switch (randomBelow(random, 4)) {
          case 0:
            if (!member.alive || member.paused) return;
            member.restart();
            void member.node.ready().then(() => stage.register(`s${number}`, `MDS.${number}.1`, { workMs: 5 }));
            return;
          case 1:
            if (!member.alive) return;
            member.pause();
            world.after(forMs, () => member.resume());
            return;
          case 2:
            stage.fleet.network.reset("CALLER", `HOST${number}`);
            return;
          default:
            stage.fleet.network.partition(["CALLER"], [`HOST${number}`]);
            world.after(forMs, () => stage.fleet.network.heal("CALLER", `HOST${number}`));
        }
      };
      const gathers = 80;
      for (let count = 0; count < gathers; count++) world.after(random.fraction() * 4000, ask);
      for (let count = 0; count < 10; count++) world.after(random.fraction() * 3500, hit);
      await stage.fleet.runFor(4000);
      stage.fleet.network.heal();
      await stage.fleet.runFor(4000);
      assert.deepEqual(wrong, []);
      assert.equal(ended, gathers);
      assert.ok(complete > gathers / 4 && caller.of("multicast_asked_total") > 40, `${complete} complete`);
      noAttemptBegunTwice(stage);
    });

  for (let seed = 1; seed <= 30; seed++)
    test(`[MRT-1] [MRT-2] [MRT-4] whatever becomes of datagrams, all who live answer once and nobody else begins anything (seed ${seed})`, async () => {
      const random = new SeededRandom(seed);
      const chance = (most: number) => random.fraction() * most;
      const network = { loss: chance(0.5), duplicate: chance(0.5), reorder: chance(0.5), latencyMs: 0.2 + chance(2) };
      const workMs = () => chance(20);
      const { stage, caller, gather, settle } = await scene(6, network, { workMs }, seed);
      // Everybody listens, and two of them are outside of what is asked then.
      await settle();
      const directory = stage.fleet.client("directory");
      const subset = ["HOST1", "HOST2", "HOST3", "HOST5"];
      await stage.fleet.until(directory.add("request-types", "MDS/look", { effect: "read", subset }));
      await stage.fleet.runFor(50);
      const begun = stage.starts.length;
      for (let count = 0; count < 40; count++) {
        const until = (["all", "all", "quorum", "first"] as const)[randomBelow(random, 4)] ?? "all";
        const { answers, complete, size, missing } = await gather("look", { until, deadlineMs: 2000 });
        assert.deepEqual([complete, size], [true, 4], `${until}: ${missing.map(({ error }) => error.message).join("; ")}`);
        if (until === "all") assert.deepEqual(by(answers), ["s1", "s2", "s3", "s5"]);
        if (random.fraction() < 0.3) assert.equal((await stage.asked("caller", "MDS", "look", { copies: "all" })).error, undefined);
        if (random.fraction() < 0.2) await stage.fleet.runFor(chance(1500));
      }
      await stage.fleet.runFor(3000);
      noAttemptBegunTwice(stage);
      assert.ok(stage.starts.slice(begun).every(({ server }) => server !== "s4" && server !== "s6"));
      // A run in which nothing is said proves nothing.
      assert.ok(caller.of("datagrams_total call") > 0);
      if ((network.loss ?? 0) < 0.1) assert.ok(caller.of("multicast_asked_total") > 20);
    });
});
