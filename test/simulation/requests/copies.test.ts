import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError } from "../../../src/kernel/index.ts";
import { type Ending, type RequestStage, type Start, codes, threeServers } from "./stage.ts";

/** Until connections stand and the caller knows what is usual. What it did so far is forgotten. */
async function learn(stage: RequestStage, count = 60): Promise<void> {
  for (let done = 0; done < count; done++) assert.equal((await stage.asked("caller", "MDS", "look")).error, undefined);
  stage.starts.length = 0;
  stage.endings.length = 0;
}

async function pace(stage: RequestStage, count: number, everyMs: number, type = "look"): Promise<readonly Ending[]> {
  const asked: Promise<Ending>[] = [];
  for (let index = 0; index < count; index++) {
    asked.push(stage.ask("caller", "MDS", type, { deadlineMs: 3000 }));
    await stage.fleet.runFor(everyMs);
  }
  return stage.fleet.until(Promise.all(asked));
}

const slowest = (endings: readonly Ending[]) => Math.max(...endings.map(({ tookMs }) => tookMs));
const startsAt = ({ starts }: RequestStage, server: string) => starts.filter((start) => start.server === server).length;
const again = ({ starts }: RequestStage): readonly Start[] => starts.filter(({ attempt }) => attempt > 1);

describe("[DSD-21] a read is sent to a second server when the first does not begin", () => {
  test("a hung server: its reads are answered by another one within milliseconds, before anybody knows that it hangs", async () => {
    const stage = await threeServers({ workMs: 2 });
    await learn(stage);
    stage.member("s1").stall();
    const endings = await pace(stage, 30, 5);
    assert.deepEqual(codes(endings), [undefined]);
    assert.ok(slowest(endings) < 8, `${slowest(endings)} ms`);
  });

  test("one of a pair waits in a queue when the other begins: it goes away, and each read runs once", async () => {
    const stage = await threeServers({ workMs: 20, concurrency: 1 });
    await learn(stage, 9);
    // Others keep one server busy, of which the caller knows nothing.
    const busy: Promise<Ending>[] = [];
    const read: Promise<Ending>[] = [];
    for (let count = 0; count < 30; count++) {
      busy.push(stage.ask("s3", "MDS.1.1", "act"));
      await stage.fleet.runFor(5);
      read.push(stage.ask("caller", "MDS", "look"));
      await stage.fleet.runFor(25);
    }
    const endings = await stage.fleet.until(Promise.all(read));
    assert.deepEqual(codes([...endings, ...(await stage.fleet.until(Promise.all(busy)))]), [undefined]);
    await stage.fleet.runFor(500);
    assert.ok(again(stage).length > 3, `${again(stage).length} twins have begun`);
    for (const { number } of endings) assert.equal(stage.startsOf(number).length, 1, `read ${number}`);
    assert.ok(slowest(endings) < 25, `${slowest(endings)} ms`);
  });

  /** A read whose first copy waits at s1, which somebody keeps busy for `busyMs`, with s1 the one that is asked first. */
  async function tiedAtFirst(
    busyMs: number,
    prepare: (stage: RequestStage) => void,
    workMs = 30,
  ): Promise<{ stage: RequestStage; read: Ending }> {
    for (let seed = 1; seed < 20; seed++) {
      const stage = await threeServers({ workMs: (_, number) => (number === 10 ? busyMs : workMs), concurrency: 1 }, { seed });
      await learn(stage, 9);
      void stage.ask("s3", "MDS.1.1", "act", { deadlineMs: 9000 });
      await stage.fleet.runFor(5);
      prepare(stage);
      const asked = stage.ask("caller", "MDS", "look", { deadlineMs: 3000 });
      await stage.fleet.runFor(0.8);
      // Queued at the busy one: that is what this is about.
      if (stage.startsOf(11).length > 0) continue;
      return { stage, read: await stage.fleet.until(asked) };
    }
    return assert.fail("s1 was never asked first");
  }

  test("servers tell each other what begins, without the way over the caller", async () => {
    // What the caller says reaches s1 only after that has become free.
    const { stage, read } = await tiedAtFirst(12, ({ fleet }) => fleet.world.after(1, () => fleet.network.stall("HOST4", "HOST1")));
    assert.equal(read.error, undefined);
    await stage.fleet.runFor(50);
    stage.fleet.network.unstall();
    await stage.fleet.runFor(300);
    assert.deepEqual(
      stage.startsOf(11).map(({ attempt }) => attempt),
      [2],
    );
  });

  test("the one that has begun is heard no more: the one that was dropped for it is not waited for", async () => {
    const { stage, read } = await tiedAtFirst(60, (ready) => {
      for (const host of ["HOST2", "HOST3"]) ready.fleet.network.cut(host, "HOST4");
    });
    assert.equal(read.error, undefined);
    assert.ok(read.tookMs < 700, `${read.tookMs} ms`);
    assert.ok(stage.startsOf(11).length > 1);
  });

  test("a drop that comes before its copy: the copy never begins, and its caller is told", async () => {
    const { stage, read } = await tiedAtFirst(9, ({ fleet }) => {
      for (const host of ["HOST2", "HOST3"]) fleet.network.links.set("HOST4", host, { latencyMs: 20 });
    });
    assert.equal(read.server, "s1");
    await stage.fleet.runFor(300);
    assert.deepEqual(
      stage.startsOf(11).map(({ attempt }) => attempt),
      [1],
    );
  });

  test("far away is not late: over a path of 30 ms each read is sent once", async () => {
    const stage = await threeServers({ workMs: 100 });
    for (const host of ["HOST1", "HOST2", "HOST3"]) {
      stage.fleet.network.links.set("HOST4", host, { latencyMs: 15 });
      stage.fleet.network.links.set(host, "HOST4", { latencyMs: 15 });
    }
    await learn(stage, 6);
    assert.deepEqual(codes(await pace(stage, 20, 40)), [undefined]);
    assert.deepEqual(again(stage), []);
  });
});

