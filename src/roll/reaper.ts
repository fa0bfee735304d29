import type { Telemetry } from "../kernel/index.ts";
import { type Replica, tableNumbers } from "../tables/index.ts";
import type { Authority } from "./authority.ts";
import { isOfAgent } from "./host-row.ts";
import { leaveInstance } from "./instance-rules.ts";
import { erase } from "./rule-view.ts";
import { sessionOfOwner } from "./rules.ts";
import { eraseRoutes, hostStays } from "./table-rules.ts";

export interface ReaperPorts {
  readonly replica: Replica;
  readonly telemetry: Telemetry;
  readonly reapAfterMs: number;
  readonly authority: () => Authority;
  /** The row of a host was removed; nothing needs to be known of it any more. */
  readonly forgotten: (host: string) => void;
}

interface Place {
  readonly table: number;
  readonly key: string;
}

/** With a row go its state and its place in an instance's row, with a host up to eight routes and their states. */
const entriesPerChange = 30;
const hostsPerChange = 5;

/**
 * Removes what nobody comes back to: bound entries that have been invalid for long, by themselves or with their host, and hosts that an
 * agent wrote, when nothing lies on them any more. What a person added stays. Time is counted while the directory is up, and begins anew
 * when a row is written.
 */
export class Reaper {
  readonly #ports: ReaperPorts;
  #ages = new Map<string, number>();

  constructor(ports: ReaperPorts) {
    this.#ports = ports;
  }

  /** One pass; it is called every `everyMs`. What could not be removed is tried again by the next. */
  pass(everyMs: number): void {
    const { telemetry } = this.#ports;
    const { entries, hosts } = this.#due(everyMs);
    const failed = (thrown: unknown) => telemetry.log("error", "duty-failed", { duty: "reap", reason: String(thrown) });
    for (let start = 0; start < entries.length; start += entriesPerChange)
      this.#removeEntries(entries.slice(start, start + entriesPerChange)).catch(failed);
    // Decided after the entries, so a host goes by the same pass as the last that lay on it.
    for (let start = 0; start < hosts.length; start += hostsPerChange)
      this.#removeHosts(hosts.slice(start, start + hostsPerChange)).catch(failed);
  }

  #due(everyMs: number): { readonly entries: readonly Place[]; readonly hosts: readonly string[] } {
    const { replica, reapAfterMs } = this.#ports;
    const ages = new Map<string, number>();
    const entries: Place[] = [];
    const hosts: string[] = [];
    for (const table of replica.tableNumbers())
      for (const row of replica.entries(table)) {
        const isHost = table === tableNumbers.hosts && row.incarnation === 0;
        if (isHost ? row.flag || !isOfAgent(row.text) : row.incarnation === 0 || replica.isValid(table, row.key)) continue;
        const name = `${table}\u0000${row.key}\u0000${row.sequence}`;
        const ageMs = (this.#ages.get(name) ?? -everyMs) + everyMs;
        ages.set(name, ageMs);
        if (ageMs < reapAfterMs) continue;
        if (isHost) hosts.push(row.key);
        else entries.push({ table, key: row.key });
      }
    this.#ages = ages;
    return { entries, hosts };
  }

  #removeEntries(places: readonly Place[]): Promise<unknown> {
    const authority = this.#ports.authority();
    return authority.duty((draft) => {
      for (const { table: number, key } of places) {
        const row = draft.row(number, key);
        const table = this.#ports.replica.tableByNumber(number);
        if (row === undefined || table === undefined || row.incarnation === 0) continue;
        // One that is valid in itself only shares the fate of its host, which an operator may have set invalid: its program may live.
        if (row.valid && authority.sessionLives(sessionOfOwner(row.owner))) continue;
        leaveInstance(authority.ground, table, key);
        erase(authority.ground, table, key);
      }
      return true;
    });
  }

  async #removeHosts(names: readonly string[]): Promise<void> {
    const authority = this.#ports.authority();
    const removed: string[] = [];
    await authority.duty((draft) => {
      const tables = [tableNumbers.hosts, tableNumbers.hostRoute].map((number) => this.#ports.replica.tableByNumber(number));
      const [hosts, routes] = tables;
      if (hosts === undefined || routes === undefined) return false;
      for (const name of names) {
        const row = draft.row(tableNumbers.hosts, name);
        if (row === undefined || row.valid || !isOfAgent(row.text) || hasAgent(authority, name)) continue;
        // Without its row a dead host's servers would count as alive.
        if (hostStays(authority.ground, name) !== undefined) continue;
        eraseRoutes(authority.ground, routes, name);
        erase(authority.ground, hosts, name);
        removed.push(name);
      }
      return true;
    });
    const { telemetry, forgotten } = this.#ports;
    for (const name of removed) forgotten(name);
    if (removed.length > 0) telemetry.log("info", "hosts-forgotten", { hosts: removed });
  }
}

/** An agent that lives is that of a host which an operator set invalid. */
function hasAgent({ sessions }: Authority, host: string): boolean {
  for (const { kind, name } of sessions.values()) if (kind === "agent" && name === host) return true;
  return false;
}
