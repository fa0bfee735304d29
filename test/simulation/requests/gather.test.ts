import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError, SeededRandom, randomBelow } from "../../../src/kernel/index.ts";
import type { GatherOptions, Gathered } from "../../../src/requests/index.ts";
import { RequestStage, threeServers } from "./stage.ts";

interface Ended {
  readonly gathered?: Gathered;
  readonly code?: string;
  readonly error?: MusterError;
  readonly tookMs: number;
}

/** The promise never rejects. */
function gather(stage: RequestStage, key: string, type: string, options: GatherOptions = {}): Promise<Ended> {
  const startMs = stage.nowMs;
  return stage.fleet
    .client("caller")
    .gather(key, type, 7, options)
    .then(
      (gathered) => ({ gathered, tookMs: stage.nowMs - startMs }),
      (error: MusterError) => ({ error, code: error.code, tookMs: stage.nowMs - startMs }),
    );
}

async function gathered(
  stage: RequestStage,
  key: string,
  type: string,
  options: GatherOptions = {},
): Promise<Gathered & { tookMs: number }> {
  const ended = await stage.fleet.until(gather(stage, key, type, options));
  assert.ok(ended.gathered !== undefined, ended.error?.message);
  return { ...ended.gathered, tookMs: ended.tookMs };
}

function wantedOf(until: "all" | "quorum" | "first" | number, size: number): number {
  if (typeof until === "number") return until;
  return until === "all" ? size : until === "first" ? 1 : Math.floor(size / 2) + 1;
}

const answersOf = ({ answers }: Gathered) => answers.map(({ server, answer }) => `${server}=${String(answer)}`).toSorted();
const missingOf = ({ missing }: Gathered) => missing.map(({ server, error }) => `${server} ${error.code}`);

/** One server a host, each with its own time to answer; a negative one fails after it. */
async function servers(...workMs: readonly number[]): Promise<RequestStage> {
  const stage = new RequestStage();
  for (const index of workMs.keys()) {
    stage.addHost(`HOST${index + 1}`);
    stage.fleet.addClient(`s${index + 1}`, { agent: `HOST${index + 1}` });
  }
  stage.addHost("HOST9");
  stage.fleet.addClient("caller", { agent: "HOST9" });
  await stage.fleet.start();
  for (const [index, ms] of workMs.entries())
    await stage.serve(`s${index + 1}`, `MDS.${index + 1}.1`, {
      workMs: Math.abs(ms),
      ...(ms >= 0 ? {} : { answer: () => Promise.reject(new MusterError("files/broken", "the disk is broken")) }),
    });
  await stage.fleet.runFor(20);
  return stage;
}

