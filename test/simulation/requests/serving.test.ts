import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError } from "../../../src/kernel/index.ts";
import type { RequestBody, RequestContext } from "../../../src/requests/index.ts";
import { RequestStage, threeServers } from "./stage.ts";

async function oneServer(
  handle: (body: RequestBody, context: RequestContext) => RequestBody | Promise<RequestBody>,
  effect: "read" | "write" = "read",
) {
  const stage = new RequestStage();
  stage.addHost("HOST1");
  stage.addHost("HOST2");
  stage.fleet.addClient("server", { agent: "HOST1" });
  stage.fleet.addClient("caller", { agent: "HOST2" });
  await stage.fleet.start();
  const server = await stage.fleet.until(
    stage.fleet.client("server").serve("metadata", "MDS.1", { port: 0, types: { ask: { effect, handle } } }),
  );
  await stage.fleet.runFor(20);
  return { stage, server, caller: stage.fleet.client("caller") };
}

function rejects(promise: Promise<unknown>, code: string, effect: string): Promise<void> {
  return assert.rejects(promise, (error) => {
    assert.ok(error instanceof MusterError);
    assert.deepEqual({ code: error.code, effect: error.effect }, { code, effect });
    return true;
  });
}

describe("deadlines", () => {
  test("a slow server: the caller has its error at the deadline, the handler sees the time that is left and is told to stop", async () => {
    const stage = await threeServers({ workMs: 1000 });
    const read = await stage.asked("caller", "MDS", "look", { deadlineMs: 200 });
    assert.equal(read.error?.code, "requests/deadline-exceeded");
    assert.equal(read.error?.effect, "maybe");
    assert.ok(read.tookMs >= 200 && read.tookMs < 220, `${read.tookMs} ms`);
    const write = await stage.asked("caller", "MDS", "act", { deadlineMs: 200 });
    assert.equal(write.error?.code, "requests/unknown");
    await stage.fleet.runFor(20);
    for (const { leftMs, aborted } of stage.starts) {
      assert.ok(leftMs > 190 && leftMs <= 200, `${leftMs} ms`);
      assert.ok(aborted !== undefined);
    }
  });

  test("a deadline that is no time is refused", async () => {
    const { stage, caller } = await oneServer(() => null);
    for (const deadlineMs of [0, -5, Number.NaN, Number.POSITIVE_INFINITY, 4_000_000])
      await rejects(stage.fleet.until(caller.request("MDS.1", "ask", null, { deadlineMs })), "requests/bad-deadline", "none");
  });
});

