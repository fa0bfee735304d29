import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { type Document, LineCounter, type Node, isNode, parseDocument } from "yaml";
import { type JsonValue, MusterError, errorOf, isRecord } from "../kernel/index.ts";

/** A fleet on one machine, as FLEET.yaml describes it. */
export interface FleetFile {
  readonly name: string;
  readonly directory: { readonly host: string; readonly port: number };
  /** Host name → the addresses of its routes. */
  readonly hosts: ReadonlyMap<string, readonly string[]>;
  /** Standing rows to write where there are none: table → key → value. */
  readonly rows: ReadonlyMap<string, ReadonlyMap<string, JsonValue>>;
  readonly servers: readonly FleetServer[];
  /** Commands to show when the fleet serves. */
  readonly suggestions: readonly string[];
}

export interface FleetServer {
  readonly table: string;
  readonly key: string;
  readonly host: string;
  /** The port that is wanted; 0 for any. */
  readonly port: number;
  /** Words with placeholders in braces; the first is `node` or `muster`. */
  readonly command: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  /** Where people reach it, with placeholders. */
  readonly url?: string;
}

/** What a field is called in an error: `servers[2].on.GW.1`. */
type Path = readonly (string | number)[];

const hostsMax = 200;
const serversMax = 500;
const placeholders = new Set(["here", "key", "host", "address", "port", "data", "listen"]);

/** Reads values out of the document and names line and field of what is wrong. */
class FleetFileReader {
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #fileName: string;
  readonly #value: unknown;

