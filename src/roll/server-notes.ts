import { type Clock, type Telemetry, errorOf, formatRevision } from "../kernel/index.ts";
import { type EntryState, type Replica, type StateName, stateKey, statesTable, tableNumbers } from "../tables/index.ts";
import { stateOfText, stateValue } from "./entry-states.ts";
import type { Condition, RequestOperation } from "./requests.ts";

export interface ServerNotesPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly replica: Replica;
  /** The node that says it. */
  readonly name: string;
  readonly change: (operations: readonly RequestOperation[], conditions: readonly Condition[]) => Promise<unknown>;
}

/**
 * What the watcher of a living server says of it in `states`. Each word names the revisions that it was decided on: when the
 * server was bound anew meanwhile, or somebody else said something of it, the word is refused.
 */
export class ServerNotes {
  readonly #ports: ServerNotesPorts;
  readonly #open = new Set<string>();

  constructor(ports: ServerNotesPorts) {
    this.#ports = ports;
  }

  stateOf(table: string, key: string): EntryState | undefined {
    const { replica } = this.#ports;
    if (replica.entryCount(tableNumbers.states) === 0) return undefined;
    const place = stateKey(table, key);
    const row = place === undefined ? undefined : replica.row(tableNumbers.states, place);
    return row === undefined ? undefined : stateOfText(row.text);
  }

  /** Replaces nothing but a doubt; said again when it was refused and is still so. */
  say(table: string, key: string, state: StateName, reason: string): void {
    const place = stateKey(table, key);
    const known = this.stateOf(table, key)?.state;
    if (place === undefined || (known !== undefined && known !== "doubted")) return;
    const { clock, name } = this.#ports;
    const value = stateValue({ state, reason, by: name, sinceUnixMs: clock.unixMs() });
    this.#write(table, key, place, { op: "add", table: statesTable, key: place, value, valid: true });
  }

  /** Takes a word back, if it is one of these. */
  clear(table: string, key: string, states: readonly StateName[]): void {
    const place = stateKey(table, key);
    const known = this.stateOf(table, key)?.state;
    if (place === undefined || known === undefined || !states.includes(known)) return;
    this.#write(table, key, place, { op: "delete", table: statesTable, key: place, force: false });
  }

  #write(table: string, key: string, place: string, operation: RequestOperation): void {
    if (this.#open.has(place)) return;
    const { replica, telemetry, change } = this.#ports;
    const number = replica.table(table)?.number;
    const row = number === undefined ? undefined : replica.row(number, key);
    if (row === undefined) return;
    const known = replica.row(tableNumbers.states, place);
    this.#open.add(place);
    change(
      [operation],
      [
        { table, key, revision: formatRevision(row) },
        { table: statesTable, key: place, revision: known === undefined ? "absent" : formatRevision(known) },
      ],
    )
      .catch((thrown: unknown) => telemetry.log("debug", "state-refused", { place, reason: errorOf(thrown).message }))
      .finally(() => this.#open.delete(place));
  }
}
