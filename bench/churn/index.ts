import type { LoadReport } from "../../test/lab/index.ts";
import { type Bench, type BenchContext, type BenchResult, machineSeconds, resultOf, sampleOf, sharedNowMs, sleepMs } from "../bench.ts";
import { builtPackage } from "../built-package.ts";
import { type CliNode, compiledCode, startAgent, startDirectory } from "../cli-fleet.ts";
import { inWords, quantiles } from "../failover/known.ts";
import { Knowledgeable } from "../failover/knowledge.ts";
import { endLoad } from "../failover/loading.ts";
import { service } from "../failover/muster.ts";
import { type RollServer, Witness, startServer } from "../failover/roll-server.ts";

const nodes = 100;
const serverHosts = 4;
const servers = 16;
const startedAtOnce = 4;
const maxPeriodMs = 1000;
const perSecond = 1000;
const killsPerSecond = 5;
const secondsDefault = 60;
const runsDefault = 3;
const warmMs = 2000;
/** A change that a node is not told of counts as this late. */
const lostMs = 8000;

interface Stage {
  readonly library: string;
  readonly agents: readonly CliNode[];
  readonly caller: CliNode;
  readonly knowledgeable: Knowledgeable;
  readonly witness: Witness;
}

/** From an event to the last of the nodes that is told of it, and to the close of a bare socket. */
interface Lags {
  readonly down: number[];
  readonly up: number[];
  readonly close: number[];
  /** Turns in which the server was still on its way back: the machine is too slow. */
  skipped: number;
}

async function setStage(context: BenchContext): Promise<Stage> {
  const library = await builtPackage(context);
  const directory = await startDirectory(context);
  const hosts = Array.from({ length: serverHosts + 1 }, (_, host) =>
    startAgent(context, `HOST${host + 1}`, `127.0.0.${host + 11}`, [directory]),
  );
  const [caller, ...agents] = await Promise.all(hosts);
  if (caller === undefined) throw new Error("there is no host for the caller");
  const knowledgeable = new Knowledgeable(context, library, directory, nodes);
  const witness = new Witness(context);
  await Promise.all([knowledgeable.open(), witness.open()]);
  return { library, agents, caller, knowledgeable, witness };
}

async function start(context: BenchContext, stage: Stage, index: number): Promise<RollServer> {
  const { agents } = stage;
  const agent = agents[index % agents.length];
  if (agent === undefined) throw new Error("there is no agent");
  const server = await startServer(context, { ...stage, agent, key: `${service}.${index + 1}.1`, maxPeriodMs, megabytes: 0 });
  return server;
}

/** Kills that server and starts it again; when everybody has been told of both, it is there again. */
async function replace(context: BenchContext, stage: Stage, lags: Lags, index: number, old: RollServer): Promise<RollServer> {
  const { knowledgeable, witness } = stage;
  const closed = witness.closed(old.child.pid);
  const killMs = sharedNowMs();
  void old.child.kill();
  const down = knowledgeable.told(old.key, false, lostMs);
  const starting = start(context, stage, index);
  // It is awaited below; until then its failure is nobody's.
  starting.catch(() => {});
  lags.close.push((await closed) - killMs);
  lags.down.push(orLost((await down) - killMs));
  const server = await starting;
  lags.up.push(orLost((await knowledgeable.told(server.key, true, lostMs)) - server.askedMs));
  return server;
}

function orLost(lagMs: number): number {
  return Number.isNaN(lagMs) ? lostMs : lagMs;
}

interface Churned {
  readonly lags: Lags;
  readonly report: LoadReport;
  readonly readsPerSecond: number;
  /** Of all processors' time. */
  readonly idlePercent: number;
}

async function churn(context: BenchContext, stage: Stage, seconds: number): Promise<Churned> {
  const { library, caller: agent, knowledgeable } = stage;
  const fleet = new Map<number, RollServer>();
  const join = async (index: number) => {
    const server = await start(context, stage, index);
    if (Number.isNaN(await knowledgeable.told(server.key, true))) throw new Error(`${server.key} did not become known to all nodes`);
    fleet.set(index, server);
  };
  for (let first = 0; first < servers; first += startedAtOnce)
    await Promise.all(Array.from({ length: Math.min(startedAtOnce, servers - first) }, (_, index) => join(first + index)));
  const caller = context.child(new URL("caller.ts", import.meta.url), [library, agent.socket, servers], { env: compiledCode });
  await caller.call("open");
  const beginMs = sharedNowMs() + warmMs;
  await caller.call("begin", { perSecond, countFromMs: beginMs });
  const before = machineSeconds();
  const lags: Lags = { down: [], up: [], close: [], skipped: 0 };
  const underWay = new Set<Promise<void>>();
  for (let turn = 0; turn < seconds * killsPerSecond; turn++) {
    await sleepMs(Math.max(0, beginMs + (turn * 1000) / killsPerSecond - sharedNowMs()));
    const index = turn % servers;
    const old = fleet.get(index);
    if (old === undefined) {
      lags.skipped++;
      continue;
    }
    fleet.delete(index);
    const work = replace(context, stage, lags, index, old).then((server) => void fleet.set(index, server));
    underWay.add(work);
    void work.finally(() => underWay.delete(work)).catch(() => {});
  }
  await Promise.all(underWay);
  const readMs = sharedNowMs() - beginMs;
  const after = machineSeconds();
  const idlePercent = (100 * (after.idle - before.idle)) / (after.all - before.all);
  const report = await endLoad(caller);
  await Promise.all([caller, ...[...fleet.values()].map(({ child }) => child)].map((child) => child.kill()));
  await Promise.all([...fleet.values()].map(({ key }) => knowledgeable.told(key, false)));
  return { lags, report, readsPerSecond: (report.sent / readMs) * 1000, idlePercent };
}

