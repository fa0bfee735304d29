import { type BenchContext, type BenchResult, percentile, resultOf, sampleOf, sharedNowMs, sleepMs, sorted } from "../bench.ts";
import { type CliNode, startAgent, startDirectory } from "../cli-fleet.ts";
import { Knowledgeable } from "./knowledge.ts";
import { Witness, startServer } from "./roll-server.ts";

const nodes = 100;
const runs = 3;
/** Servers that are started together, and then lost one by one: their starting is not in the way of what is measured. */
const batch = 10;
const settleMs = 500;
const pauseMs = 60;
const megabytes = 60;
const killedPeriodMs = 3000;
const hungPeriodMs = 300;

type Loss = "killed" | "hung";

interface Stage {
  readonly library: string;
  readonly agent: CliNode;
  readonly knowledgeable: Knowledgeable;
  readonly witness: Witness;
}

interface Lost {
  /** From the signal to the end of the connection at the bare peer; NaN for a server that was only stopped. */
  readonly closeMs: number;
  /** From the signal to the last node that knows. */
  readonly knownMs: number;
  readonly residentBytes: number;
}

/** Starts servers, and loses one after the other. */
async function loseBatch(context: BenchContext, stage: Stage, loss: Loss, count: number): Promise<readonly Lost[]> {
  const { knowledgeable, witness } = stage;
  const maxPeriodMs = loss === "killed" ? killedPeriodMs : hungPeriodMs;
  const servers = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const server = await startServer(context, { ...stage, key: `MDS.${index}.1`, maxPeriodMs, megabytes });
      if (Number.isNaN(await knowledgeable.told(server.key, true))) throw new Error(`${server.key} did not become known to all nodes`);
      return server;
    }),
  );
  await sleepMs(settleMs);
  const losses: Lost[] = [];
  for (const { key, child, residentBytes } of servers) {
    const closed = witness.closed(child.pid);
    const startMs = sharedNowMs();
    if (loss === "killed") void child.kill();
    else await child.kill("SIGSTOP");
    const told = await knowledgeable.told(key, false);
    if (Number.isNaN(told)) throw new Error(`not every node came to know that ${key} was ${loss}`);
    const closeMs = loss === "killed" ? (await closed) - startMs : Number.NaN;
    losses.push({ closeMs, knownMs: told - startMs, residentBytes });
    await child.kill();
    await sleepMs(pauseMs + Math.random() * pauseMs);
  }
  return losses;
}

async function lose(context: BenchContext, stage: Stage, loss: Loss, count: number): Promise<readonly Lost[]> {
  const losses: Lost[] = [];
  while (losses.length < count) losses.push(...(await loseBatch(context, stage, loss, Math.min(batch, count - losses.length))));
  return losses;
}

async function setStage(context: BenchContext, library: string): Promise<Stage & { close(): Promise<void> }> {
  const directory = await startDirectory(context);
  const agent = await startAgent(context, "HOST1", "127.0.0.1", [directory]);
  const knowledgeable = new Knowledgeable(context, library, directory, nodes);
  const witness = new Witness(context);
  await Promise.all([knowledgeable.open(), witness.open()]);
  return {
    library,
    agent,
    knowledgeable,
    witness,
    close: async () => {
      await Promise.all([knowledgeable.close(), witness.close()]);
      await agent.kill();
      await directory.kill();
    },
  };
}

interface Quantiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export function quantiles(values: readonly number[]): Quantiles {
  const ascending = sorted(values);
  return { p50: percentile(ascending, 50), p99: percentile(ascending, 99), max: percentile(ascending, 100) };
}

export const inWords = ({ p50, p99, max }: Quantiles) => `p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, longest ${max.toFixed(1)} ms`;

/** A server process is killed: how long until the last of 100 nodes knows, against a bare TCP peer of the same process. */
export async function killedResults(context: BenchContext, library: string, kills: number): Promise<readonly BenchResult[]> {
  const stage = await setStage(context, library);
  const each = Math.ceil(kills / runs);
  const sizes: number[] = [];
  const sample = await context.repeat(runs, async () => {
    const losses = await lose(context, stage, "killed", each);
    const close = quantiles(losses.map(({ closeMs }) => closeMs));
    const known = quantiles(losses.map(({ knownMs }) => knownMs));
    sizes.push(...losses.map(({ residentBytes }) => residentBytes / 1e6));
    context.log(`killed, ${each} times: known ${inWords(known)}; bare socket's close ${inWords(close)}`);
    return { closeP50: close.p50, closeP99: close.p99, knownP50: known.p50, knownP99: known.p99, over: known.p99 - close.p99 };
  });
  await stage.close();
  const label = `killed server → last of ${nodes} nodes`;
  return [
    resultOf("floor: killed server → its socket closes at a bare TCP peer, p50", "ms", sample.closeP50, { peer: true }),
    resultOf("floor: killed server → its socket closes at a bare TCP peer, p99", "ms", sample.closeP99, { peer: true }),
    resultOf(`${label}, p50`, "ms", sample.knownP50),
    resultOf(`${label}, p99`, "ms", sample.knownP99),
    resultOf(`${label}: p99 over the floor's p99`, "ms", sample.over, { goal: { max: 4 } }),
    resultOf("resident memory of the servers that were killed", "MB", sampleOf(sizes)),
  ];
}

/** A server process is stopped while its connections live: how long until the last of 100 nodes knows. */
export async function hungResults(context: BenchContext, library: string, stops: number): Promise<readonly BenchResult[]> {
  const stage = await setStage(context, library);
  const each = Math.ceil(stops / runs);
  const sample = await context.repeat(runs, async () => {
    const known = quantiles((await lose(context, stage, "hung", each)).map(({ knownMs }) => knownMs));
    context.log(`hung, ${each} times: known ${inWords(known)}`);
    return { ...known };
  });
  await stage.close();
  const label = `hung server (SIGSTOP), longest silence ${hungPeriodMs} ms → last of ${nodes} nodes`;
  return [
    resultOf(`${label}, p50`, "ms", sample.p50),
    resultOf(`${label}, p99`, "ms", sample.p99),
    resultOf(`${label}, the slowest`, "ms", sample.max, { goal: { max: 350 } }),
  ];
}