describe("handlers", () => {
  test("what a handler throws is told once and never asked again: its own code, or nothing of an unknown error's text", async () => {
    let calls = 0;
    const { stage, caller } = await oneServer((body) => {
      calls++;
      if (body === "own") throw new MusterError("files/exists", "the file exists", { next: "choose another name" });
      if (body === "done") throw new MusterError("files/half", "half of it is done", { effect: "done" });
      throw new Error("secret");
    });
    await rejects(stage.fleet.until(caller.request("MDS.1", "ask", "own")), "files/exists", "maybe");
    await rejects(stage.fleet.until(caller.request("MDS.1", "ask", "done")), "files/half", "done");
    await assert.rejects(stage.fleet.until(caller.request("MDS.1", "ask", "other")), (error) => {
      assert.ok(error instanceof MusterError);
      assert.equal(error.code, "requests/handler-failed");
      assert.doesNotMatch(JSON.stringify(error), /secret/);
      return true;
    });
    assert.equal(calls, 3);
  });

  test("an answer that is not JSON, or too large, is an error after the fact", async () => {
    const { stage, caller } = await oneServer((body) => (body === "large" ? new Uint8Array(5 * 1024 * 1024) : null));
    await rejects(stage.fleet.until(caller.request("MDS.1", "ask", "large")), "requests/body-too-large", "done");
    assert.equal(await stage.fleet.until(caller.request("MDS.1", "ask", "small")), null);
  });

  test("a type that the server does not answer waits for one that does, and says so at its deadline", async () => {
    const { stage, caller } = await oneServer(() => null);
    await assert.rejects(stage.fleet.until(caller.request("MDS.1", "other", null, { deadlineMs: 500 })), (error) => {
      assert.ok(error instanceof MusterError);
      assert.deepEqual([error.code, error.effect], ["requests/deadline-exceeded", "none"]);
      assert.match(error.message, /does not answer requests of type other/);
      return true;
    });
  });

  test("the caller's signal ends the request at once and reaches the handler with a reason", async () => {
    let reason: unknown;
    const { stage, caller } = await oneServer(
      (_body, { signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            reason = signal.reason;
            reject(new Error("stopped"));
          });
        }),
    );
    const controller = new AbortController();
    const asked = caller.request("MDS.1", "ask", null, { signal: controller.signal });
    await stage.fleet.runFor(20);
    controller.abort(new Error("no longer"));
    await rejects(stage.fleet.until(asked), "requests/aborted", "maybe");
    await stage.fleet.runFor(20);
    assert.ok(reason instanceof MusterError);
    assert.equal(reason.code, "requests/cancelled");
    assert.match(reason.message, /gave up/);
    await rejects(stage.fleet.until(caller.request("MDS.1", "ask", null, { signal: controller.signal })), "requests/aborted", "none");
  });

  test("a caller that dies takes its requests with it: the handlers are told", async () => {
    const stage = await threeServers({ workMs: 500 });
    for (let count = 0; count < 6; count++) void stage.ask("caller", "MDS", "look");
    await stage.fleet.runFor(50);
    stage.member("caller").crash();
    await stage.fleet.runFor(50);
    assert.equal(stage.starts.filter(({ aborted }) => aborted !== undefined).length, 6);
  });
});

describe("declarations", () => {
  test("serving declares its types for everybody; a later server's word is taken, and nothing is written when nothing is new", async () => {
    const stage = await threeServers();
    const { fleet } = stage;
    const caller = fleet.client("caller");
    assert.deepEqual(
      caller.search("request-types", "MDS/").map(({ key, value }) => [key, value]),
      [
        ["MDS/act", { effect: "write" }],
        ["MDS/again", { effect: "repeatable" }],
        ["MDS/look", { effect: "read" }],
      ],
    );
    const revision = caller.get("request-types", "MDS/look")?.revision;
    await stage.serve("s1", "MDS.4.1");
    await fleet.runFor(20);
    assert.deepEqual(caller.get("request-types", "MDS/look")?.revision, revision);
    await stage.serve("s1", "MDS.5.1", { effects: { look: "write" } });
    await fleet.runFor(20);
    assert.deepEqual(caller.get("request-types", "MDS/look")?.value, { effect: "write" });
  });

  test("a caller that still takes a type for a read learns from the server that it has become a write, before anything is begun", async () => {
    const stage = await threeServers({ workMs: 100 });
    const { fleet } = stage;
    for (let count = 0; count < 3; count++) await stage.asked("caller", "MDS", "look");
    const before = stage.starts.length;
    // The caller hears of nothing for a while.
    fleet.network.stall("HOST4", "directory");
    await fleet.until(fleet.client("directory").add("request-types", "MDS/look", { effect: "write" }));
    await fleet.runFor(50);
    assert.deepEqual(fleet.client("caller").get("request-types", "MDS/look")?.value, { effect: "read" });
    const asked = stage.ask("caller", "MDS.1", "look");
    await fleet.runFor(50);
    assert.deepEqual(
      stage.starts.slice(before).map(({ attempt }) => attempt),
      [2],
    );
    stage.member("s1").crash();
    assert.equal((await fleet.until(asked)).error?.code, "requests/unknown");
    assert.equal(stage.starts.length, before + 1);
  });
});