function say(context: BenchContext, lags: Lags, report: LoadReport): void {
  const [down, up, close] = [quantiles(lags.down), quantiles(lags.up), quantiles(lags.close)];
  const first = report.failures[0];
  context.log(
    `${lags.down.length} killed and started again${lags.skipped > 0 ? `, ${lags.skipped} left out because they were not back yet` : ""}: ` +
      `${report.failed + report.open} of ${report.sent} reads failed${first === undefined ? "" : ` (the first: ${first.message.slice(0, 100)})`}, ` +
      `slowest ${report.slowest.tookMs.toFixed(0)} ms`,
  );
  context.log(`  kill → last node: ${inWords(down)}; bare socket's close ${inWords(close)}; on the roll again → last node: ${inWords(up)}`);
}

const carriedShareMin = 0.95;

/** `npm run bench -- churn [seconds=10] [runs=1]`. */
export const bench: Bench = {
  name: "churn",
  about: `${killsPerSecond} servers a second are killed and started again under ${perSecond} reads a second, with ${nodes} nodes that follow`,
  run: async (context) => {
    const number = (word: string) => Number(context.args.find((text) => text.startsWith(`${word}=`))?.slice(word.length + 1) ?? Number.NaN);
    const seconds = number("seconds") || secondsDefault;
    const stage = await setStage(context);
    let failedInAll = 0;
    const sample = await context.repeat(number("runs") || runsDefault, async () => {
      const { lags, report, readsPerSecond, idlePercent } = await churn(context, stage, seconds);
      say(context, lags, report);
      const failed = report.failed + report.open;
      failedInAll += failed;
      const [down, up, close] = [quantiles(lags.down), quantiles(lags.up), quantiles(lags.close)];
      return {
        kills: lags.down.length / seconds,
        reads: readsPerSecond,
        idle: idlePercent,
        failed,
        gap: report.longestGap.toMs - report.longestGap.fromMs,
        p99: report.p99Ms,
        slowest: report.slowest.tookMs,
        downP50: down.p50,
        downP99: down.p99,
        upP50: up.p50,
        upP99: up.p99,
        closeP50: close.p50,
        closeP99: close.p99,
      };
    });
    const results: BenchResult[] = [
      // Less than that was not the experiment.
      resultOf("servers killed and started again", "1/s", sample.kills, { goal: { min: killsPerSecond * carriedShareMin } }),
      resultOf("reads sent", "1/s", sample.reads, { goal: { min: perSecond * carriedShareMin } }),
      resultOf("processors idle meanwhile", "%", sample.idle),
      resultOf(`reads failed in ${seconds} s`, "requests", sample.failed),
      resultOf("reads failed, all runs together", "requests", sampleOf([failedInAll]), { goal: { max: 0 } }),
      resultOf("longest gap between answers", "ms", sample.gap),
      resultOf("answers, service time 20 ms, p99", "ms", sample.p99),
      resultOf("slowest answer", "ms", sample.slowest),
      resultOf("floor: kill → socket closes at a bare TCP peer, p50", "ms", sample.closeP50, { peer: true }),
      resultOf("floor: kill → socket closes at a bare TCP peer, p99", "ms", sample.closeP99, { peer: true }),
      resultOf(`kill → last of ${nodes} nodes, p50`, "ms", sample.downP50),
      resultOf(`kill → last of ${nodes} nodes, p99`, "ms", sample.downP99, { goal: { max: 50 } }),
      resultOf(`asked to be on the roll → last of ${nodes} nodes, p50`, "ms", sample.upP50),
      resultOf(`asked to be on the roll → last of ${nodes} nodes, p99`, "ms", sample.upP99, { goal: { max: 50 } }),
    ];
    return results;
  },
};
