import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError, SeededRandom } from "../../../src/kernel/index.ts";
import type { RequestOptions } from "../../../src/requests/index.ts";
import { type Ending, RequestStage, type ServerOptions } from "./stage.ts";

interface Place {
  readonly host: string;
  readonly zone?: string;
  /** None: no server there. */
  readonly server?: ServerOptions;
}

const workMs = 10;
/** What one server can do. */
const concurrency = 2;
const perSecond = (concurrency * 1000) / workMs;
/** A twentieth takes five times as long, by the number of the request, so that a run is repeated by its seed. */
const uneven = (_: string, number: number) => (number % 20 === 7 ? workMs * 4 : workMs * 0.8);
const usual: ServerOptions = { workMs: uneven, concurrency };

/** A server `MDS.<number>.1` on each host that has one, and callers on `callerHost`. */
async function stageOf(places: readonly Place[], callers = 1, callerHost = "HOST1"): Promise<RequestStage> {
  const stage = new RequestStage();
  for (const { host, zone } of places) stage.fleet.addAgent(host, zone === undefined ? {} : { attributes: { zone } });
  for (const { host, server } of places) if (server !== undefined) stage.fleet.addClient(`s@${host}`, { agent: host });
  for (let number = 1; number <= callers; number++) stage.fleet.addClient(`caller${number}`, { agent: callerHost });
  await stage.fleet.start();
  for (const [index, { host, server }] of places.entries())
    if (server !== undefined) await stage.serve(`s@${host}`, `MDS.${index + 1}.1`, { effects: { look: "read" }, ...server });
  await stage.fleet.runFor(20);
  return stage;
}

/** Requests as they come, independent of each other, of all callers together; what became of them. */
async function load(
  stage: RequestStage,
  rate: number,
  forMs: number,
  callers = 1,
  options: RequestOptions = {},
): Promise<readonly Ending[]> {
  const random = new SeededRandom(7);
  const asked: Promise<Ending>[] = [];
  let dueMs = stage.nowMs;
  const endMs = dueMs + forMs;
  for (let count = 0; ; count++) {
    dueMs += -Math.log(1 - random.fraction()) * (1000 / rate);
    if (dueMs > endMs) break;
    if (dueMs > stage.nowMs) await stage.fleet.runFor(dueMs - stage.nowMs);
    asked.push(stage.ask(`caller${1 + (count % callers)}`, "MDS", "look", { deadlineMs: 5000, ...options }));
  }
  return stage.fleet.until(Promise.all(asked));
}

function shareOf(endings: readonly Ending[], host: string): number {
  return endings.filter(({ server }) => server === `s@${host}`).length / endings.length;
}

function tookMs(endings: readonly Ending[], share: number): number {
  const sorted = endings.map((ending) => ending.tookMs).toSorted((a, b) => a - b);
  return sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
}

const four: readonly Place[] = [
  { host: "HOST1", zone: "a", server: usual },
  { host: "HOST2", zone: "a", server: usual },
  { host: "HOST3", zone: "b", server: usual },
  { host: "HOST4", zone: "b", server: usual },
];

const failed = (endings: readonly Ending[]) => endings.filter(({ error }) => error !== undefined).length;

