import { isRecord } from "../../../src/kernel/index.ts";
import type { Sighting } from "../record.ts";
import type { KeptLog, WorkOperation } from "../histories/work.ts";
import type { WorkPlan } from "../scenario.ts";
import type { FailedRequest, LoadReport } from "../tally.ts";

/** What a program of the laboratory tells the one that started it. Times are of the machine's monotonic clock. */
export type News =
  | { readonly news: "ready" }
  | { readonly news: "sightings"; readonly sightings: readonly Sighting[] }
  | { readonly news: "first-failure"; readonly failure: FailedRequest }
  | { readonly news: "report"; readonly report: LoadReport }
  | { readonly news: "worked"; readonly reports: readonly LoadReport[]; readonly operations: readonly WorkOperation[] }
  | { readonly news: "kept"; readonly kept: readonly KeptLog[] };

/** What it is told. */
export type Order =
  /** Requests sent before `countFromMs` are not counted: they run with cold code. */
  | { readonly order: "begin"; readonly requestsPerSecond: number; readonly countFromMs: number }
  /** Asks for no more, waits for what is open (at most its deadline), and answers with a report. */
  | { readonly order: "end" }
  | { readonly order: "loop" }
  /** Answers with what every server of the ordering groups keeps. */
  | { readonly order: "read-kept" }
  /** Answers with what it has not told yet. */
  | { readonly order: "tell" };

/** Reads what a program sent; undefined for what is not of ours. */
export function parseNews(message: unknown): News | undefined {
  return isRecord(message) && typeof message["news"] === "string" ? (message as unknown as News) : undefined;
}

/** What a program is started with: one argument of JSON. */
export interface ProgramOptions {
  /** The socket of its host's node. */
  readonly agent: string;
  /** The machine that it runs on, as the scenario calls it. */
  readonly host: string;
  /** Its name in the scenario. */
  readonly name: string;
  readonly service: string;
  readonly serviceTimeMs: number;
  readonly deadlineMs: number;
  readonly asking: "request" | "once";
  /** A server's. */
  readonly port: number;
  readonly maxPeriodMs: number;
  /** The servers that keep their state in ordering groups: a server process's own, a caller's all. */
  readonly members: readonly string[];
  /** A folder for the data of servers. */
  readonly folder: string;
  readonly keepsAnswers: boolean;
  /** Of a caller of such groups. */
  readonly work?: WorkPlan;
}

export function parseOptions(argument: string | undefined): ProgramOptions {
  if (argument === undefined) throw new Error("this program is started by the laboratory: npm run lab -- SCENARIO");
  return JSON.parse(argument) as ProgramOptions;
}

/** Every network namespace of a machine sees the same monotonic clock. */
export function monoMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function tell(news: News): void {
  process.send?.(news);
}

/** Listens to orders; the program ends with the one that started it. */
export function takeOrders(handle: (order: Order) => void): void {
  process.on("message", (message: unknown) => {
    if (isRecord(message) && typeof message["order"] === "string") handle(message as unknown as Order);
  });
  process.on("disconnect", () => process.exit(0));
}