describe("a gather", () => {
  test("[MRT-1] [MRT-4] goes to every server of the service; each answers according to the type, and every answer is received", async () => {
    const stage = await servers(1, 5, 20);
    const all = await gathered(stage, "MDS", "look");
    assert.deepEqual(answersOf(all), ["MDS.1.1=s1", "MDS.2.1=s2", "MDS.3.1=s3"]);
    assert.deepEqual(
      all.answers.map(({ index }) => index),
      [0, 1, 2],
      "in the order in which they came",
    );
    assert.deepEqual([all.complete, all.size, all.missing.length], [true, 3, 0]);
    assert.deepEqual(new Set(stage.starts.map(({ type, server }) => `${type} ${server}`)), new Set(["look s1", "look s2", "look s3"]));
    // A repeatable type is asked the same way; a type that only some answer is answered by those.
    assert.equal((await gathered(stage, "MDS", "again")).answers.length, 3);
    // A service instance, and one server.
    assert.deepEqual(answersOf(await gathered(stage, "MDS.2", "look")), ["MDS.2.1=s2"]);
    assert.deepEqual(answersOf(await gathered(stage, "MDS.3.1", "look")), ["MDS.3.1=s3"]);
  });

  test("[MRT-2] [MRT-4] goes to the subset of the type only, and says how large that is", async () => {
    const stage = await servers(1, 1, 1, 1);
    await stage.fleet.until(
      stage.fleet.client("directory").add("request-types", "MDS/look", { effect: "read", subset: ["HOST2", "MDS.4.1", "MDS.8.1"] }),
    );
    await stage.fleet.runFor(20);
    const some = await gathered(stage, "MDS", "look");
    assert.deepEqual(answersOf(some), ["MDS.2.1=s2", "MDS.4.1=s4"]);
    assert.deepEqual([some.size, some.complete, missingOf(some)], [3, false, ["MDS.8.1 requests/server-gone"]]);
    assert.ok(some.tookMs < 50);
    assert.deepEqual(new Set(some.answers.map(({ index }) => index)), new Set([0, 1]));
    assert.ok(stage.starts.every(({ server }) => server === "s2" || server === "s4"));
    // Most of three are two.
    assert.equal((await gathered(stage, "MDS", "look", { until: "quorum" })).complete, true);
  });

  test("[MRT-4] [MRT-6] ends with the first answer, more than half, or so many; whoever has not begun never begins, and the others are told why", async () => {
    const stage = await servers(10, 30, 50, 70, 90);
    const first = await gathered(stage, "MDS", "look", { until: "first" });
    assert.deepEqual([answersOf(first), first.complete, first.size], [["MDS.1.1=s1"], true, 5]);
    assert.ok(first.tookMs < 20, `${first.tookMs} ms`);
    assert.ok(first.missing.every(({ error }) => error.code === "requests/not-awaited"));
    await stage.fleet.runFor(20);
    const lost = stage.starts.filter(({ server }) => server !== "s1");
    assert.equal(lost.length, 4);
    for (const { aborted } of lost) assert.match(aborted ?? "", /not waited for: enough others have answered/);
    const most = await gathered(stage, "MDS", "look", { until: "quorum" });
    assert.equal(most.answers.length, 3);
    assert.ok(most.tookMs >= 50 && most.tookMs < 70, `${most.tookMs} ms`);
    assert.equal((await gathered(stage, "MDS", "look", { until: 4 })).answers.length, 4);
  });

  test("[MRT-6] a server where the request waits for its turn deletes it when another one has answered", async () => {
    const stage = new RequestStage();
    for (const number of [1, 2]) {
      stage.addHost(`HOST${number}`);
      stage.fleet.addClient(`s${number}`, { agent: `HOST${number}` });
    }
    stage.fleet.addClient("caller", { agent: "HOST1" });
    await stage.fleet.start();
    const begun: string[] = [];
    let release = () => {};
    const busy = {
      look: {
        effect: "read",
        handle: () => {
          begun.push("s2");
          return new Promise<string>((resolve) => {
            release = () => resolve("s2");
          });
        },
      },
    } as const;
    const quick = { look: { effect: "read", handle: () => "s1" } } as const;
    await stage.fleet.until(stage.fleet.client("s1").serve("metadata", "MDS.1.1", { port: 0, types: quick }));
    await stage.fleet.until(stage.fleet.client("s2").serve("metadata", "MDS.2.1", { port: 0, types: busy, concurrency: 1 }));
    await stage.fleet.runFor(20);
    const held = gather(stage, "MDS.2.1", "look");
    await stage.fleet.runFor(20);
    const first = await gathered(stage, "MDS", "look", { until: "first" });
    assert.deepEqual(answersOf(first), ["MDS.1.1=s1"]);
    await stage.fleet.runFor(20);
    release();
    assert.equal((await stage.fleet.until(held)).gathered?.complete, true);
    await stage.fleet.runFor(100);
    assert.deepEqual(begun, ["s2"], "only what was held has begun");
  });

  test("success beats a fast failure: who fails is missing, with the reason, and the others make up for it", async () => {
    const stage = await servers(-1, 20, 30);
    const first = await gathered(stage, "MDS", "look", { until: "first" });
    assert.deepEqual([answersOf(first), first.complete], [["MDS.2.1=s2"], true]);
    const two = await gathered(stage, "MDS", "look", { until: "quorum" });
    assert.deepEqual([answersOf(two), missingOf(two), two.complete], [["MDS.2.1=s2", "MDS.3.1=s3"], ["MDS.1.1 files/broken"], true]);
    const all = await gathered(stage, "MDS", "look");
    assert.deepEqual([answersOf(all).length, missingOf(all), all.complete], [2, ["MDS.1.1 files/broken"], false]);
  });

  test("it ends as soon as there cannot be enough answers any more", async () => {
    const stage = await servers(-5, -10, 2000);
    const two = await gathered(stage, "MDS", "look", { until: 2 });
    assert.equal(two.complete, false);
    assert.ok(two.tookMs < 30, `${two.tookMs} ms`);
    assert.deepEqual(missingOf(two), ["MDS.1.1 files/broken", "MDS.2.1 files/broken", "MDS.3.1 requests/not-awaited"]);
    assert.equal((await gathered(stage, "MDS", "look", { until: 7 })).complete, false);
  });

  test("at the deadline it resolves with what has come, and names who has not answered", async () => {
    const stage = await servers(10, 5000);
    const all = await gathered(stage, "MDS", "look", { deadlineMs: 300 });
    assert.deepEqual([answersOf(all), missingOf(all), all.complete], [["MDS.1.1=s1"], ["MDS.2.1 requests/deadline-exceeded"], false]);
    assert.ok(all.tookMs >= 300 && all.tookMs < 330, `${all.tookMs} ms`);
  });

  test("a member that leaves the roll meanwhile is missing at once; one that leaves the subset, too", async () => {
    const stage = await threeServers({ workMs: 400 });
    const going = gather(stage, "MDS", "look", { deadlineMs: 5000 });
    await stage.fleet.runFor(50);
    stage.member("s1").crash();
    await stage.fleet.runFor(20);
    await stage.fleet.until(
      stage.fleet.client("directory").add("request-types", "MDS/look", { effect: "read", subset: ["MDS.1.1", "MDS.3.1"] }),
    );
    const { gathered: all, tookMs } = await stage.fleet.until(going);
    assert.ok(all !== undefined);
    assert.deepEqual(answersOf(all), ["MDS.3.1=s3"]);
    assert.deepEqual(missingOf(all), ["MDS.1.1 requests/server-gone", "MDS.2.1 requests/no-member"]);
    assert.ok(tookMs >= 400 && tookMs < 450, `${tookMs} ms`);
    assert.match(stage.starts.find(({ server }) => server === "s2")?.aborted ?? "", /subset/);
  });

  test("a member is asked again over another route, or after its connection broke, while it is on the roll", async () => {
    const stage = await threeServers({ workMs: 200 });
    const going = gather(stage, "MDS", "look");
    await stage.fleet.runFor(50);
    stage.fleet.network.reset("HOST4", "HOST2");
    const { gathered: all } = await stage.fleet.until(going);
    assert.equal(all?.complete, true);
    assert.deepEqual(stage.starts.map(({ server }) => server).toSorted(), ["s1", "s2", "s2", "s3"]);
  });

  test("draining servers are left out; where the subset names them they are missing", async () => {
    const stage = await threeServers();
    await stage.state("metadata/MDS.2.1", "draining");
    await stage.fleet.runFor(20);
    const all = await gathered(stage, "MDS", "look");
    assert.deepEqual([answersOf(all), all.size, all.complete], [["MDS.1.1=s1", "MDS.3.1=s3"], 2, true]);
    await stage.fleet.until(
      stage.fleet.client("directory").add("request-types", "MDS/look", { effect: "read", subset: ["MDS.2.1", "MDS.3.1"] }),
    );
    await stage.fleet.runFor(20);
    assert.deepEqual(missingOf(await gathered(stage, "MDS", "look")), ["MDS.2.1 requests/server-gone"]);
  });

  test("without a member it waits for one, and says at its deadline whose answers it wanted", async () => {
    const stage = await threeServers();
    const none = await stage.fleet.until(gather(stage, "NOBODY", "look", { deadlineMs: 200, effect: "read" }));
    assert.deepEqual([none.code, none.error?.effect], ["requests/no-server", "none"]);
    await stage.fleet.until(stage.fleet.client("directory").add("request-types", "MDS/look", { effect: "read", subset: ["HOST9"] }));
    await stage.fleet.runFor(20);
    const late = await stage.fleet.until(gather(stage, "MDS", "look", { deadlineMs: 200 }));
    assert.match(late.error?.message ?? "", /subset that answers look \(HOST9\)/);
    const waiting = gather(stage, "MDS", "look");
    await stage.fleet.runFor(300);
    await stage.fleet.until(
      stage.fleet.client("directory").add("request-types", "MDS/look", { effect: "read", subset: ["HOST9", "HOST2"] }),
    );
    assert.deepEqual(answersOf((await stage.fleet.until(waiting)).gathered ?? assert.fail()), ["MDS.2.1=s2"]);
  });

  test("[MRT-3] a write is not gathered, whoever finds out that it is one: nobody begins it", async () => {
    const stage = await threeServers();
    assert.deepEqual((await stage.fleet.until(gather(stage, "MDS", "act"))).code, "requests/not-a-read");
    assert.deepEqual((await stage.fleet.until(gather(stage, "MDS", "undeclared"))).code, "requests/not-a-read");
    assert.deepEqual((await stage.fleet.until(gather(stage, "MDS", "look", { effect: "write" }))).code, "requests/not-a-read");
    assert.equal((await gathered(stage, "MDS", "look")).complete, true);
    const before = stage.starts.length;
    stage.fleet.network.stall("HOST4", "directory");
    await stage.fleet.until(stage.fleet.client("directory").add("request-types", "MDS/look", { effect: "write" }));
    await stage.fleet.runFor(50);
    const all = await gathered(stage, "MDS", "look");
    assert.deepEqual(new Set(all.missing.map(({ error }) => error.code)), new Set(["requests/not-a-read"]));
    assert.deepEqual([all.complete, all.answers.length, stage.starts.length], [false, 0, before]);
  });

  test("ends once: by the caller's signal, or when the handle closes; handlers are told", async () => {
    const stage = await threeServers({ workMs: 500 });
    const controller = new AbortController();
    const aborted = gather(stage, "MDS", "look", { signal: controller.signal });
    const closed = gather(stage, "MDS", "look");
    await stage.fleet.runFor(50);
    controller.abort(new Error("no longer"));
    assert.deepEqual((await stage.fleet.until(aborted)).code, "requests/aborted");
    await stage.fleet.until(stage.fleet.client("caller").close());
    assert.deepEqual((await stage.fleet.until(closed)).code, "requests/closed");
    await stage.fleet.runFor(600);
    assert.equal(stage.starts.length, 6);
    assert.ok(stage.starts.every(({ aborted: why }) => why !== undefined));
  });

  test("what says nothing is refused", async () => {
    const stage = await threeServers();
    for (const until of [0, 1.5, -1, Number.NaN])
      assert.equal((await stage.fleet.until(gather(stage, "MDS", "look", { until }))).code, "requests/bad-until");
    assert.equal((await stage.fleet.until(gather(stage, "MDS", "look", { deadlineMs: 0 }))).code, "requests/bad-deadline");
  });
});