describe("where reads of a service go", () => {
  test("to this program's own host at low load: nine in ten, of one caller and of six", async () => {
    for (const callers of [1, 6]) {
      const stage = await stageOf(four, callers);
      const endings = await load(stage, 0.2 * perSecond, 10_000, callers);
      assert.equal(failed(endings), 0);
      const share = shareOf(endings, "HOST1");
      assert.ok(share >= 0.88, `${share} of ${callers} callers`);
    }
  });

  test("to another host of the zone where there is none on the own one, whether the zone is the host's or the server's", async () => {
    const places: readonly Place[] = [
      { host: "HOST1", zone: "a" },
      { host: "HOST2", zone: "a", server: usual },
      { host: "HOST3", server: { ...usual, data: { zone: "a" } } },
      { host: "HOST4", zone: "b", server: usual },
      { host: "HOST5", zone: "a", server: { ...usual, data: { zone: "b" } } },
      { host: "HOST6", server: usual },
    ];
    const endings = await load(await stageOf(places), 0.3 * perSecond, 10_000);
    const [own, other] = [shareOf(endings, "HOST2"), shareOf(endings, "HOST3")];
    assert.ok(own + other >= 0.85 && Math.min(own, other) > 0.15, `${own} + ${other}`);
  });

  test("further when that is too much for those nearby: all on one host do not overload the one server there", async () => {
    for (const callers of [1, 6]) {
      const stage = await stageOf(four, callers);
      const endings = await load(stage, 2.5 * perSecond, 5000, callers);
      assert.equal(failed(endings), 0);
      const shares = ["HOST1", "HOST2", "HOST3", "HOST4"].map((host) => shareOf(endings, host));
      // The own one does what it can, which is 0.4 of this.
      assert.ok(shares.every((share) => share > 0.05) && (shares[0] ?? 0) > 0.3 && (shares[0] ?? 0) < 0.45, shares.join(" "));
      assert.ok(tookMs(endings, 0.99) < 100, `p99 ${tookMs(endings, 0.99)} ms`);
      const after = await load(stage, 0.1 * perSecond, 4000, callers);
      assert.ok(shareOf(after, "HOST1") > 0.75, `${shareOf(after, "HOST1")} when it is over`);
    }
  });

  test("elsewhere while the near one is draining, or slow, and back afterwards", async () => {
    let slow = false;
    const stage = await stageOf([
      { host: "HOST1", zone: "a", server: { workMs: () => (slow ? 100 : workMs), concurrency } },
      ...four.slice(1),
    ]);
    const share = async (forMs: number) => shareOf(await load(stage, 0.3 * perSecond, forMs), "HOST1");
    assert.ok((await share(2000)) > 0.85);
    const directory = stage.fleet.client("directory");
    await stage.state("metadata/MDS.1.1", "draining");
    await stage.fleet.runFor(20);
    assert.equal(await share(2000), 0);
    await stage.fleet.until(directory.delete("states", "metadata/MDS.1.1"));
    await stage.fleet.runFor(20);
    assert.ok((await share(2000)) > 0.85);
    slow = true;
    await share(2000);
    assert.ok((await share(2000)) < 0.1);
    slow = false;
    await share(40_000);
    assert.ok((await share(2000)) > 0.7);
  });

  test("elsewhere while one fails fast, near or not, also where there are two and the failing one has never answered; and back afterwards", async () => {
    for (const [caller, count] of [
      ["HOST1", 2],
      ["HOST1", 4],
      ["HOST9", 2],
      ["HOST9", 4],
    ] as const) {
      let isBroken = true;
      const broken: ServerOptions = {
        workMs: 1,
        concurrency,
        answer: () => {
          if (isBroken) throw new Error("the disk is full");
          return "s@HOST1";
        },
      };
      const [, ...others] = four.slice(0, count);
      const own: readonly Place[] = caller === "HOST1" ? [] : [{ host: "HOST9", zone: "c" }];
      const stage = await stageOf([{ host: "HOST1", zone: "a", server: broken }, ...others, ...own], 1, caller);
      const endings = await load(stage, 0.5 * perSecond, 10_000);
      assert.ok(failed(endings) < 0.03 * endings.length, `${failed(endings)} of ${endings.length}: ${count} servers, asked from ${caller}`);
      isBroken = false;
      await load(stage, 0.5 * perSecond, 25_000);
      const back = shareOf(await load(stage, 0.5 * perSecond, 5000), "HOST1");
      assert.ok(back > (caller === "HOST1" ? 0.7 : 0.2), `${back} when it is mended: ${count} servers, asked from ${caller}`);
    }
  });

  test("no more to one that answers with errors of its own than to others, however quick it is", async () => {
    const refusing: ServerOptions = {
      workMs: 1,
      concurrency,
      answer: () => {
        throw new MusterError("test/none-such", "there is no such file");
      },
    };
    const places = four.map((place, index) => (index === 0 ? { ...place, server: refusing } : place));
    const endings = await load(await stageOf([...places, { host: "HOST9", zone: "c" }], 1, "HOST9"), 0.5 * perSecond, 10_000);
    assert.ok(failed(endings) < 0.42 * endings.length && failed(endings) > 0.1 * endings.length, `${failed(endings)} of ${endings.length}`);
  });

  test("by their weights, too: with weight 0 a near one is not asked, among equally near ones a heavy one more", async () => {
    const weighted = (weight: number): ServerOptions => ({ ...usual, data: { weight } });
    const none = await stageOf([{ host: "HOST1", zone: "a", server: weighted(0) }, ...four.slice(1)]);
    assert.equal(shareOf(await load(none, 0.3 * perSecond, 2000), "HOST1"), 0);
    const places = ["HOST1", "HOST2", "HOST3"].map(
      (host, index): Place => (index === 0 ? { host } : { host, server: weighted(index === 1 ? 3 : 1) }),
    );
    const endings = await load(await stageOf(places), 1.5 * perSecond, 5000);
    const share = shareOf(endings, "HOST2");
    assert.ok(share > 0.6 && share < 0.95, `${share}`);
  });

  test("[DSD-21] never to one that is being taken out of use while there are others, near or not", async () => {
    const stage = await stageOf([{ host: "HOST1" }, ...four.slice(1)]);
    await stage.state("metadata/MDS.2.1", "draining");
    await stage.state("hosts/HOST3", "draining");
    await stage.fleet.runFor(20);
    const endings = await load(stage, 0.5 * perSecond, 2000);
    assert.deepEqual(new Set(endings.map(({ server }) => server)), new Set(["s@HOST4"]));
  });
});