describe("limits", () => {
  test("a server that is full says so before it begins: others are asked within the budget, then callers hear of it", async () => {
    const stage = new RequestStage();
    for (const host of ["HOST1", "HOST2"]) stage.addHost(host);
    stage.fleet.addClient("s1", { agent: "HOST1" });
    stage.fleet.addClient("caller", { agent: "HOST2" });
    await stage.fleet.start();
    await stage.serve("s1", "MDS.1", { workMs: 1000 });
    await stage.fleet.runFor(20);
    const asked = Array.from({ length: 16_384 + 500 }, () => stage.ask("caller", "MDS.1", "look", { deadlineMs: 5000 }));
    const endings = await stage.fleet.until(Promise.all(asked));
    const failed = endings.filter(({ error }) => error !== undefined);
    assert.equal(failed.length, 500);
    assert.ok(failed.every(({ error }) => error?.code === "requests/overloaded" && error.effect === "none"));
    assert.ok(failed.every(({ tookMs }) => tookMs < 200));
  });

  test("more than 65,536 pending requests of one program are refused", async () => {
    const { stage, caller } = await oneServer(() => new Promise(() => {}));
    const asked: Promise<unknown>[] = [];
    for (let count = 0; count < 65_536; count++)
      asked.push(caller.request("NOBODY.1", "ask", null, { deadlineMs: 1000 }).catch(() => undefined));
    await rejects(stage.fleet.until(caller.request("MDS.1", "ask")), "requests/too-many", "none");
    await stage.fleet.until(Promise.all(asked));
    assert.equal(await stage.fleet.until(caller.request("MDS.1", "ask", null, { deadlineMs: 50 }).catch(() => "late")), "late");
  });

  /** Server after server dies under as many reads, which have lost more attempts than the budget of their type pays for. */
  async function spentBudget(deadlineMs: number, count = 300) {
    const stage = await threeServers({ workMs: 5000 });
    for (let count = 0; count < 3; count++) void stage.ask("caller", "MDS", "look", { deadlineMs: 20_000 });
    await stage.fleet.runFor(50);
    const asked = Array.from({ length: count }, () => stage.ask("caller", "MDS.1", "look", { deadlineMs }));
    for (const [index, name] of ["s1", "s2", "s3"].entries()) {
      await stage.serve(`s${((index + 1) % 3) + 1}`, `MDS.1.${index + 2}`, { workMs: 5000 }).catch(() => undefined);
      await stage.fleet.runFor(100);
      stage.member(name).crash();
      await stage.fleet.runFor(100);
    }
    return { stage, asked, attempts: () => stage.starts.filter(({ number }) => number > 3 && number <= 303).length };
  }

  test("when server after server dies, reads are sent again as long as the budget of their type lasts; at the deadline the callers are told", async () => {
    const { stage, asked, attempts } = await spentBudget(20_000);
    const endings = await stage.fleet.until(Promise.all(asked), 60_000);
    const spent = endings.filter(({ error }) => error?.code === "requests/budget-spent");
    assert.ok(spent.length > 0, "the budget was never spent");
    // One attempt each, one free re-send each, and what the budget pays: a hundred at once, a tenth of the first attempts.
    assert.ok(attempts() <= 300 * 2 + 100 + 300 * 0.1, `${attempts()} attempts`);
    const look = stage.fleet
      .client("caller")
      .metrics()
      .requests.types.find(({ type }) => type === "look");
    assert.equal(look?.budgetSpent, spent.length, "counted once, at the end");
    assert.ok((look?.budgetWaits ?? 0) >= spent.length, `${look?.budgetWaits} have waited`);
  });

  test("no more than ten times what the budget can save wait for it: the others are told at once", async () => {
    const { stage, asked } = await spentBudget(20_000, 1600);
    await stage.fleet.runFor(100);
    const early = stage.endings.filter(({ error }) => error?.code === "requests/budget-spent");
    const pending = stage.fleet.client("caller").metrics().requests.pending;
    assert.ok(early.length > 100 && pending <= 1003, `${early.length} were told, ${pending} wait`);
    assert.equal((await stage.fleet.until(Promise.all(asked), 60_000)).length, 1600);
  });

  test("a read whose budget is spent waits for what others earn, and is answered within its deadline", async () => {
    const { stage, asked, attempts } = await spentBudget(60_000);
    stage.fleet.addClient("s4", { agent: "HOST1" });
    await stage.fleet.start("s4");
    await stage.serve("s4", "MDS.1.9", { workMs: 5 });
    await stage.fleet.runFor(500);
    const before = attempts();
    for (let count = 0; count < 3000; count++) {
      void stage.ask("caller", "MDS.1", "look", { deadlineMs: 5000 });
      await stage.fleet.runFor(1);
    }
    const endings = await stage.fleet.until(Promise.all(asked), 60_000);
    assert.ok(attempts() > before, "nobody waited");
    assert.deepEqual(
      endings.flatMap(({ error }) => error?.code ?? []),
      [],
    );
  });
});

