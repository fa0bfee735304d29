import { type JsonValue, MusterError, type Revision, type Telemetry, errorOf, formatRevision, isRecord } from "../kernel/index.ts";
import { isRouteValue, parseHostRouteKey, parseRouteAddress } from "../tables/index.ts";
import { type Check, type CheckPlace, parseCheck } from "./check.ts";
import { CheckLoop, type CheckLoopPorts } from "./check-loop.ts";

interface Row {
  readonly key: string;
  readonly value: JsonValue;
  readonly valid: boolean;
  readonly revision: Revision;
}

type Operation =
  | { readonly op: "set-valid"; readonly table: string; readonly key: string; readonly valid: boolean }
  | { readonly op: "add"; readonly table: string; readonly key: string; readonly value: JsonValue };

/** What the keeper needs of a fleet. */
export interface CheckedFleet {
  get(table: string, key: string): Row | undefined;
  search(table: string, prefix?: string): readonly Row[];
  subscribe(options: { readonly tables: readonly string[] }, handler: (event: { readonly entry?: Row }) => void): { cancel(): void };
  change(
    operations: readonly Operation[],
    options: { readonly ifRevision: readonly { readonly table: string; readonly key: string; readonly revision: string }[] },
  ): Promise<unknown>;
}

export interface CheckKeeperOptions {
  /** Rows of other hosts are left to their agents. */
  readonly host: string;
  /** Whether rows may name commands: they run with this agent's rights, so the host's own configuration must say so. */
  readonly allowCommandChecks: boolean;
}

/** A row of the table `checks`, parsed. Its key is "TABLE/KEY". */
interface CheckRow {
  readonly table: string;
  readonly key: string;
  readonly check: string;
  readonly everyMs: number;
  readonly host: string;
  /** Why the last verdict was "failed": written by the agent that runs the check, for `muster why`. */
  readonly reason?: string;
}

const checksTable = "checks";
const everyMsMin = 100;
const everyMsMax = 3_600_000;
const everyMsDefault = 1000;
/** Checks of one host; one more is reported and not run. */
const loopsMax = 10_000;
const reasonCharactersMax = 300;

/** Reads a row of `checks`. Throws `checks/bad-row`. */
function parseCheckRow(value: JsonValue): CheckRow {
  if (!isRecord(value)) throw badRow("it is not an object");
  const { table, key, check, everyMs = everyMsDefault, host, reason } = value;
  if (typeof table !== "string" || typeof key !== "string" || typeof check !== "string" || typeof host !== "string")
    throw badRow('"table", "key", "check" and "host" are texts');
  if (typeof everyMs !== "number" || !(everyMs >= everyMsMin && everyMs <= everyMsMax))
    throw badRow(`"everyMs" is not from ${everyMsMin} to ${everyMsMax}`);
  return { table, key, check, everyMs, host, ...(typeof reason === "string" ? { reason } : {}) };
}

/**
 * Keeps the entries of one host that have a row in `checks`: they are on the roll only while they answer. The rows may come
 * from anywhere in the fleet; each agent runs those of its own host.
 */
export class CheckKeeper {
  readonly #fleet: CheckedFleet;
  readonly #options: CheckKeeperOptions;
  readonly #ports: CheckLoopPorts;
  readonly #telemetry: Telemetry;
  readonly #loops = new Map<string, { readonly text: string; readonly loop: CheckLoop }>();
  readonly #subscription: { cancel(): void };

