import { type Labels, type Telemetry, silentTelemetry } from "../../../src/kernel/index.ts";
import type { GatherOptions, Gathered } from "../../../src/requests/index.ts";
import type { SimNetworkOptions } from "../../../src/testing/index.ts";
import { RequestStage, type ServerOptions } from "./stage.ts";
import assert from "node:assert/strict";

/** What a program counts. */
export class Counts implements Telemetry {
  readonly #counts = new Map<string, number>();
  readonly log = silentTelemetry.log;
  readonly gauge = silentTelemetry.gauge;
  readonly observe = silentTelemetry.observe;

  count(name: string, by = 1, labels: Labels = {}): void {
    for (const key of [name, ...Object.values(labels).map((label) => `${name} ${label}`)])
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + by);
  }

  of(name: string): number {
    return this.#counts.get(`muster_request_${name}`) ?? 0;
  }
}

export interface Scene {
  readonly stage: RequestStage;
  readonly caller: Counts;
  readonly servers: readonly Counts[];
  /** Lets so many gathers find out who hears. */
  readonly settle: () => Promise<void>;
  gather(type: string, options?: GatherOptions, body?: unknown): Promise<Gathered & { readonly tookMs: number }>;
}

/** As docs/protocol.md says. */
export const requestGroup = { host: "239.255.77.86", port: 7552 };
export const addressOf = (number: number) => `10.0.0.${number}`;

/** So many hosts of one network with one server each, and a caller on another host of it. */
export async function scene(
  members: number,
  network: SimNetworkOptions = {},
  options: ServerOptions = {},
  seed = 1,
  from = 3,
): Promise<Scene> {
  const counts = new Map<string, Counts>();
  const telemetry = (name: string) => {
    const known = counts.get(name) ?? new Counts();
    counts.set(name, known);
    return known;
  };
  const stage = new RequestStage({ seed, network: { multicast: true, ...network }, multicastFrom: from, telemetry });
  const numbers = Array.from({ length: members }, (_, index) => index + 1);
  for (const number of numbers) {
    stage.addHost(`HOST${number}`, addressOf(number));
    stage.fleet.addClient(`s${number}`, { agent: `HOST${number}` });
  }
  stage.addHost("CALLER", addressOf(100));
  stage.fleet.addClient("caller", { agent: "CALLER" });
  await stage.fleet.start();
  for (const number of numbers) await stage.serve(`s${number}`, `MDS.${number}.1`, options);
  await stage.fleet.runFor(20);
  let number = 1000;
  const gather = async (type: string, asked: GatherOptions = {}, body: unknown = ++number) => {
    const startMs = stage.nowMs;
    const gathered = await stage.fleet.until(stage.fleet.client("caller").gather("MDS", type, body as number, asked));
    return { ...gathered, tookMs: stage.nowMs - startMs };
  };
  const settle = async () => {
    for (let count = 0; count < 2; count++) {
      await gather("look");
      await stage.fleet.runFor(60);
    }
  };
  return { stage, caller: telemetry("caller"), servers: numbers.map((one) => telemetry(`s${one}`)), gather, settle };
}

/** What changes of these while `act` runs. */
export async function change(counts: Counts, names: readonly string[], act: () => Promise<unknown>): Promise<readonly number[]> {
  const before = names.map((name) => counts.of(name));
  await act();
  return names.map((name, index) => counts.of(name) - (before[index] ?? 0));
}

export const by = (answers: Gathered["answers"]) => answers.map(({ answer }) => String(answer)).toSorted();
export const sayings = ["datagrams_total request", "multicast_asked_total", "multicast_repeated_total"];

export function noAttemptBegunTwice(stage: RequestStage): void {
  const names = stage.starts.map(({ server, key, requestId, attempt }) => `${server} ${key} ${requestId} ${attempt}`);
  assert.deepEqual(
    names.filter((name, index) => names.indexOf(name) !== index),
    [],
  );
}

/** Messages of this host's datagrams do not come through; connections do. */
export function lose(stage: RequestStage, number: number, loss: number): void {
  stage.fleet.network.links.set(addressOf(100), addressOf(number), { loss });
}