describe("[DSD-21] a read that has begun and takes long gets another copy", () => {
  test("after two to three times what is usual; the first answer counts, and the one that lost is told", async () => {
    const stage = await threeServers({ workMs: (server, number) => (number === 61 && server === "s1" ? 500 : 10) });
    await learn(stage);
    // Only the one whose first server is s1 is slow.
    const ending = await stage.asked("caller", "MDS.1.1", "look");
    assert.equal(ending.tookMs > 400, true, "a server by its own key has no substitute");
    stage.starts.length = 0;
    const other = await threeServers({ workMs: (_, number) => (slowNumbers.has(number) ? 500 : 10) });
    await learn(other);
    slowNumbers.add(61);
    const slow = other.ask("caller", "MDS", "look");
    await other.fleet.runFor(40);
    slowNumbers.delete(61);
    assert.equal(other.starts.length, 2, "one hedge so far");
    const first = other.starts[0];
    const second = other.starts[1];
    assert.ok(first !== undefined && second !== undefined && first.server !== second.server);
    const afterMs = second.atMs - first.atMs;
    assert.ok(afterMs > 19 && afterMs < 35, `${afterMs} ms`);
    await other.fleet.runFor(30);
    assert.equal(other.starts.length, 3, "a second hedge");
    assert.ok((await other.fleet.until(slow)).tookMs < 80);
    await other.fleet.runFor(20);
    assert.match(`${first.aborted} ${second.aborted}`, /another copy was answered.*another copy was answered/);
    await other.fleet.runFor(1000);
    assert.equal(other.starts.length, 3);
  });

  test("punctually, however late timers are, where something is heard all the time", async () => {
    const stage = await threeServers({ workMs: (_, number) => (slowNumbers.has(number) ? 300 : 10) }, {}, { timerLatenessMs: 100 });
    await learn(stage);
    const asked: Promise<Ending>[] = [];
    const slow = Array.from({ length: 8 }, (_, index) => 80 + 40 * index);
    for (const number of slow) slowNumbers.add(number);
    for (let number = 61; number < 400; number++) {
      asked.push(stage.ask("caller", "MDS", "look", { deadlineMs: 3000 }));
      await stage.fleet.runFor(2);
      // Its copies are quick.
      if (slowNumbers.has(number) && stage.startsOf(number).length === 1) slowNumbers.delete(number);
    }
    assert.deepEqual(codes(await stage.fleet.until(Promise.all(asked))), [undefined]);
    const delays = slow.map((number) => {
      const [first, second] = stage.startsOf(number);
      return (second?.atMs ?? Number.NaN) - (first?.atMs ?? 0);
    });
    assert.ok(
      delays.every((delayMs) => delayMs > 19 && delayMs < 36),
      `${delays.map((delayMs) => delayMs.toFixed(1)).join(", ")} ms`,
    );
    for (const number of slow) slowNumbers.delete(number);
  });

  test("also when the one that has begun is the twin of one that was called off", async () => {
    const seen = new Set<number>();
    const slow = new Set<number>();
    const workMs = (_: string, number: number) => {
      const isFirst = !seen.has(number);
      seen.add(number);
      return isFirst && slow.has(number) ? 400 : 10;
    };
    const stage = await threeServers({ workMs, concurrency: 1 });
    await learn(stage);
    let helped = 0;
    for (let count = 0; count < 6; count++) {
      // Somebody else keeps the first server busy.
      const number = 61 + count * 2;
      slow.add(number).add(number + 1);
      const busy = stage.ask("s3", "MDS.1.1", "act");
      await stage.fleet.runFor(5);
      const ending = await stage.asked("caller", "MDS", "look");
      assert.ok(ending.tookMs < 100, `${ending.tookMs} ms`);
      const starts = stage.startsOf(ending.number);
      if (starts[0]?.attempt === 2) helped++;
      assert.ok(starts.length > 1);
      await stage.fleet.until(busy);
      await stage.fleet.runFor(500);
    }
    assert.ok(helped > 0, "never was it the twin that began");
  });

  test("writes and repeatable requests are never copied, nor reads that ask for none", async () => {
    const stage = await threeServers({ workMs: (_, number) => (number % 10 === 0 ? 300 : 5) });
    await learn(stage);
    for (const type of ["act", "again"]) assert.deepEqual(codes(await pace(stage, 30, 5, type)), [undefined]);
    const none = Array.from({ length: 30 }, () => stage.ask("caller", "MDS", "look", { copies: "none" }));
    assert.deepEqual(codes(await stage.fleet.until(Promise.all(none))), [undefined]);
    assert.deepEqual(again(stage), []);
    assert.equal(stage.starts.length, 90);
  });

  test("what copies add stays within the budget of their type, however slow everything becomes", async () => {
    let slow = false;
    const stage = await threeServers({ workMs: () => (slow ? 1000 : 5) });
    await learn(stage);
    slow = true;
    const endings = await pace(stage, 400, 2);
    assert.deepEqual(codes(endings), [undefined]);
    const extra = again(stage).length;
    assert.ok(extra > 90 && extra <= 100 + 0.1 * 460, `${extra} copies`);
  });
});