describe("a server that closes", () => {
  test("finishes what is under way, turns away what comes later, and nobody sees an error: reads and writes", async () => {
    const stage = await threeServers({ workMs: 100 });
    const server = await stage.serve("s1", "MDS.1.2", { workMs: 100 });
    await stage.fleet.runFor(20);
    const asking = (count: number) =>
      Array.from({ length: count }, (_, index) => stage.ask("caller", "MDS", index % 2 === 0 ? "look" : "act", { deadlineMs: 3000 }));
    const asked = asking(30);
    await stage.fleet.runFor(20);
    const closed = server.close();
    for (let step = 0; step < 20; step++) {
      asked.push(...asking(4));
      await stage.fleet.runFor(10);
    }
    await stage.fleet.until(closed);
    for (const { error } of await stage.fleet.until(Promise.all(asked))) assert.equal(error, undefined);
    for (const { number } of stage.endings) assert.equal(stage.startsOf(number).length, 1);
    assert.equal(stage.fleet.client("caller").get("metadata", "MDS.1.2"), undefined);
    assert.deepEqual(stage.fleet.client("caller").search("states", "metadata/"), []);
  });

  test("turns away what is on its way from callers that have not heard of it: not begun here, so begun elsewhere", async () => {
    const stage = await threeServers({ workMs: 100 });
    const { fleet } = stage;
    let drainedMs = Number.POSITIVE_INFINITY;
    const drain = () => {
      drainedMs = stage.nowMs;
    };
    const server = await stage.serve("s1", "MDS.4.1", { workMs: 100, drain });
    await fleet.runFor(20);
    for (let count = 0; count < 4; count++) await stage.asked("caller", "MDS", "act");
    fleet.network.stall("HOST4", "directory");
    for (const [from, to] of [
      ["HOST4", "HOST1"],
      ["HOST1", "HOST4"],
    ] as const)
      fleet.network.links.set(from, to, { latencyMs: 40 });
    const closed = server.close();
    const asked = [];
    for (let step = 0; step < 200; step++) {
      asked.push(stage.ask("caller", "MDS", "act", { deadlineMs: 3000 }));
      await fleet.runFor(5);
    }
    await fleet.until(closed);
    for (const { error, number } of await fleet.until(Promise.all(asked))) {
      assert.equal(error, undefined);
      assert.equal(stage.startsOf(number).length, 1);
    }
    assert.ok(
      stage.starts.some(({ attempt }) => attempt > 1),
      "nothing was turned away",
    );
    assert.deepEqual(
      stage.starts.filter(({ key, atMs }) => key === "MDS.4.1" && atMs > drainedMs),
      [],
    );
  });

  test("gives up what takes longer than it may: reads move on, writes are unknown, the handlers are told", async () => {
    const stage = new RequestStage();
    for (const host of ["HOST1", "HOST2"]) stage.addHost(host);
    for (const [name, agent] of [
      ["s1", "HOST1"],
      ["caller", "HOST2"],
    ] as const)
      stage.fleet.addClient(name, { agent });
    await stage.fleet.start();
    const never = () => new Promise<null>(() => {});
    const types = { look: { effect: "read", handle: never }, act: { effect: "write", handle: never } } as const;
    const server = await stage.fleet.until(stage.fleet.client("s1").serve("metadata", "MDS.1.1", { port: 0, types, drainMs: 300 }));
    await stage.fleet.runFor(20);
    const read = stage.ask("caller", "MDS.1", "look", { deadlineMs: 5000 });
    const write = stage.ask("caller", "MDS.1", "act", { deadlineMs: 5000 });
    await stage.fleet.runFor(20);
    const closed = server.close();
    assert.equal((await stage.fleet.until(write)).error?.code, "requests/unknown");
    await stage.fleet.until(closed);
    await stage.serve("s1", "MDS.1.2");
    assert.equal((await stage.fleet.until(read)).server, "s1");
  });

  test("the whole program closes: its handle drains what it serves, and its own requests end as closed", async () => {
    const stage = await threeServers({ workMs: 200 });
    const asked = Array.from({ length: 12 }, (_, index) => stage.ask("caller", "MDS", index < 6 ? "look" : "act", { deadlineMs: 3000 }));
    const own = stage.ask("s1", "NOBODY.1", "look", { deadlineMs: 5000 });
    await stage.fleet.runFor(20);
    await stage.fleet.until(stage.member("s1").close());
    for (const { error } of await stage.fleet.until(Promise.all(asked))) assert.equal(error, undefined);
    assert.equal((await own).error?.code, "requests/closed");
    for (const { number } of stage.endings.filter(({ error }) => error === undefined)) assert.equal(stage.startsOf(number).length, 1);
  });

  test("a server that the roll no longer names turns requests away, so that they reach the one that it does", async () => {
    const stage = await threeServers();
    const { fleet } = stage;
    for (let count = 0; count < 3; count++) await stage.asked("caller", "MDS", "look");
    fleet.network.stall("HOST4", "directory");
    await fleet.until(fleet.client("directory").delete("metadata", "MDS.1.1", { force: true }));
    await fleet.runFor(50);
    assert.notEqual(fleet.client("caller").get("metadata", "MDS.1.1"), undefined);
    for (let count = 0; count < 6; count++) {
      const { server, error } = await stage.asked("caller", "MDS", "act");
      assert.equal(error, undefined);
      assert.notEqual(server, "s1");
    }
  });
});