describe("whatever happens", () => {
  for (let seed = 1; seed <= 20; seed++)
    test(`[MRT-4] [MRT-6] a gather ends once and in time, counts each member once, and nothing of it begins afterwards (seed ${seed})`, async () => {
      const random = new SeededRandom(seed);
      const stage = await threeServers({ workMs: 40 }, { seed });
      const { fleet } = stage;
      const subsets = [undefined, undefined, undefined, ["MDS.1.1", "MDS.2.1"], ["HOST3"], ["MDS.2", "MDS.7.1"], ["HOST9"]] as const;
      const untils = ["all", "quorum", "first", 2] as const;
      const endMs = new Map<number, number>();
      const gathers: Promise<void>[] = [];
      let answered = 0;
      let isDown = false;
      const begin = (number: number) => {
        const until = untils[randomBelow(random, untils.length)] ?? "all";
        const deadlineMs = 100 + randomBelow(random, 400);
        const startMs = stage.nowMs;
        const note = () => {
          assert.ok(!endMs.has(number), "once");
          endMs.set(number, stage.nowMs);
          assert.ok(stage.nowMs - startMs <= deadlineMs + 50, `${stage.nowMs - startMs} ms of ${deadlineMs}`);
        };
        const asked = fleet.client("caller").gather("MDS", "look", number, { until, deadlineMs });
        gathers.push(
          asked.then(
            ({ answers, missing, complete, size }) => {
              note();
              const members = [...answers, ...missing].map(({ server }) => server);
              assert.deepEqual([members.length, new Set(members).size], [size, size], "each member once");
              assert.equal(complete, answers.length >= wantedOf(until, size));
              answered += answers.length;
            },
            (error: MusterError) => {
              note();
              assert.equal(error.code, "requests/no-server");
            },
          ),
        );
      };
      for (let step = 0; step < 40; step++) {
        begin(step);
        const fate = randomBelow(random, 8);
        if (fate === 0) {
          const subset = subsets[randomBelow(random, subsets.length)];
          void fleet.client("directory").add("request-types", "MDS/look", { effect: "read", ...(subset === undefined ? {} : { subset }) });
        } else if (fate === 1 && !isDown) {
          isDown = true;
          stage.member(`s${1 + randomBelow(random, 3)}`).crash();
        } else if (fate === 2) fleet.network.reset("HOST4", `HOST${1 + randomBelow(random, 3)}`);
        await fleet.runFor(randomBelow(random, 60));
      }
      await fleet.until(Promise.all(gathers));
      await fleet.runFor(200);
      assert.ok(answered >= 10, `${answered} answers`);
      for (const { number, atMs } of stage.starts) {
        const lateMs = atMs - (endMs.get(number) ?? 0);
        // What was on its way when its gather ended is followed by the cancel.
        assert.ok(lateMs <= 5, `${number} began ${lateMs} ms after its end`);
      }
    });
});

describe("copies: all", () => {
  test("[MRT-4] a declaration lets request ask every member of the subset and take the first answer", async () => {
    const stage = await servers(60, 5, 60, 1);
    await stage.fleet.until(
      stage.fleet
        .client("directory")
        .add("request-types", "MDS/look", { effect: "read", copies: "all", subset: ["MDS.1.1", "MDS.2.1", "MDS.3.1"] }),
    );
    await stage.fleet.runFor(20);
    for (let count = 0; count < 5; count++) {
      const before = stage.starts.length;
      const { server, tookMs } = await stage.asked("caller", "MDS", "look");
      assert.equal(server, "s2");
      assert.ok(tookMs < 20, `${tookMs} ms`);
      assert.deepEqual(
        stage.starts
          .slice(before)
          .map((start) => start.server)
          .toSorted(),
        ["s1", "s2", "s3"],
      );
    }
  });
});
