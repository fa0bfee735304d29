import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { type Clock, type Telemetry, type Timer, errorOf } from "../kernel/index.ts";
import { LinkTable, parseLinkLine } from "./link-lines.ts";

export interface LinkStateOptions {
  /** Own addresses to be told about. */
  readonly addresses: readonly string[];
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** Called when the interface of an address loses its signal, is switched off, or loses the address; and when it is back. */
  readonly report: (address: string, up: boolean) => void;
}

const restartMs = 5000;
const secondLookMs = 1000;
const listBytesMax = 4 * 1024 * 1024;

/**
 * `ip` tells as long as somebody reads; the shell around it ends it when our end of the pipe closes, however this process
 * ends. It gives its own output away, so that the end of `ip` is seen as the end of the stream.
 */
const script = "ip -o monitor link address & child=$!; exec >&-; read -r _; kill $child 2>/dev/null";

/**
 * Watches the state of the host's interfaces with iproute2, which listens to the kernel's netlink socket: a pulled cable is known in
 * milliseconds. Without `ip` (not Linux, not installed) it is quietly off: probes find the same, half a second later.
 */
export class LinkState {
  readonly #options: LinkStateOptions;
  readonly #table: LinkTable;
  #monitor: ChildProcess | undefined;
  #later: Timer | undefined;
  /** Lines that came before the list was complete. */
  #early: string[] | undefined;
  #closed = false;

  constructor(options: LinkStateOptions) {
    this.#options = options;
    this.#table = new LinkTable(options.addresses);
  }

  /** Resolves when the present state is known, or when it is clear that it cannot be. Never rejects. */
  async start(): Promise<void> {
    if (this.#options.addresses.length === 0 || this.#closed) return;
    try {
      await list("link");
    } catch (thrown) {
      this.#options.telemetry.log("info", "link-state-off", { why: errorOf(thrown).message.split("\n")[0] ?? "" });
      return;
    }
    await this.#watch();
  }

  close(): void {
    this.#closed = true;
    this.#later?.cancel();
    // The end of its input ends the shell, and that ends `ip`.
    this.#monitor?.stdin?.end();
  }

  async #watch(): Promise<void> {
    this.#listen();
    await this.#read();
    // `ip` may have begun to listen only after the list was made: a second look finds what fell in between.
    if (!this.#closed) this.#later = this.#options.clock.schedule(secondLookMs, () => void this.#read());
  }

  async #read(): Promise<void> {
    if (this.#early !== undefined) return;
    // What is told while the list is made is newer than the list.
    this.#early = [];
    try {
      const lines = (await Promise.all([list("link"), list("addr")])).join("\n").split("\n");
      this.#table.clear();
      for (const line of [...lines, ...(this.#early ?? [])]) this.#apply(line);
    } catch (thrown) {
      this.#options.telemetry.log("warn", "link-state-unknown", { why: errorOf(thrown).message });
    }
    this.#early = undefined;
    this.#tell();
  }

  #listen(): void {
    const monitor = spawn("/bin/sh", ["-c", script], { stdio: ["pipe", "pipe", "ignore"] });
    this.#monitor = monitor;
    monitor.on("error", () => {});
    monitor.stdin.on("error", () => {});
    createInterface({ input: monitor.stdout }).on("line", (line) => {
      if (this.#closed) return;
      if (this.#early !== undefined) this.#early.push(line);
      else if (this.#apply(line)) this.#tell();
    });
    monitor.stdout.on("close", () => {
      monitor.stdin.end();
      if (this.#closed || this.#monitor !== monitor) return;
      this.#options.telemetry.log("warn", "link-state-ended", { next: "it is started again; probes go on watching the routes" });
      this.#later = this.#options.clock.schedule(restartMs, () => void this.#watch());
    });
  }

  #apply(text: string): boolean {
    const line = parseLinkLine(text);
    if (line !== undefined) this.#table.apply(line);
    return line !== undefined;
  }

  #tell(): void {
    if (this.#closed) return;
    for (const { address, up } of this.#table.changes()) {
      this.#options.telemetry.log(up ? "info" : "warn", up ? "interface-up" : "interface-down", { address });
      this.#options.report(address, up);
    }
  }
}

function list(what: "link" | "addr"): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile("ip", ["-o", what, "show"], { maxBuffer: listBytesMax, timeout: 5000 }, (error, stdout) =>
      error === null ? resolve(stdout) : reject(error),
    );
  });
}
