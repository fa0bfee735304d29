import { type Clock, MusterError, type Telemetry, sleep } from "../kernel/index.ts";
import {
  type Replica,
  hostOfText,
  isRouteValue,
  parseHostRouteKey,
  parseRouteAddress,
  parseText,
  tableNumbers,
  targetOfStateKey,
} from "../tables/index.ts";
import { type Transport, parseAddress } from "../transport/index.ts";
import { stateOfText } from "./entry-states.ts";

export interface DoubtsPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly replica: Replica;
  readonly transport: Transport;
  /** The incarnation of a server that this node watches; undefined for one that it does not. */
  readonly incarnation: (table: number, key: string) => number | undefined;
  /** Whether the process behind it has ended; what follows from that is the watch's business. */
  readonly isGone: (table: number, key: string) => boolean;
  /** It answers, or nothing could be found out: the doubt is over. */
  readonly dispelled: (table: string, key: string) => void;
  /** Nothing listens on its port, although its host is here: proof. */
  readonly confirmed: (table: number, key: string, incarnation: number, where: string) => void;
  /** Something listens again on the port of a server that was given up. */
  readonly listens: (table: string, key: string, session: number) => void;
}

const connectMsMax = 200;
/** A refusal counts when it is repeated after this: a server that opens its port anew is between two lives for an instant. */
const againAfterMs = 50;
/** One server is looked at no more often than this. */
const lookEveryMs = 1000;
const looksMax = 8;
/** Doubts that wait for a look; what comes above is found again when the queue is empty. */
const queuedMax = 1000;
const rememberedMax = 10_000;

interface Doubted {
  readonly table: number;
  readonly tableName: string;
  readonly key: string;
}

type Finding = { readonly kind: "answers" } | { readonly kind: "refused"; readonly where: string } | { readonly kind: "unclear" };

/**
 * A caller that cannot reach a server says so in `states`; the node that watches it looks itself. Only what it finds counts: one
 * caller with a broken path, or a hundred, take no server off the roll.
 */
export class Doubts {
  readonly #ports: DoubtsPorts;
  readonly #queue = new Map<string, Doubted>();
  readonly #looking = new Set<string>();
  readonly #lookedMonoMs = new Map<string, number>();
  /** Given up because nothing listened, with the session that held each. */
  readonly #refusing = new Map<string, number>();
  #overflowed = false;
  #closed = false;

  constructor(ports: DoubtsPorts) {
    this.#ports = ports;
  }

  close(): void {
    this.#closed = true;
    this.#queue.clear();
  }

  /** Whether the server was given up because nothing listens on its port, and still nothing does. */
  isRefusing(table: number, key: string): boolean {
    return this.#refusing.has(nameOf(table, key));
  }