const slowNumbers = new Set<number>();

describe("[DSD-21] how copies end", () => {
  test("a copy that fails ends nothing as long as another one lives; when all have failed the first error is told", async () => {
    let fails: readonly string[] = [];
    let slow: readonly string[] = [];
    const stage = await threeServers({ workMs: (server) => (slow.includes(server) ? 200 : 10) });
    for (const name of ["s1", "s2", "s3"])
      await stage.serve(name, `FAIL.${name.slice(1)}.1`, {
        workMs: (server) => (slow.includes(server) ? 200 : 10),
        answer: () => {
          if (fails.includes(name)) throw new MusterError(`test/${name}`, `${name} fails`);
          return name;
        },
      });
    await stage.fleet.runFor(20);
    for (let done = 0; done < 60; done++) assert.equal((await stage.asked("caller", "FAIL", "look")).error, undefined);
    // The slow one answers in the end, the hedge fails fast.
    slow = ["s1"];
    fails = ["s2", "s3"];
    const endings: Ending[] = [];
    for (let count = 0; count < 12; count++) endings.push(await stage.asked("caller", "FAIL", "look"));
    const slowOnes = endings.filter(({ tookMs }) => tookMs > 100);
    assert.ok(slowOnes.length > 0 && slowOnes.every(({ server }) => server === "s1"));
    fails = ["s1", "s2", "s3"];
    slow = ["s1", "s2", "s3"];
    const { error, tookMs, number } = await stage.asked("caller", "FAIL", "look");
    assert.ok(tookMs > 200, "the second copy was waited for");
    const first = stage.startsOf(number)[0]?.server;
    assert.equal(error?.code, `test/${first}`);
    assert.equal(error?.effect, "maybe");
  });

  test("the server of the first copy dies: the other copy goes on, and nothing is sent for it", async () => {
    let slow = false;
    const stage = await threeServers({ workMs: () => (slow ? 200 : 10) });
    await learn(stage);
    slow = true;
    const asked = stage.ask("caller", "MDS", "look");
    await stage.fleet.runFor(30);
    assert.equal(stage.starts.length, 2);
    stage.member(stage.starts[0]?.server ?? "").crash();
    await stage.fleet.runFor(5);
    assert.equal(stage.starts.length, 2);
    const { server, tookMs } = await stage.fleet.until(asked);
    assert.equal(server, stage.starts[1]?.server);
    assert.ok(tookMs < 250, `${tookMs} ms`);
  });

  test("all: every server begins at once, the first answer counts, the others are told", async () => {
    const stage = await threeServers({ workMs: (server) => (server === "s2" ? 5 : 100) });
    await learn(stage, 6);
    const { server, tookMs } = await stage.asked("caller", "MDS", "look", { copies: "all" });
    assert.equal(server, "s2");
    assert.ok(tookMs < 10);
    assert.deepEqual(new Set(stage.starts.map((start) => start.server)), new Set(["s1", "s2", "s3"]));
    await stage.fleet.runFor(20);
    assert.equal(stage.starts.filter(({ aborted }) => aborted !== undefined).length, 2);
    // Where connections have to be made first, too.
    const cold = await threeServers({ workMs: 20 });
    assert.equal((await cold.asked("caller", "MDS", "look", { copies: "all" })).error, undefined);
    assert.equal(cold.starts.length, 3);
    await assert.rejects(
      cold.fleet.until(cold.fleet.client("caller").request("MDS", "look", 1, { copies: "some" as "all" })),
      (error) => error instanceof MusterError && error.code === "requests/bad-copies" && error.effect === "none",
    );
  });

  test("all, and one of the servers dies: the others answer", async () => {
    const stage = await threeServers({ workMs: 50 });
    await learn(stage, 6);
    const asked = Array.from({ length: 10 }, () => stage.ask("caller", "MDS", "look", { copies: "all" }));
    await stage.fleet.runFor(10);
    stage.member("s1").crash();
    const endings = await stage.fleet.until(Promise.all(asked));
    assert.deepEqual(codes(endings), [undefined]);
    assert.ok(slowest(endings) < 60);
    assert.equal(stage.starts.length, 30);
  });
});