  constructor(text: string, fileName: string) {
    this.#lines = new LineCounter();
    this.#fileName = fileName;
    const document = parseDocument(text, { lineCounter: this.#lines, uniqueKeys: true });
    this.#document = document;
    const problem = document.errors[0];
    if (problem !== undefined)
      throw new MusterError("main/bad-fleet-file", `${fileName}: ${problem.message.split("\n")[0]}`, { next: "correct the YAML" });
    this.#value = document.toJS({ maxAliasCount: 100 });
  }

  at(path: Path): unknown {
    let value = this.#value;
    for (const step of path) value = typeof value === "object" && value !== null ? Reflect.get(value, step) : undefined;
    return value;
  }

  refuse(path: Path, what: string, next: string): never {
    let line = "";
    for (let depth = path.length; depth >= 0 && line === ""; depth--) {
      const node: Node | unknown = depth === 0 ? this.#document.contents : this.#document.getIn(path.slice(0, depth), true);
      if (isNode(node) && node.range) line = `:${this.#lines.linePos(node.range[0]).line}`;
    }
    const field = path.map((step, index) => (typeof step === "number" ? `[${step}]` : index === 0 ? step : `.${step}`)).join("");
    throw new MusterError("main/bad-fleet-file", `${this.#fileName}${line}: ${field} ${what}`, { next });
  }

  keys(path: Path): string[] {
    const value = this.at(path);
    if (value === undefined) return [];
    if (!isRecord(value)) return this.refuse(path, "is not a mapping", "write NAME: VALUE lines");
    return Object.keys(value);
  }

  onlyKeys(path: Path, allowed: readonly string[]): void {
    for (const key of this.keys(path))
      if (!allowed.includes(key)) this.refuse([...path, key], "is not known here", `use ${allowed.join(", ")}`);
  }

  text(path: Path, pattern: RegExp, form: string): string {
    const value = this.at(path);
    if (value === undefined) return this.refuse(path, "is missing", `add it: ${form}`);
    if (typeof value !== "string" || !pattern.test(value)) return this.refuse(path, `is not ${form}`, `write ${form}`);
    return value;
  }

  port(path: Path, fallback: number): number {
    const value = this.at(path) ?? fallback;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 65_535)
      return this.refuse(path, "is not a port", "write a number from 0 (any) to 65535");
    return value;
  }

  texts(path: Path, form: string): string[] {
    const value = this.at(path);
    if (!Array.isArray(value) || value.length === 0 || !value.every((one): one is string => typeof one === "string"))
      return this.refuse(path, `is not ${form}`, `write a list: ${form}`);
    return value;
  }
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const addressPattern = /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)$/;

function readHosts(reader: FleetFileReader): Map<string, readonly string[]> {
  const hosts = new Map<string, readonly string[]>();
  for (const name of reader.keys(["hosts"])) {
    if (!namePattern.test(name)) reader.refuse(["hosts", name], "is not a host's name", "use letters, digits, '.', '_' and '-'");
    const routes = reader.texts(["hosts", name], "a list of addresses, e.g. [127.1.2.1, 127.2.2.1]");
    routes.forEach((route, index) => {
      if (!addressPattern.test(route)) reader.refuse(["hosts", name, index], "is not a numeric address", "write IPv4 or IPv6 numbers");
    });
    hosts.set(name, routes);
  }
  if (hosts.size === 0) reader.refuse(["hosts"], "is missing or empty", "name the hosts, each with its routes");
  if (hosts.size > hostsMax) reader.refuse(["hosts"], `names ${hosts.size} hosts`, `use at most ${hostsMax} on one machine`);
  return hosts;
}

function readCommand(reader: FleetFileReader, path: Path): readonly string[] {
  const command = reader.texts(path, "a list of words, e.g. [node, server.ts]");
  if (command[0] !== "node" && command[0] !== "muster")
    reader.refuse(
      [...path, 0],
      "is neither node nor muster",
      "start any other program with [muster, serve, TABLE, KEY, --port, '{port}', --, COMMAND]",
    );
  command.forEach((word, index) => {
    for (const [, name] of word.matchAll(/\{(\w+)\}/g))
      if (!placeholders.has(name ?? ""))
        reader.refuse([...path, index], `uses {${name}}, which is not known`, `use {${Array.from(placeholders).join("}, {")}}`);
  });
  return command;
}

function readServers(reader: FleetFileReader, hosts: ReadonlyMap<string, unknown>): FleetServer[] {
  const groups = reader.at(["servers"]) ?? [];
  if (!Array.isArray(groups)) return reader.refuse(["servers"], "is not a list", "write one item a kind of server");
  const servers = groups.flatMap((_, index) => {
    const path = ["servers", index];
    reader.onlyKeys(path, ["table", "port", "command", "env", "url", "on"]);
    const table = reader.text([...path, "table"], /^[a-z][a-z0-9-]{0,62}$/, "a table's name, e.g. gateway");
    const port = reader.port([...path, "port"], 0);
    const command = readCommand(reader, [...path, "command"]);
    const env = new Map(
      reader.keys([...path, "env"]).map((name) => [name, reader.text([...path, "env", name], /^[^\0]*$/, "a text")] as const),
    );
    const url =
      reader.at([...path, "url"]) === undefined ? {} : { url: reader.text([...path, "url"], /^https?:\/\//, "an address of the web") };
    return reader.keys([...path, "on"]).map((key) => {
      const host = reader.text([...path, "on", key], namePattern, "a host's name");
      if (!hosts.has(host)) reader.refuse([...path, "on", key], `names ${host}, which is not among the hosts`, "add it below hosts");
      if (!namePattern.test(key)) reader.refuse([...path, "on", key], "is not a server's key", "use letters, digits, '.', '_' and '-'");
      return { table, key, host, port, command, env, ...url };
    });
  });
  const seen = new Set<string>();
  for (const { key } of servers) {
    if (seen.has(key)) reader.refuse(["servers"], `names ${key} twice`, "give every server its own key");
    seen.add(key);
  }
  if (servers.length > serversMax) reader.refuse(["servers"], `names ${servers.length} servers`, `use at most ${serversMax}`);
  return servers;
}

/** Throws `main/bad-fleet-file` with the line and the field. */
export function parseFleetFile(text: string, fileName: string): FleetFile {
  const reader = new FleetFileReader(text, fileName);
  reader.onlyKeys([], ["name", "directory", "hosts", "rows", "servers", "try"]);
  const hosts = readHosts(reader);
  reader.onlyKeys(["directory"], ["host", "port"]);
  const host = reader.text(["directory", "host"], namePattern, "a host's name");
  if (!hosts.has(host)) reader.refuse(["directory", "host"], `names ${host}, which is not among the hosts`, "add it below hosts");
  const rows = new Map(
    reader.keys(["rows"]).map((table) => [table, new Map(reader.keys(["rows", table]).map((key) => [key, parseRow(reader, table, key)]))]),
  );
  return {
    name: reader.at(["name"]) === undefined ? "fleet" : reader.text(["name"], namePattern, "a name"),
    directory: { host, port: reader.port(["directory", "port"], 7550) },
    hosts,
    rows,
    servers: readServers(reader, hosts),
    suggestions: reader.at(["try"]) === undefined ? [] : reader.texts(["try"], "a list of commands"),
  };
}

function parseRow(reader: FleetFileReader, table: string, key: string): JsonValue {
  const value = reader.at(["rows", table, key]);
  if (typeof value === "bigint" || value === undefined)
    return reader.refuse(["rows", table, key], "is not JSON", "write a text, number or mapping");
  return value as JsonValue;
}

export async function readFleetFile(path: string): Promise<FleetFile> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new MusterError("main/no-fleet-file", `${path} cannot be read: ${errorOf(cause).message}`, {
      next: "name a FLEET.yaml: muster up FLEET.yaml",
      cause,
    });
  }
  return parseFleetFile(text, basename(path));
}
