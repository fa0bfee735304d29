import { isRecord } from "../../src/kernel/index.ts";
import type { BenchContext, Child } from "../bench.ts";
import { type CliNode, compiledCode } from "../cli-fleet.ts";

/** The bare TCP peer of servers: when did the system end the connections of a process? */
export class Witness {
  readonly #child: Child;
  readonly #closed = new Map<number, (atMs: number) => void>();
  #port = 0;

  constructor(context: BenchContext) {
    this.#child = context.child(new URL("witness.ts", import.meta.url));
    this.#child.on("closed", (news) => {
      if (!isRecord(news)) return;
      const pid = Number(news["name"]);
      this.#closed.get(pid)?.(Number(news["atMs"]));
      this.#closed.delete(pid);
    });
  }

  get port(): number {
    return this.#port;
  }

  async open(): Promise<void> {
    this.#port = Number(await this.#child.call("port"));
  }

  /** Ask before the process ends. */
  closed(pid: number): Promise<number> {
    return new Promise((resolve) => this.#closed.set(pid, resolve));
  }

  close(): Promise<void> {
    return this.#child.kill();
  }
}

export interface RollServer {
  readonly key: string;
  readonly child: Child;
  /** When it asked to be on the roll. */
  readonly askedMs: number;
  readonly residentBytes: number;
}

export interface RollServerPlan {
  readonly library: string;
  readonly agent: CliNode;
  readonly key: string;
  readonly maxPeriodMs: number;
  readonly witness: Witness;
  /** Padded to this size if it is smaller. */
  readonly megabytes: number;
}

/** Starts a server process; resolves when the directory has it on the roll. */
export async function startServer(context: BenchContext, plan: RollServerPlan): Promise<RollServer> {
  const { library, agent, key, maxPeriodMs, witness, megabytes } = plan;
  const script = new URL("server.mjs", import.meta.url);
  const child = context.child(script, [library, agent.socket, key, maxPeriodMs, witness.port, megabytes], { env: compiledCode });
  const served = await child.call("serve");
  if (!isRecord(served)) throw new Error(`${key} gave no answer`);
  return { key, child, askedMs: Number(served["askedMs"]), residentBytes: Number(served["residentBytes"]) };
}
