import { styleText } from "node:util";
import type { Entry, FleetEvent } from "../fleet/index.ts";
import { isRecord } from "../kernel/index.ts";

/** What `muster up` tells while it starts, follows and ends a fleet. */
export interface FleetReport {
  starting(name: string, processes: number, notes: readonly string[]): void;
  ready(name: string, done: number, of: number): void;
  serves(serving: Serving): void;
  event(event: FleetEvent): void;
  died(name: string, pid: number, how: string, restart: string): void;
  stopping(why: string, processes: number): void;
  stopped(killed: readonly string[]): void;
}

export interface Serving {
  readonly name: string;
  readonly urls: readonly string[];
  readonly agentSocket: string;
  readonly notes: readonly string[];
  readonly tookMs: number;
  readonly suggestions: readonly string[];
  /** A server to shoot at. */
  readonly example?: { readonly table: string; readonly key: string; readonly pid: number; readonly restart: string };
  readonly muster: string;
  readonly mapFile: string;
}

function routeOf({ value }: Entry): string {
  if (isRecord(value) && typeof value["host"] === "string") return `${value["host"]}:${String(value["port"])}`;
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** For people: one line for each thing that happens; colour and a moving progress line only on a terminal. */
export class PeopleReport implements FleetReport {
  readonly #write: (text: string) => void;
  readonly #now: () => Date;
  readonly #terminal: boolean;
  #onProgressLine = false;

  constructor(options: {
    readonly write: (text: string) => void;
    readonly now: () => Date;
    readonly terminal: boolean;
    readonly colour: boolean;
  }) {
    this.#write = options.write;
    this.#now = options.now;
    this.#terminal = options.terminal;
    if (!options.colour) this.#paint = (_, text) => text;
  }

  #paint = (colour: "bold" | "dim" | "green" | "red" | "yellow" | "cyan", text: string): string =>
    styleText(colour, text, { validateStream: false });

  starting(name: string, processes: number, notes: readonly string[]): void {
    this.#line(`${this.#paint("bold", name)}: ${processes} processes`);
    for (const note of notes) this.#line(this.#paint("yellow", `  ${note}`));
  }

  ready(name: string, done: number, of: number): void {
    if (!this.#terminal) return;
    this.#write(`\r\x1b[2K  ${done}/${of}  ${name}`);
    this.#onProgressLine = true;
  }

  serves({ name, urls, agentSocket, notes, tookMs, suggestions, example, muster, mapFile }: Serving): void {
    this.#line(`${this.#paint("bold", name)} serves after ${(tookMs / 1000).toFixed(1)} s`);
    for (const note of notes) this.#line(this.#paint("yellow", `  ${note}`));
    this.#line("");
    urls.forEach((url, index) =>
      this.#line(index === 0 ? `  ${this.#paint("cyan", url)}` : `  ${this.#paint("dim", `${url}  (another one)`)}`),
    );
    this.#line("");
    this.#line(`  export MUSTER_AGENT=${agentSocket}`);
    this.#line("");
    this.#line("  Try:");
    for (const suggestion of suggestions) this.#line(`    ${suggestion.replaceAll("{url}", urls[0] ?? "")}`);
    if (example !== undefined) {
      this.#line(`    ${muster} find ${example.table} ${example.key}`);
      this.#line(`    ${muster} watch ${example.table}`);
      this.#line(`    kill -9 ${example.pid}          # ${example.key} dies; the roll says so here at once, and files stay available`);
      this.#line("    # start it again:");
      this.#line(`    ${example.restart}`);
    }
    this.#line("");
    this.#line(this.#paint("dim", `  All processes: ${mapFile}. Ctrl-C ends the fleet; what is stored stays.`));
    this.#line("");
  }

  event({ event, table, entry }: FleetEvent): void {
    const time = this.#paint("dim", this.#now().toTimeString().slice(0, 8));
    if (entry === undefined) {
      this.#line(`${time}  ${this.#paint("yellow", "…")} ${table}: some changes were not shown`);
      return;
    }
    const what = `${table.padEnd(18)} ${entry.key.padEnd(8)} ${routeOf(entry)}`;
    if (event === "Delete") this.#line(`${time}  ${this.#paint("yellow", "-")} ${what}  left`);
    else if (entry.valid) this.#line(`${time}  ${this.#paint("green", "+")} ${what}  valid`);
    else this.#line(`${time}  ${this.#paint("red", "✗")} ${what}  not valid`);
  }

  died(name: string, pid: number, how: string, restart: string): void {
    this.#line(this.#paint("red", `          ${name} (process ${pid}) ended ${how}. Start it again with:`));
    this.#line(`          ${restart}`);
  }

  stopping(why: string, processes: number): void {
    this.#line(`\n${why}: ending ${processes} processes, servers first`);
  }

  stopped(killed: readonly string[]): void {
    if (killed.length > 0) this.#line(this.#paint("red", `did not end in time and were killed: ${killed.join(", ")}`));
    this.#line("all processes have ended");
  }

  #line(text: string): void {
    this.#write(`${this.#onProgressLine ? "\r\x1b[2K" : ""}${text}\n`);
    this.#onProgressLine = false;
  }
}

/** For scripts: one JSON object a line. */
export class JsonReport implements FleetReport {
  readonly #write: (text: string) => void;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  starting(name: string, processes: number, notes: readonly string[]): void {
    this.#line({ event: "starting", name, processes, notes });
  }

  ready(name: string, done: number, of: number): void {
    this.#line({ event: "ready", name, done, of });
  }

  serves(serving: Serving): void {
    this.#line({ event: "serves", ...serving });
  }

  event({ event, table, entry }: FleetEvent): void {
    const row = entry === undefined ? {} : { entry: { key: entry.key, value: entry.value, valid: entry.valid } };
    this.#line({ event, table, ...row });
  }

  died(name: string, pid: number, how: string, restart: string): void {
    this.#line({ event: "died", name, pid, how, restart });
  }

  stopping(why: string, processes: number): void {
    this.#line({ event: "stopping", why, processes });
  }

  stopped(killed: readonly string[]): void {
    this.#line({ event: "stopped", killed });
  }

  #line(value: unknown): void {
    this.#write(`${JSON.stringify(value)}\n`);
  }
}