  /** A row of `states` has changed. */
  touched(place: string): void {
    const { replica, incarnation } = this.#ports;
    const row = replica.row(tableNumbers.states, place);
    if (row === undefined || stateOfText(row.text)?.state !== "doubted") return;
    const target = targetOfStateKey(place);
    const table = target === undefined ? undefined : replica.table(target.table);
    if (target === undefined || table === undefined || incarnation(table.number, target.key) === undefined) return;
    const name = nameOf(table.number, target.key);
    if (this.#queue.has(name) || this.#looking.has(name)) return;
    if (this.#queue.size >= queuedMax) {
      this.#overflowed = true;
      return;
    }
    this.#queue.set(name, { table: table.number, tableName: table.name, key: target.key });
    this.#next();
  }

  /** Everything that is doubted now, after a load or a restart. */
  rescan(): void {
    for (const row of [...this.#ports.replica.entries(tableNumbers.states)]) this.touched(row.key);
  }

  #next(): void {
    const { clock } = this.#ports;
    for (const [name, doubted] of [...this.#queue]) {
      if (this.#looking.size >= looksMax || this.#closed) return;
      this.#queue.delete(name);
      this.#looking.add(name);
      const waitMs = (this.#lookedMonoMs.get(name) ?? Number.NEGATIVE_INFINITY) + lookEveryMs - clock.monoMs();
      const look = () => void this.#look(name, doubted).finally(() => this.#done(name));
      if (waitMs > 0) clock.schedule(waitMs, look);
      else look();
    }
  }

  #done(name: string): void {
    this.#looking.delete(name);
    if (this.#closed) return;
    this.#next();
    if (!this.#overflowed || this.#queue.size > 0) return;
    this.#overflowed = false;
    this.rescan();
  }

  async #look(name: string, { table, tableName, key }: Doubted): Promise<void> {
    const { clock, telemetry, incarnation, isGone, dispelled, confirmed } = this.#ports;
    if (this.#lookedMonoMs.size >= rememberedMax) this.#lookedMonoMs.clear();
    this.#lookedMonoMs.set(name, clock.monoMs());
    const about = incarnation(table, key);
    if (this.#closed || about === undefined || isGone(table, key)) return;
    let finding = await this.#find(table, key);
    if (finding.kind === "refused") {
      await sleep(clock, againAfterMs);
      finding = await this.#find(table, key);
    }
    // A newer incarnation refutes what was found of an older one.
    if (this.#closed || incarnation(table, key) !== about) return;
    telemetry.log("info", "doubt-looked-at", { table: tableName, key, found: finding.kind });
    if (finding.kind === "refused") {
      this.#refuse(name, { table, tableName, key });
      confirmed(table, key, about, finding.where);
    } else dispelled(tableName, key);
  }

  /** It lives but does not listen: it is not asked to come back before it does. */
  #refuse(name: string, doubted: Doubted): void {
    const row = this.#ports.replica.row(doubted.table, doubted.key);
    if (row === undefined || this.#refusing.size >= rememberedMax) return;
    this.#refusing.set(name, Number(row.owner.slice(row.owner.lastIndexOf("/") + 1)));
    this.#lookAgainLater(name, doubted);
  }

  #lookAgainLater(name: string, doubted: Doubted): void {
    this.#ports.clock.schedule(lookEveryMs, () => {
      const session = this.#refusing.get(name);
      const row = this.#ports.replica.row(doubted.table, doubted.key);
      if (this.#closed || session === undefined) return;
      if (row === undefined || row.flag || !row.owner.endsWith(`/${session}`)) {
        this.#refusing.delete(name);
        return;
      }
      void this.#find(doubted.table, doubted.key).then((finding) => {
        if (finding.kind !== "answers") return this.#lookAgainLater(name, doubted);
        this.#refusing.delete(name);
        this.#ports.listens(doubted.tableName, doubted.key, session);
      });
    });
  }

  /** Over each route of its host: one answer is enough, and only a refusal over all of them is one. */
  async #find(table: number, key: string): Promise<Finding> {
    const { replica, transport } = this.#ports;
    const row = replica.row(table, key);
    const value = row === undefined ? undefined : parseText(row.text);
    if (row === undefined || value === undefined || !isRouteValue(value)) return { kind: "unclear" };
    let refused: string | undefined;
    for (const address of addressesOf(replica, hostOfText(row.text))) {
      const where = address.includes(":") ? `[${address}]:${value.port}` : `${address}:${value.port}`;
      try {
        const connection = await transport.connect(parseAddress(where), { timeoutMs: connectMsMax });
        connection.destroy();
        return { kind: "answers" };
      } catch (thrown) {
        if (!(thrown instanceof MusterError) || thrown.code !== "transport/refused") return { kind: "unclear" };
        refused ??= where;
      }
    }
    return refused === undefined ? { kind: "unclear" } : { kind: "refused", where: refused };
  }
}

function nameOf(table: number, key: string): string {
  return `${table}\u0000${key}`;
}

/** Of the valid routes of a host; of all of them when none is valid. */
function addressesOf(replica: Replica, host: string): readonly string[] {
  const routes = replica.rowsBelow(tableNumbers.hostRoute, `${host}.`).filter(({ key }) => parseHostRouteKey(key)?.host === host);
  const valid = routes.filter(({ flag }) => flag);
  return (valid.length > 0 ? valid : routes)
    .map(({ text }) => parseRouteAddress(parseText(text)))
    .filter((address) => address !== undefined);
}
