import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JsonValue, MusterError } from "../../../src/kernel/index.ts";
import type { RequestBody, RequestOptions, ServedType } from "../../../src/requests/index.ts";
import { RequestStage, threeServers } from "./stage.ts";

/** What an operator, or a program other than a server, writes. */
async function declare(stage: RequestStage, key: string, value: JsonValue): Promise<void> {
  await stage.fleet.until(stage.fleet.client("directory").add("request-types", key, value));
  await stage.fleet.runFor(20);
}

function rowOf(stage: RequestStage, key: string): JsonValue | undefined {
  return stage.fleet.client("directory").get("request-types", key)?.value;
}

/** Which servers answer so many requests, with how many each. */
async function spread(stage: RequestStage, type: string, count: number, options: RequestOptions = {}): Promise<Record<string, number>> {
  const servers: Record<string, number> = {};
  for (let number = 0; number < count; number++) {
    const { server, error } = await stage.asked("caller", "MDS", type, options);
    assert.equal(error, undefined);
    servers[server ?? ""] = (servers[server ?? ""] ?? 0) + 1;
  }
  return servers;
}

/** Asks with a body of one's own; the promise never rejects. */
function ask(stage: RequestStage, key: string, type: string, body: RequestBody, options: RequestOptions = {}) {
  return stage.fleet
    .client("caller")
    .request(key, type, body, options)
    .then(
      (answer) => ({ answer, code: undefined }),
      (error: MusterError) => ({ answer: undefined, code: error.code }),
    );
}

describe("subsets", () => {
  test("[MRT-2] only servers of the subset are asked, and it is changed while requests run; a subset may be one server", async () => {
    const stage = await threeServers();
    assert.deepEqual(Object.keys(await spread(stage, "look", 30)).toSorted(), ["s1", "s2", "s3"]);
    await declare(stage, "MDS/look", { effect: "read", subset: ["MDS.1.1", "HOST3"] });
    const two = await spread(stage, "look", 60);
    assert.deepEqual(Object.keys(two).toSorted(), ["s1", "s3"]);
    assert.ok(
      Object.values(two).every((count) => count >= 15),
      JSON.stringify(two),
    );
    await declare(stage, "MDS/act", { effect: "write", subset: ["MDS.2"] });
    assert.deepEqual(await spread(stage, "act", 9), { s2: 9 });
    // Another type of the same servers is not concerned.
    assert.deepEqual(Object.keys(await spread(stage, "again", 30)).toSorted(), ["s1", "s2", "s3"]);
    await declare(stage, "MDS/look", { effect: "read" });
    assert.deepEqual(Object.keys(await spread(stage, "look", 30)).toSorted(), ["s1", "s2", "s3"]);
  });

  test("[MRT-2] a subset by attributes follows the servers' routes", async () => {
    const stage = new RequestStage();
    for (const number of [1, 2, 3]) {
      stage.addHost(`HOST${number}`);
      stage.fleet.addClient(`s${number}`, { agent: `HOST${number}` });
    }
    // None of them is on its host, where it would be asked first.
    stage.addHost("HOST4");
    stage.fleet.addClient("caller", { agent: "HOST4" });
    await stage.fleet.start();
    const entries = [];
    for (const number of [1, 2, 3]) {
      const types = { look: { effect: "read", subset: { where: { zone: "a" } }, handle: () => `s${number}` } } as const;
      const data = { zone: number === 3 ? "b" : "a" };
      entries.push(
        await stage.fleet.until(stage.fleet.client(`s${number}`).serve("metadata", `MDS.${number}.1`, { port: 0, types, data })),
      );
    }
    await stage.fleet.runFor(20);
    assert.deepEqual(Object.keys(await spread(stage, "look", 30)).toSorted(), ["s1", "s2"]);
    await stage.fleet.until(Promise.all([entries[0]?.update({ data: { zone: "b" } }), entries[2]?.update({ data: { zone: "a" } })]));
    await stage.fleet.runFor(20);
    assert.deepEqual(Object.keys(await spread(stage, "look", 30)).toSorted(), ["s2", "s3"]);
  });

  test("[MRT-2] a server outside of the subset ignores the request of a caller that knows the old one, which goes elsewhere at once", async () => {
    const stage = await threeServers();
    const { fleet } = stage;
    await spread(stage, "look", 6);
    // The caller hears of nothing for a while.
    fleet.network.stall("HOST4", "directory");
    await declare(stage, "MDS/look", { effect: "read", subset: ["MDS.2.1"] });
    await fleet.runFor(50);
    assert.deepEqual(fleet.client("caller").get("request-types", "MDS/look")?.value, { effect: "read" });
    const before = stage.starts.length;
    for (let count = 0; count < 9; count++) {
      const { server, tookMs } = await stage.asked("caller", "MDS", "look");
      assert.equal(server, "s2");
      assert.ok(tookMs < 20, `${tookMs} ms`);
    }
    assert.deepEqual(new Set(stage.starts.slice(before).map(({ server }) => server)), new Set(["s2"]));
  });

  test("[MRT-2] while the subset is empty requests wait for a member; at their deadline the error says why", async () => {
    const stage = await threeServers();
    await declare(stage, "MDS/look", { effect: "read", subset: ["HOST9"] });
    const late = stage.ask("caller", "MDS", "look", { deadlineMs: 300 });
    const waiting = stage.ask("caller", "MDS", "look", { deadlineMs: 5000 });
    const { error, tookMs } = await stage.fleet.until(late);
    assert.deepEqual([error?.code, error?.effect], ["requests/no-server", "none"]);
    assert.match(error?.message ?? "", /no server of MDS is in the subset that answers look \(HOST9\)/);
    assert.ok(tookMs >= 300 && tookMs < 320);
    // Others for the same key are not held up by it.
    assert.equal((await stage.asked("caller", "MDS", "again", { deadlineMs: 100 })).error, undefined);
    await declare(stage, "MDS/look", { effect: "read", subset: ["HOST9", "HOST1"] });
    const ending = await stage.fleet.until(waiting);
    assert.equal(ending.server, "s1");
    assert.ok(ending.tookMs < 700, `${ending.tookMs} ms`);
    assert.equal(stage.starts.filter(({ type }) => type === "look").length, 1);
  });

  test("a request that waits for its turn when its server leaves the subset is answered by another one", async () => {
    const stage = await threeServers();
    const { fleet } = stage;
    const release: (() => void)[] = [];
    const seen: string[] = [];
    for (const number of [1, 2]) {
      const handle = (): Promise<string> => {
        seen.push(`s${number}`);
        return new Promise((resolve) => release.push(() => resolve(`s${number}`)));
      };
      const types = { slow: { effect: "write", subset: ["BSS.1.1"], handle } } as const;
      await fleet.until(fleet.client(`s${number}`).serve("bitfile", `BSS.${number}.1`, { port: 0, types, concurrency: 1 }));
    }
    await fleet.runFor(20);
    const asked = [1, 2].map(() => ask(stage, "BSS", "slow", null));
    await fleet.runFor(20);
    assert.deepEqual(seen, ["s1"]);
    await declare(stage, "BSS/slow", { effect: "write", subset: ["BSS.2.1"] });
    release[0]?.();
    await fleet.runFor(20);
    assert.deepEqual(seen, ["s1", "s2"]);
    release[1]?.();
    assert.deepEqual(await fleet.until(Promise.all(asked)), [
      { answer: "s1", code: undefined },
      { answer: "s2", code: undefined },
    ]);
  });
});