describe("borders", () => {
  test("who is no caller is refused by a server, and who is no server is never asked", async () => {
    const stage = await threeServers();
    const { fleet } = stage;
    // The roll names the agent's own port as a server.
    await fleet.until(fleet.client("directory").add("gateway", "GW.1", { host: "HOST2", port: 7550 }));
    await fleet.runFor(20);
    const { error } = await stage.asked("caller", "GW.1", "look", { deadlineMs: 400 });
    assert.equal(error?.code, "requests/no-server");
    assert.match(error.message, /who answers there does not serve requests|could not be reached/);
  });
});

describe("the routes of the server's host", () => {
  const types = { ask: { effect: "read", handle: () => "here" } } as const;

  test("a program that is quicker than the news of its host's routes waits for the first of them", async () => {
    const { stage, caller } = await oneServer(() => "there");
    const serving = stage.fleet.client("server").serve("metadata", "MDS.2", { host: "HOST3", port: 0, types });
    await stage.fleet.runFor(1000);
    await stage.fleet.until(stage.fleet.client("directory").add("host-route", "HOST3.0", "HOST1"));
    await stage.fleet.until(serving);
    await stage.fleet.runFor(20);
    assert.equal(await stage.fleet.until(caller.request("MDS.2", "ask")), "here");
  });

  test("without a route for 5 s it is told what is missing", async () => {
    const { stage } = await oneServer(() => "there");
    const serving = stage.fleet.client("server").serve("metadata", "MDS.2", { host: "HOST3", port: 0, types });
    await rejects(stage.fleet.until(serving), "fleet/no-route", "none");
  });
});
