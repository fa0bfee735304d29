import { type Random, MusterError, isRecord, randomBelow } from "../../../src/kernel/index.ts";
import { type Fleet, type RequestBody, UnknownOutcome } from "../../../src/index.ts";
import { instanceOfServer } from "../../../src/tables/index.ts";
import { logPageMax, registerTypes } from "./registers.ts";
import {
  type KeptLog,
  type KeptWrite,
  type Value,
  type WorkKind,
  type WorkOperation,
  type WriteOrder,
  parseAnswer,
  parseKept,
} from "./work.ts";

/** One of so many keys is a counter, on which an addition that was lost or doubled shows at once. */
const counterEvery = 4;
/** Longer texts are replaced. */
const textCharactersMax = 120;

export interface WorkerOptions {
  /** The caller's name: a session. */
  readonly caller: string;
  readonly table: string;
  /** Service instances with an ordering group. */
  readonly groups: readonly string[];
  readonly keysPerGroup: number;
  readonly deadlineMs: number;
}

export interface WorkerPorts {
  readonly fleet: Pick<Fleet, "request" | "outcome">;
  readonly random: Random;
  nowMs(): number;
}

/**
 * One caller of ordering groups, which writes down what it asks and what it is told. It repeats nothing by itself; a write whose outcome is
 * unknown is asked after once.
 */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #ports: WorkerPorts;
  readonly #done: WorkOperation[] = [];
  readonly #open = new Map<string, WorkOperation>();
  /** Keys with a write of this caller under way: a search for an order would have to try each order of what overlaps. */
  readonly #busy = new Set<string>();
  /** What it was last told, for compare-and-set. */
  readonly #seen = new Map<string, Value>();
  #number = 0;

  constructor(options: WorkerOptions, ports: WorkerPorts) {
    this.#options = options;
    this.#ports = ports;
  }

  /** Whatever was asked for until now; what has not been answered yet has an unknown fate. */
  get operations(): readonly WorkOperation[] {
    return [...this.#done, ...this.#open.values()];
  }

  /** Resolves when it was answered. */
  ask(kind: WorkKind): Promise<void> {
    switch (kind) {
      case "writes":
        return this.#write();
      case "session reads":
        return this.#read("session-read");
      case "latest reads":
        return this.#read("read");
    }
  }

  async #read(kind: "read" | "session-read"): Promise<void> {
    const { caller, table, deadlineMs } = this.#options;
    const { fleet } = this.#ports;
    const { group, key } = this.#choose();
    const invokedMs = this.#ports.nowMs();
    const consistency = kind === "read" ? "latest" : "session";
    const answer = await fleet.request(group, registerTypes.read, key, { table, deadlineMs, effect: "read", consistency });
    const { result, position } = parseAnswer(answer);
    const respondedMs = this.#ports.nowMs();
    const place = { epoch: 0, index: position };
    const id = `${caller} ${++this.#number}`;
    const full = `${group}/${key}`;
    this.#done.push({ id, client: caller, group, key: full, kind, invokedMs, respondedMs, result, position: place, fate: "answered" });
    this.#seen.set(full, result);
  }

  async #write(): Promise<void> {
    const { caller } = this.#options;
    const { group, key } = this.#chooseFree();
    const full = `${group}/${key}`;
    const order = this.#order(full, key);
    const { id, kind, argument, expected } = order;
    const asked = { id, client: caller, group, key: full, kind, argument, expected, invokedMs: this.#ports.nowMs() };
    this.#open.set(id, { ...asked, fate: "unknown" });
    this.#busy.add(full);
    try {
      const { result, position } = parseAnswer(await this.#carriedOut(group, order));
      const respondedMs = this.#ports.nowMs();
      this.#done.push({ ...asked, respondedMs, result, position: { epoch: 0, index: position }, fate: "answered" });
      if (result !== "differs") this.#seen.set(full, valueAfter(order, result));
    } catch (thrown) {
      const isVoid = thrown instanceof MusterError && thrown.effect === "none";
      this.#done.push({ ...asked, fate: isVoid ? "none" : "unknown" });
      throw thrown;
    } finally {
      this.#open.delete(id);
      this.#busy.delete(full);
    }
  }

  async #carriedOut(group: string, order: WriteOrder): Promise<RequestBody> {
    const { table, deadlineMs } = this.#options;
    const { fleet } = this.#ports;
    try {
      return await fleet.request(group, registerTypes.change, { ...order }, { table, deadlineMs });
    } catch (thrown) {
      if (!(thrown instanceof UnknownOutcome)) throw thrown;
      const outcome = await fleet.outcome(thrown.requestId, { deadlineMs }).catch(() => undefined);
      if (outcome?.kind === "answer") return outcome.answer;
      if (outcome?.kind !== "abandoned" && outcome?.kind !== "failed") throw thrown;
      throw new MusterError("lab/abandoned", `it was ${outcome.kind}: ${thrown.message}`, { effect: "none", cause: thrown });
    }
  }

  #order(full: string, key: string): WriteOrder {
    const id = `${this.#options.caller} ${++this.#number}`;
    if (isCounter(key)) return { id, key, kind: "add", argument: "1" };
    const argument = `${id.slice("caller ".length)};`;
    const seen = this.#seen.get(full) ?? null;
    const drawn = this.#ports.random.fraction();
    if (drawn < 0.35) return { id, key, kind: "cas", argument, expected: seen };
    if (drawn < 0.4) return { id, key, kind: "delete" };
    return { id, key, kind: drawn < 0.7 && (seen?.length ?? 0) < textCharactersMax ? "append" : "put", argument };
  }

  #choose(): { readonly group: string; readonly key: string } {
    const { groups, keysPerGroup } = this.#options;
    const { random } = this.#ports;
    const number = randomBelow(random, keysPerGroup);
    return { group: groups[randomBelow(random, groups.length)] ?? "", key: `${number % counterEvery === 0 ? "counter" : "text"}${number}` };
  }

  /** The same group in any case: one that does not answer is not asked less. */
  #chooseFree(): { readonly group: string; readonly key: string } {
    const first = this.#choose();
    for (let attempt = 0; attempt < this.#options.keysPerGroup; attempt++) {
      const { key } = this.#choose();
      if (!this.#busy.has(`${first.group}/${key}`)) return { group: first.group, key };
    }
    return first;
  }
}