  constructor(fleet: CheckedFleet, options: CheckKeeperOptions, ports: CheckLoopPorts & { readonly telemetry: Telemetry }) {
    this.#fleet = fleet;
    this.#options = options;
    this.#ports = ports;
    this.#telemetry = ports.telemetry;
    this.#subscription = fleet.subscribe({ tables: [checksTable] }, ({ entry }) => {
      if (entry === undefined) this.#readAll();
      else this.#read(entry.key);
    });
    this.#readAll();
    ports.telemetry.gauge("muster_checks", () => this.#loops.size);
  }

  /** Checks that run now, and what they found last. */
  states(): readonly { readonly key: string; readonly verdict: string; readonly reason: string }[] {
    return [...this.#loops].map(([key, { loop }]) => ({ key, verdict: loop.state.verdict, reason: loop.state.reason }));
  }

  /** Entries keep the validity that they have. Idempotent. */
  close(): void {
    this.#subscription.cancel();
    for (const { loop } of this.#loops.values()) loop.close();
    this.#loops.clear();
  }

  #readAll(): void {
    const keys = new Set([...this.#loops.keys(), ...this.#fleet.search(checksTable).map((row) => row.key)]);
    for (const key of keys) this.#read(key);
  }

  /** Makes the loop of one row what the row says now. Its reason is our own note and changes nothing. */
  #read(rowKey: string): void {
    const row = this.#fleet.get(checksTable, rowKey);
    const parsed = row === undefined || !row.valid ? undefined : this.#parse(rowKey, row.value);
    const own = parsed?.host === this.#options.host ? parsed : undefined;
    const text = own === undefined ? undefined : [own.check, own.everyMs].join(" ");
    const known = this.#loops.get(rowKey);
    if (known?.text === text) return;
    known?.loop.close();
    this.#loops.delete(rowKey);
    if (own === undefined || text === undefined) return;
    if (this.#loops.size >= loopsMax) {
      this.#telemetry.log("error", "too-many-checks", { key: rowKey, limit: loopsMax });
      return;
    }
    this.#loops.set(rowKey, { text, loop: this.#start(rowKey, own) });
  }

  #parse(rowKey: string, value: JsonValue): CheckRow | undefined {
    try {
      const row = parseCheckRow(value);
      if (rowKey === `${row.table}/${row.key}`) return row;
      throw badRow(`its key is not "${row.table}/${row.key}"`);
    } catch (thrown) {
      this.#telemetry.log("warn", "check-row-refused", { key: rowKey, reason: errorOf(thrown).message });
      return undefined;
    }
  }

  #start(rowKey: string, row: CheckRow): CheckLoop {
    const { table, key, everyMs } = row;
    return new CheckLoop(
      {
        everyMs,
        check: () => this.#checkOf(row),
        agrees: (verdict) => (this.#fleet.get(table, key)?.valid ?? verdict === "healthy") === (verdict === "healthy"),
        turned: async (verdict, reason) => {
          this.#telemetry.log(verdict === "healthy" ? "info" : "warn", "check-turned", { key: rowKey, verdict, reason });
          this.#telemetry.count("muster_check_turns_total", 1, { verdict });
          await this.#tell(rowKey, verdict === "healthy", reason).catch((thrown: unknown) => {
            this.#telemetry.log("warn", "check-not-applied", { key: rowKey, verdict, reason: errorOf(thrown).message });
            throw thrown;
          });
        },
      },
      this.#ports,
    );
  }

  /** The verdict and its reason go onto the roll together; not when the row of the check has changed meanwhile. */
  async #tell(rowKey: string, valid: boolean, reason: string): Promise<void> {
    const row = this.#fleet.get(checksTable, rowKey);
    if (row === undefined) return;
    const { reason: noted, ...parsed } = parseCheckRow(row.value);
    const { table, key } = parsed;
    if (this.#fleet.get(table, key) === undefined) throw badRow(`there is no entry ${table}/${key}`);
    const note = valid ? undefined : reason.slice(0, reasonCharactersMax);
    const value = note === undefined ? parsed : { ...parsed, reason: note };
    const operations: Operation[] = [{ op: "set-valid", table, key, valid }];
    if (note !== noted) operations.push({ op: "add", table: checksTable, key: rowKey, value });
    await this.#fleet.change(operations, { ifRevision: [{ table: checksTable, key: rowKey, revision: formatRevision(row.revision) }] });
  }

  #checkOf(row: CheckRow): Check | string {
    let check: Check;
    try {
      check = parseCheck(row.check, this.#placeOf(row));
    } catch (thrown) {
      return errorOf(thrown).message;
    }
    if (check.kind !== "command" || this.#options.allowCommandChecks) return check;
    return `the agent of ${row.host} does not run commands (--allow-command-checks)`;
  }

  /** Where the checked server listens: its port, on the current route of its host. */
  #placeOf({ table, key }: CheckRow): CheckPlace | undefined {
    const value = this.#fleet.get(table, key)?.value;
    if (value === undefined || !isRouteValue(value)) return undefined;
    const routes = this.#fleet
      .search("host-route", `${value.host}.`)
      .filter((route) => route.valid && parseHostRouteKey(route.key)?.host === value.host)
      .sort((a, b) => (parseHostRouteKey(a.key)?.number ?? 0) - (parseHostRouteKey(b.key)?.number ?? 0));
    const address = routes[0] === undefined ? undefined : parseRouteAddress(routes[0].value);
    return { host: address ?? "127.0.0.1", port: value.port };
  }
}

function badRow(why: string): MusterError {
  return new MusterError("checks/bad-row", `this row of the table checks cannot be used: ${why}`, {
    next: "write it with: muster add TABLE KEY VALUE --check CHECK",
  });
}