describe("[DSD-21] reads go where less is to be waited for", () => {
  test("a server that takes ten times as long gets a small part of the reads", async () => {
    const stage = await threeServers({ workMs: (server) => (server === "s1" ? 50 : 5) });
    await learn(stage, 6);
    assert.deepEqual(codes(await pace(stage, 300, 3)), [undefined]);
    const share = startsAt(stage, "s1") / stage.starts.length;
    assert.ok(share < 0.1, `${share}`);
  });

  test("weights are kept: a server of weight 0 is not asked, and one of three times the weight gets more", async () => {
    const stage = await threeServers();
    const weights = [0, 3, 1];
    for (const [index, weight] of weights.entries())
      await stage.serve(`s${index + 1}`, `HEAVY.${index + 1}.1`, { workMs: 20, data: { weight } });
    await stage.fleet.runFor(20);
    const asked: Promise<Ending>[] = [];
    for (let count = 0; count < 200; count++) {
      asked.push(stage.ask("caller", "HEAVY", "look"));
      await stage.fleet.runFor(2);
    }
    assert.deepEqual(codes(await stage.fleet.until(Promise.all(asked))), [undefined]);
    assert.ok(startsAt(stage, "s1") < 3, `${startsAt(stage, "s1")}`);
    assert.ok(startsAt(stage, "s2") > 1.5 * startsAt(stage, "s3"), `${startsAt(stage, "s2")} and ${startsAt(stage, "s3")}`);
  });

  test("a server whose handlers fail one after the other is passed over for a moment, unless most do", async () => {
    const failing = new Set(["s1"]);
    const stage = await threeServers({ workMs: 1 });
    for (const name of ["s1", "s2", "s3"])
      await stage.serve(name, `FAIL.${name.slice(1)}.1`, {
        answer: () => {
          if (failing.has(name)) throw new Error("broken");
          return name;
        },
      });
    await stage.fleet.runFor(20);
    let slowestMs = 0;
    const errors = async () => {
      const endings: Ending[] = [];
      for (let count = 0; count < 60; count++) {
        const ending = await stage.asked("caller", "FAIL", "again");
        slowestMs = Math.max(slowestMs, ending.tookMs);
        endings.push(ending);
        await stage.fleet.runFor(1);
      }
      return endings.filter(({ error }) => error !== undefined).length;
    };
    const few = await errors();
    assert.ok(few >= 5 && few < 15, `${few} of 60 failed`);
    for (const name of ["s2", "s3"]) failing.add(name);
    assert.equal(await errors(), 60);
    assert.ok(slowestMs < 20, `${slowestMs} ms`);
    failing.clear();
    assert.equal(await errors(), 0);
  });
});
