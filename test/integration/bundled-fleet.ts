import { type ChildProcess, spawn } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { Fleet } from "../../src/index.ts";
import { FleetProcess, type ProcessSpec } from "../../src/main/fleet-process.ts";
import { processLife } from "../../src/main/fleet-map.ts";

/** One process as `fleet.json` names it. */
export interface FleetMember {
  readonly kind: ProcessSpec["kind"];
  readonly key: string;
  readonly table: string | null;
  readonly host: string;
  readonly pid: number | null;
  readonly life?: string;
  readonly http: string | null;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly log: string;
}

export interface FleetMapFile {
  readonly pid: number;
  readonly agent: string;
  readonly url: string;
  readonly processes: readonly FleetMember[];
}

/** The service instances of metadata servers, and the process that a server of one runs in, as fleet.yaml has it. */
export const metadataInstances = ["MDS.1", "MDS.2", "MDS.3"] as const;

export interface GroupNow {
  readonly synchronising: string;
  readonly members: number;
}

/** What the roll says of a metadata instance's ordering group. */
export function metadataGroup(roll: Fleet, instance: string): GroupNow {
  const value = Object(roll.get("groups", `metadata/${instance}`)?.value);
  return { synchronising: String(Reflect.get(value, "synchronising")), members: Array.from(Reflect.get(value, "members") ?? []).length };
}

/** Has every instance both of its copies? */
export function hasAllCopies(roll: Fleet): boolean {
  return metadataInstances.every((instance) => metadataGroup(roll, instance).members === 2);
}

export function metadataProcessOf(server: string): string {
  const [, instance, place] = server.split(".").map(Number);
  return place === 2 ? `MDS.${((instance ?? 0) % metadataInstances.length) + 1}.1` : server;
}

const startMsMax = 60_000;
const stopMsMax = 40_000;
const musterFile = join(import.meta.dirname, "../../bin/muster.js");
const exampleFolder = join(import.meta.dirname, "../../examples/filestore");

/** The bundled fleet on loopback addresses of its own, so that another fleet on this machine never takes a dead server's port. */
async function writeFleetFile(dataFolder: string): Promise<string> {
  const text = await readFile(join(exampleFolder, "fleet.yaml"), "utf8");
  const net = 3 + 2 * Math.floor(Math.random() * 120);
  const path = `${dataFolder}.yaml`;
  const moved = text
    .replaceAll("{here}", exampleFolder)
    .replaceAll(/\b127\.([12])\./g, (_, route: string) => `127.${net + Number(route)}.`);
  await writeFile(path, moved);
  return path;
}

export async function until(what: string | (() => string), limitMs: number, holds: () => boolean | Promise<boolean>): Promise<void> {
  const startedMs = performance.now();
  while (!(await holds())) {
    if (performance.now() - startedMs > limitMs) throw new Error(`not within ${limitMs} ms: ${typeof what === "string" ? what : what()}`);
    await delay(20);
  }
}