/** What every one of these servers remembers, page by page, by `session` reads: nothing of what this program has seen may be missing. */
export async function readKept(
  fleet: Pick<Fleet, "request">,
  table: string,
  servers: readonly string[],
  deadlineMs: number,
): Promise<readonly KeptLog[]> {
  const logs: KeptLog[] = [];
  for (const server of servers) {
    const group = instanceOfServer(server) ?? "";
    const writes: KeptWrite[] = [];
    for (let isOver = false; !isOver; ) {
      const after = writes.at(-1)?.index ?? 0;
      const page = parseKept(await fleet.request(server, registerTypes.log, { after }, { table, deadlineMs, effect: "read" }));
      writes.push(...page.map((write) => ({ ...write, key: `${group}/${write.key}` })));
      isOver = page.length < logPageMax;
    }
    logs.push({ group, server, writes });
  }
  return logs;
}

/** Whether the group has a row that names so many members. */
export function isWhole(fleet: Pick<Fleet, "get">, table: string, group: string, members: number): boolean {
  const row = fleet.get("groups", `${table}/${group}`)?.value;
  return isRecord(row) && Array.isArray(row["members"]) && row["members"].length === members;
}

function valueAfter({ kind, argument }: WriteOrder, result: Value): Value {
  return kind === "append" || kind === "add" ? result : (argument ?? null);
}

function isCounter(key: string): boolean {
  return key.startsWith("counter");
}
