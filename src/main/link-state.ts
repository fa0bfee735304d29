import { type Clock, type Telemetry, type Timer, errorOf } from "../kernel/index.ts";
import { type IpCommand, systemIp } from "./ip-command.ts";
import { LinkTable, parseLinkLine } from "./link-lines.ts";

export interface LinkStateOptions {
  /** Own addresses to be told about. */
  readonly addresses: readonly string[];
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** Called when the interface of an address loses its signal, is switched off, or loses the address; and when it is back. */
  readonly report: (address: string, up: boolean) => void;
  /** Default: the system's. */
  readonly ip?: IpCommand;
}

const restartMs = 5000;
const secondLookMs = 1000;
/** A monitor that ends sooner has not worked: another `ip` (busybox) has no such command. */
const quickEndMs = 10_000;
/** So many in a row, each after twice the pause, and the watch is given up. */
const quickEndsMax = 4;

/**
 * Watches the state of the host's interfaces with iproute2, which listens to the kernel's netlink socket: a pulled cable is known in
 * milliseconds. Without it (not Linux, not installed, another `ip`) it is off: probes find the same, half a second later.
 */
export class LinkState {
  readonly #options: LinkStateOptions;
  readonly #ip: IpCommand;
  readonly #table: LinkTable;
  /** Ends the monitor that runs. */
  #end: (() => void) | undefined;
  #restart: Timer | undefined;
  #secondLook: Timer | undefined;
  #quickEnds = 0;
  /** Lines that came before the list was complete. */
  #early: string[] | undefined;
  #closed = false;

  constructor(options: LinkStateOptions) {
    this.#options = options;
    this.#ip = options.ip ?? systemIp;
    this.#table = new LinkTable(options.addresses);
  }

  /** Resolves when the present state is known, or when it is clear that it cannot be. Never rejects. */
  async start(): Promise<void> {
    if (this.#options.addresses.length === 0 || this.#closed) return;
    try {
      await this.#ip.list("link");
    } catch (thrown) {
      this.#options.telemetry.log("info", "link-state-off", { why: errorOf(thrown).message.split("\n")[0] ?? "" });
      return;
    }
    await this.#watch();
  }

  close(): void {
    this.#closed = true;
    this.#restart?.cancel();
    this.#secondLook?.cancel();
    this.#end?.();
  }

  async #watch(): Promise<void> {
    if (this.#closed) return;
    this.#listen();
    await this.#read();
    // `ip` may have begun to listen only after the list was made: a second look finds what fell in between.
    this.#secondLook?.cancel();
    if (!this.#closed) this.#secondLook = this.#options.clock.schedule(secondLookMs, () => void this.#read());
  }

  async #read(): Promise<void> {
    if (this.#early !== undefined) return;
    // What is told while the list is made is newer than the list.
    const early: string[] = [];
    this.#early = early;
    try {
      const lines = await Promise.all([this.#ip.list("link"), this.#ip.list("addr")]);
      this.#table.clear();
      for (const line of [...lines.flat(), ...early]) this.#apply(line);
    } catch (thrown) {
      if (!this.#closed) this.#options.telemetry.log("warn", "link-state-unknown", { why: errorOf(thrown).message });
    }
    this.#early = undefined;
    this.#tell();
  }

  #listen(): void {
    const begunMonoMs = this.#options.clock.monoMs();
    this.#end = this.#ip.monitor(
      (line) => {
        if (this.#closed) return;
        if (this.#early !== undefined) this.#early.push(line);
        else if (this.#apply(line)) this.#tell();
      },
      () => {
        this.#end = undefined;
        if (!this.#closed) this.#ended(this.#options.clock.monoMs() - begunMonoMs);
      },
    );
  }

  #ended(afterMs: number): void {
    const { clock, telemetry } = this.#options;
    this.#quickEnds = afterMs < quickEndMs ? this.#quickEnds + 1 : 0;
    if (this.#quickEnds >= quickEndsMax) {
      telemetry.log("warn", "link-state-off", {
        why: "`ip monitor` ends at once",
        next: "install iproute2; probes go on watching the routes",
      });
      return;
    }
    if (this.#quickEnds === 0) telemetry.log("warn", "link-state-ended", { next: "it is started again; probes go on watching the routes" });
    this.#restart = clock.schedule(restartMs * 2 ** Math.max(0, this.#quickEnds - 1), () => void this.#watch());
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
