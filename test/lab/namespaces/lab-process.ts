import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { type News, type Order, parseNews } from "../programs/parent.ts";

/** How a program of the laboratory is run, and how it shows that it is there. */
export interface Program {
  /** The command and its arguments, to be run on the host. */
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Words of a line that it prints, or that it tells `ready` over its channel. */
  readonly ready: RegExp | "news";
}

export interface ProcessPorts {
  readonly cwd: string;
  readonly logFile: string;
  news(news: News): void;
  said(line: string): void;
  /** `asked`: by `kill`. */
  ended(how: string, asked: boolean): void;
}

const readyWithinMs = 30_000;
/** What it said last is told when it does not come up. */
const lastLinesMax = 20;

/** One program in a fleet of real processes, over all its lives. */
export class LabProcess {
  readonly name: string;
  readonly host: string;
  readonly #program: () => Program;
  readonly #ports: ProcessPorts;
  readonly #last: string[] = [];
  #child: ChildProcess | undefined;
  /** The life that was ready last. */
  #ready: ChildProcess | undefined;
  readonly #killed = new WeakSet<ChildProcess>();

  constructor(name: string, host: string, program: () => Program, ports: ProcessPorts) {
    this.name = name;
    this.host = host;
    this.#program = program;
    this.#ports = ports;
  }

  /** It runs, and has said that it is ready. */
  get isReady(): boolean {
    return this.#child !== undefined && this.#child === this.#ready;
  }

  get alive(): boolean {
    return this.#child !== undefined;
  }

  /** Undefined when it does not run. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it and resolves when it is ready; rejects when it ends before, or is not ready in 30 s. */
  start(): Promise<void> {
    if (this.#child !== undefined) throw new Error(`${this.name} runs already`);
    const { command, env, ready } = this.#program();
    const [file, ...args] = command;
    if (file === undefined) throw new Error(`${this.name} has no command`);
    const child = spawn(file, args, {
      cwd: this.#ports.cwd,
      env: { ...process.env, ...env },
      stdio: ready === "news" ? ["ignore", "pipe", "pipe", "ipc"] : ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${this.name} was not ready in ${readyWithinMs} ms`)), readyWithinMs);
      const settle = (then: () => void) => {
        clearTimeout(timer);
        then();
      };
      const nowReady = () => {
        this.#ready = child;
        settle(resolve);
      };
      child.on("message", (message: unknown) => {
        const news = parseNews(message);
        if (news?.news === "ready") nowReady();
        else if (news !== undefined && this.#child === child) this.#ports.news(news);
      });
      for (const stream of [child.stdout, child.stderr])
        if (stream !== null)
          createInterface({ input: stream }).on("line", (line) => {
            appendFileSync(this.#ports.logFile, `${line}\n`);
            this.#last.push(line);
            if (this.#last.length > lastLinesMax) this.#last.shift();
            this.#ports.said(line);
            if (ready !== "news" && ready.test(line)) nowReady();
          });
      child.once("error", (error) => settle(() => reject(error)));
      child.once("exit", (code, signal) => {
        if (this.#child === child) this.#child = undefined;
        this.#ports.ended(signal === null ? `exit ${code}` : signal, this.#killed.has(child));
        settle(() => reject(new Error(`${this.name} ended (${signal ?? code}) before it was ready:\n${this.#last.join("\n")}`)));
      });
    });
  }

  /** SIGKILL; it is gone, as far as its system is concerned, when this returns. */
  kill(): void {
    const child = this.#need();
    this.#killed.add(child);
    this.#child = undefined;
    child.kill("SIGKILL");
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#need().kill(signal);
  }

  order(order: Order): void {
    this.#need().send(order, () => undefined);
  }

  #need(): ChildProcess {
    if (this.#child === undefined) throw new Error(`${this.name} does not run`);
    return this.#child;
  }
}