test("[MRT-2] a program that holds one table only knows what types do, and who answers them", async () => {
  const stage = await threeServers();
  stage.fleet.addClient("narrow", { agent: "HOST4", want: [{ table: "metadata", prefix: "" }] });
  await stage.fleet.start();
  await declare(stage, "MDS/look", { effect: "read", subset: ["HOST2"] });
  const narrow = stage.fleet.client("narrow");
  assert.equal(narrow.get("request-types", "MDS/look")?.valid, true);
  const before = stage.starts.length;
  for (let count = 0; count < 6; count++) assert.equal(await stage.fleet.until(narrow.request("MDS", "look", count)), "s2");
  assert.equal(stage.starts.length, before + 6);
});

describe("rules", () => {
  const rule = { when: { path: "op", in: ["put", "delete"] }, effect: "write", else: "read" } as const;

  async function ruled() {
    const stage = new RequestStage();
    for (const number of [1, 2]) {
      stage.addHost(`HOST${number}`);
      stage.fleet.addClient(`s${number}`, { agent: `HOST${number}` });
    }
    stage.addHost("HOST3");
    stage.fleet.addClient("caller", { agent: "HOST3" });
    await stage.fleet.start();
    const begun: { readonly server: string; readonly body: RequestBody }[] = [];
    for (const number of [1, 2]) {
      const server = `s${number}`;
      const handle: ServedType["handle"] = async (body) => {
        begun.push({ server, body });
        await new Promise<void>((resolve) => void stage.member(server).life.clock.schedule(100, resolve));
        return server;
      };
      await stage.fleet.until(
        stage.fleet.client(server).serve("metadata", `MDS.${number}.1`, { port: 0, types: { file: { effect: rule, handle } } }),
      );
    }
    await stage.fleet.runFor(20);
    return { stage, begun };
  }

  test("[MRT-3] a rule over the body decides for each request whether it is a read that moves or a write that does not", async () => {
    const { stage, begun } = await ruled();
    const bodies: readonly RequestBody[] = [
      { op: "get" },
      { op: "put" },
      { op: "get" },
      { op: "delete" },
      {},
      new Uint8Array([123, 125]),
      "get",
    ];
    const asked = bodies.map((body) => ask(stage, "MDS.1", "file", body, { deadlineMs: 3000, copies: "none" }));
    await stage.fleet.runFor(50);
    assert.equal(begun.length, bodies.length);
    stage.member("s1").crash();
    await stage.fleet.until(stage.fleet.client("directory").add("metadata", "MDS.1", { members: ["MDS.2.1"] }));
    const endings = await stage.fleet.until(Promise.all(asked));
    assert.deepEqual(
      endings.map(({ answer, code }) => answer ?? code),
      // Bytes, and what is no object, cannot be judged.
      ["s2", "requests/unknown", "s2", "requests/unknown", "s2", "requests/unknown", "requests/unknown"],
    );
  });

  test("[MRT-3] a copy sent as a read is refused by a server whose newest rule calls that request a write, before it begins", async () => {
    const { stage, begun } = await ruled();
    const { fleet } = stage;
    assert.equal((await fleet.until(ask(stage, "MDS.1", "file", { op: "move" }))).answer, "s1");
    fleet.network.stall("HOST3", "directory");
    await declare(stage, "MDS/file", { effect: { when: { path: "op", in: ["put", "delete", "move"] }, effect: "write", else: "read" } });
    await fleet.runFor(50);
    const before = begun.length;
    const moving = ask(stage, "MDS.1", "file", { op: "move" });
    const reading = ask(stage, "MDS.1", "file", { op: "get" });
    await fleet.runFor(50);
    assert.equal(begun.length, before + 2);
    stage.member("s1").crash();
    // It was sent again as a write: so nobody repeats it.
    assert.equal((await fleet.until(moving)).code, "requests/unknown");
    fleet.network.unstall("HOST3", "directory");
    await fleet.until(reading);
    assert.equal(begun.filter(({ body }) => JSON.stringify(body) === '{"op":"move"}').length, 2);
  });

  test("a rule that cannot be read makes the type a write", async () => {
    const { stage } = await ruled();
    await declare(stage, "MDS/file", { effect: { when: { path: "op", like: "put" }, effect: "write", else: "read" } });
    const asked = ask(stage, "MDS.1", "file", { op: "get" });
    await stage.fleet.runFor(50);
    stage.member("s1").crash();
    assert.equal((await stage.fleet.until(asked)).code, "requests/unknown");
  });
});