/** Runs the command line once, with the fleet's agent. */
export async function muster(words: readonly string[], agent: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [musterFile, ...words], {
    env: { ...process.env, MUSTER_AGENT: agent },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const read = async (stream: Readable) => Buffer.concat(await stream.toArray()).toString();
  const [stdout, stderr, code] = await Promise.all([
    read(child.stdout),
    read(child.stderr),
    new Promise<number | null>((resolve) => child.once("close", resolve)),
  ]);
  return { code, stdout, stderr };
}

/** The fleet of examples/filestore, started by `muster up` on a data folder, with what is needed to shoot at it. */
export class BundledFleet implements AsyncDisposable {
  readonly dataFolder: string;
  readonly map: FleetMapFile;
  readonly tookMs: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  readonly #output: { text: string };
  readonly #restarted = new Map<string, FleetProcess>();

  private constructor(
    dataFolder: string,
    map: FleetMapFile,
    tookMs: number,
    child: ChildProcess,
    ended: Promise<number | null>,
    output: { text: string },
  ) {
    this.dataFolder = dataFolder;
    this.map = map;
    this.tookMs = tookMs;
    this.#child = child;
    this.#ended = ended;
    this.#output = output;
  }

  /** Resolves when the line with the gateway's address was printed. */
  static async start(dataFolder: string): Promise<BundledFleet> {
    const startedMs = performance.now();
    const fleetFile = await writeFleetFile(dataFolder);
    const child = spawn(process.execPath, [musterFile, "up", fleetFile], {
      env: { ...process.env, MUSTER_DATA: dataFolder },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const output = { text: "" };
    let exited = false;
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => (output.text += bytes.toString()));
    const ended = new Promise<number | null>((resolve) => {
      child.once("close", (code) => {
        exited = true;
        resolve(code);
      });
    });
    try {
      await until("the fleet serves", startMsMax, () => exited || /http:\/\/[\d.:[\]]+\/files/.test(output.text));
      if (exited) throw new Error(`muster up has ended:\n${output.text}`);
    } catch (thrown) {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), stopMsMax);
      await ended;
      clearTimeout(timer);
      throw new Error(`${String(thrown)}\n${output.text}`);
    }
    const tookMs = performance.now() - startedMs;
    return new BundledFleet(dataFolder, await readMap(dataFolder), tookMs, child, ended, output);
  }

  get output(): string {
    return this.#output.text;
  }

  get urls(): string[] {
    return this.map.processes.flatMap(({ http, table }) => (http !== null && table === "gateway" ? [http] : []));
  }

  member(key: string): FleetMember {
    const member = this.map.processes.find((one) => one.key === key);
    if (member === undefined) throw new Error(`there is no ${key}`);
    return member;
  }

  /** Any agent but that of the given host. */
  agentOf(host: string): string {
    const server = this.map.processes.find((one) => one.kind === "server" && one.host === host);
    return server?.env["MUSTER_AGENT"] ?? this.map.agent;
  }

  /** Of the process that runs under this key now. */
  pidOf(key: string): number {
    const pid = this.#restarted.get(key)?.pid ?? this.member(key).pid;
    if (pid === null) throw new Error(`${key} does not run`);
    return pid;
  }

  /** kill -9, and waits until the process is gone. */
  async kill(key: string): Promise<void> {
    const pid = this.pidOf(key);
    const life = processLife(pid);
    process.kill(pid, "SIGKILL");
    await until(`${key} is gone`, 5000, () => processLife(pid) !== life);
    this.#restarted.delete(key);
  }

  /** Runs the command that `muster up` prints for a dead process. */
  restart(key: string): FleetProcess {
    const { kind, host, table, command, env, log } = this.member(key);
    const spec = { kind, name: key, host, command, env, logFile: `${log}.again`, ...(table === null ? {} : { table }) };
    const started = new FleetProcess(spec, { ...process.env, NODE_COMPILE_CACHE: join(this.dataFolder, "cache") });
    this.#restarted.set(key, started);
    return started;
  }

  /** Ends everything in order; resolves with the exit code of `muster up`. */
  async stop(signal: "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGKILL" = "SIGTERM"): Promise<number | null> {
    const never = new AbortController().signal;
    await Promise.all(Array.from(this.#restarted.values(), (one) => one.stop(10_000, never)));
    this.#restarted.clear();
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), stopMsMax);
    const code = await this.#ended;
    clearTimeout(timer);
    await rm(`${this.dataFolder}.yaml`, { force: true });
    return code;
  }

  /** The last lines that the servers of a table have logged, for a failure that nobody sees again. */
  async logTails(table: string): Promise<string> {
    const files = this.map.processes.flatMap((one) => (one.table === table ? [one.log, `${one.log}.again`] : []));
    const texts = await Promise.all(files.map((file) => readFile(file, "utf8").catch(() => "")));
    return texts.map((text) => text.split("\n").slice(-8).join("\n")).join("");
  }

  /** Those of the fleet's first processes that still run. */
  leftovers(): string[] {
    return this.map.processes.flatMap(({ pid, life, key }) => (pid !== null && processLife(pid) === life ? [key] : []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function readMap(dataFolder: string): Promise<FleetMapFile> {
  return JSON.parse(await readFile(join(dataFolder, "fleet.json"), "utf8"));
}
