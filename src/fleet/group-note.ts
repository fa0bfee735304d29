import { type MusterError, errorOf } from "../kernel/index.ts";
import type { RequestOperation, RollNode } from "../roll/index.ts";
import { type StateName, parseState, parseText, stateKey, statesTable, tableNumbers } from "../tables/index.ts";

const againMs = 1000;
const reasonCharactersMax = 500;
const apart: StateName = "apart";

/** Says on the roll, for lookups and for people, that a server of a group stays outside of it, and why; takes it back when it is in. */
export class GroupNote {
  readonly #node: RollNode;
  readonly #place: string | undefined;
  #wanted: MusterError | undefined;
  #isBusy = false;
  #isClosed = false;

  constructor(node: RollNode, table: string, key: string) {
    this.#node = node;
    this.#place = stateKey(table, key);
  }

  /** Undefined: it is in, or on its way in. */
  say(why: MusterError | undefined): void {
    this.#wanted = why;
    this.#step();
  }

  close(): void {
    this.#isClosed = true;
  }

  #step(): void {
    const operation = this.#isBusy || this.#isClosed ? undefined : this.#next();
    if (operation === undefined) return;
    this.#isBusy = true;
    const { clock, telemetry } = this.#node.ports;
    const done = (): void => {
      this.#isBusy = false;
      this.#step();
    };
    this.#node.change([operation]).then(done, (thrown: unknown) => {
      telemetry.log("debug", "state-refused", { place: this.#place ?? "", reason: errorOf(thrown).message });
      clock.schedule(againMs, done);
    });
  }

  /** What is missing on the roll; another state than this one is somebody else's word, and stays. */
  #next(): RequestOperation | undefined {
    const { replica, ports, options } = this.#node;
    const place = this.#place;
    if (place === undefined) return undefined;
    const row = replica.row(tableNumbers.states, place);
    const why = this.#wanted;
    if (row === undefined && why !== undefined) {
      const reason = (why.next === undefined ? why.message : `${why.message}. Next: ${why.next}`).slice(0, reasonCharactersMax);
      const value = { state: apart, reason, by: options.name, sinceUnixMs: ports.clock.unixMs() };
      return { op: "add", table: statesTable, key: place, value, valid: true };
    }
    if (row === undefined || why !== undefined || parseState(parseText(row.text)).state !== apart) return undefined;
    return { op: "delete", table: statesTable, key: place, force: false };
  }
}