describe("who declares", () => {
  test("[MRT-3] what an operator has set stays when servers start; their word is kept behind it", async () => {
    const stage = await threeServers();
    await declare(stage, "MDS/look", { effect: "write", by: "operator", served: { effect: "read" } });
    await stage.serve("s1", "MDS.4.1", { effects: { look: "repeatable" } });
    assert.deepEqual(rowOf(stage, "MDS/look"), { effect: "write", by: "operator", served: { effect: "repeatable" } });
    const asked = stage.ask("caller", "MDS", "look");
    await stage.fleet.until(asked);
    assert.deepEqual(rowOf(stage, "MDS/look"), { effect: "write", by: "operator", served: { effect: "repeatable" } });
  });

  test("servers that start together declare a type once, and none of them fails", async () => {
    const stage = new RequestStage();
    const names = Array.from({ length: 6 }, (_, index) => `s${index + 1}`);
    for (const [index, name] of names.entries()) {
      stage.addHost(`HOST${index + 1}`);
      stage.fleet.addClient(name, { agent: `HOST${index + 1}` });
    }
    await stage.fleet.start();
    const types = {
      look: { effect: "read", subset: ["HOST1"], copies: "none", budget: 0.2, orderingKey: "path.0", handle: () => null },
    } as const;
    await stage.fleet.until(
      Promise.all(names.map((name, index) => stage.fleet.client(name).serve("metadata", `MDS.${index + 1}.1`, { port: 0, types }))),
    );
    assert.deepEqual(rowOf(stage, "MDS/look"), { effect: "read", subset: ["HOST1"], copies: "none", budget: 0.2, orderingKey: "path.0" });
  });

  test("what cannot be declared is refused where it is said", async () => {
    const stage = await threeServers();
    const handle = () => null;
    const serve = async (said: object) => {
      // What an untyped program may pass.
      const types = JSON.parse(JSON.stringify({ look: said }));
      types.look.handle = handle;
      const outcome = await stage.fleet.until(
        stage.fleet
          .client("s1")
          .serve("metadata", "MDS.9.1", { port: 0, types })
          .then(
            () => "served",
            (error: MusterError) => error.code,
          ),
      );
      return outcome;
    };
    assert.equal(await serve({ effect: "often" }), "requests/bad-effect");
    assert.equal(await serve({ effect: "read", copies: "some" }), "requests/bad-copies");
    for (const said of [
      { effect: "read", subset: [] },
      { effect: "read", subset: "HOST1" },
      { effect: "read", subset: { where: {} } },
      { effect: "read", budget: 2 },
      { effect: "read", orderingKey: "a..b" },
      { effect: "read", hedge: true },
      { effect: { when: { path: "op" }, effect: "write", else: "read" } },
      { effect: { when: { path: "op", in: ["put"] }, effect: "write" } },
    ])
      assert.match(await serve(said), /^requests\/bad-(declaration|effect)$/, JSON.stringify(said));
  });
});
