import type { Outcome, Position, RequestId } from "../../../src/groups/index.ts";
import { idText } from "../ordering/ids.ts";
import { violation } from "../roll/violation.ts";
import { type Logged, readKeptRow, readLogged } from "./stored-format.ts";

export interface CommittedLogPorts {
  /** Whether the roll has ended this lease by now. */
  readonly isEnded: (lease: string) => boolean;
  /** Whether anybody has asked what became of this request. */
  readonly isAsked: (id: string) => boolean;
  /** Whether requests may be executed in this epoch; false: it has too few members. */
  readonly mayExecute: (epoch: number, id: string) => boolean;
  readonly endedMax: number;
}

/** What the log says of one caller. */
interface Lease {
  /** Entries that raised what it needs no longer, ascending. */
  readonly lows: { readonly index: number; readonly low: number }[];
  /** Entries that ended it, ascending; a second one when the first was long forgotten. */
  readonly ends: number[];
}

/** What a member that has installed so much must say to a copy of a request. */
export type Expected = { readonly kind: "expired" } | { readonly kind: "recorded"; readonly entry: Logged } | { readonly kind: "open" };

/**
 * The one log that all epochs together have committed, as it came about: each entry is read when the first member takes it for committed,
 * from that member's disk. It obeys the rules of ids and leases by itself, and what members keep of outcomes follows from it.
 */
export class CommittedLog {
  readonly #ports: CommittedLogPorts;
  readonly #entries: Logged[] = [];
  readonly #requests = new Map<string, Logged>();
  readonly #leases = new Map<string, Lease>();
  /** Indices of all ends of leases, ascending. */
  readonly #ends: number[] = [];
  /** Callers and outcomes that are kept after each entry. */
  readonly #counts: { readonly leases: number; readonly outcomes: number }[] = [];
  /** Sequences that are kept, by caller; undefined for one that has ended. */
  #kept = new Map<string, Set<number>>();
  lost = 0;

  constructor(ports: CommittedLogPorts) {
    this.#ports = ports;
  }

  get end(): number {
    return this.#entries.length;
  }

  at(index: number): Logged | undefined {
    return this.#entries[index - 1];
  }

  from(index: number): readonly Logged[] {
    return this.#entries.slice(index - 1);
  }

  /** False for what an accepted loss has taken out of history, too. */
  has({ epoch, index }: Position): boolean {
    return index === 0 || this.at(index)?.epoch === epoch;
  }

  add(by: string, index: number, bytes: Uint8Array): void {
    const entry = readLogged(index, bytes);
    const before = this.at(index - 1);
    if (before !== undefined && entry.epoch < before.epoch)
      violation("I18", `${by} commits ${entry.epoch}.${index} behind ${before.epoch}.${before.index}: an epoch fell`);
    this.#demandLawful(by, entry);
    this.#take(entry);
  }

  #demandLawful(by: string, { epoch, index, body }: Logged): void {
    const at = `${by} commits at ${epoch}.${index}`;
    if (body.kind === "opened") return;
    if (body.kind === "lease-ended") {
      if (!this.#ports.isEnded(body.lease)) violation("I16", `${at} the end of the lease ${body.lease}, which the roll has not ended`);
      const endedAt = endAt(this.#leases.get(body.lease), index);
      if (endedAt !== undefined && this.#isRemembered(endedAt, index))
        violation("I16", `${at} the end of the lease ${body.lease} for the second time; the first was ${endedAt}`);
      return;
    }
    const id = idText(body.id);
    const other = this.#requests.get(id);
    if (other !== undefined) violation("I16", `${at} an outcome of ${id}, which has one at ${other.epoch}.${other.index}`);
    const lease = this.#leases.get(body.id.lease);
    if (lease !== undefined && lease.ends.length > 0)
      violation("I16", `${at} an outcome of ${id}, whose lease ended at ${lease.ends.join()}`);
    if (body.id.sequence < lowAt(lease, index)) violation("I16", `${at} an outcome of ${id}, which its caller needs no longer`);
    if (body.outcome.kind === "abandoned" && !this.#ports.isAsked(id))
      violation("I16", `${at} that ${id} never runs, and nobody had asked`);
    if (body.outcome.kind === "answer" && !this.#ports.mayExecute(epoch, id))
      violation("I16", `${at} the answer of ${id}, in an epoch with fewer members than it must have`);
  }

  /** Whether members that have installed everything up to `index` still know of the end of a lease. */
  #isRemembered(endedAt: number, index: number): boolean {
    return this.#ends.filter((one) => one > endedAt && one <= index).length < this.#ports.endedMax;
  }

  #take(entry: Logged): void {
    const { index, body } = entry;
    this.#entries.push(entry);
    if (body.kind === "lease-ended") {
      const lease = this.#leases.get(body.lease) ?? { lows: [], ends: [] };
      lease.ends.push(index);
      this.#ends.push(index);
      this.#leases.set(body.lease, lease);
      this.#kept.delete(body.lease);
    } else if (body.kind === "request") this.#takeRequest(entry, body);
    let outcomes = 0;
    for (const sequences of this.#kept.values()) outcomes += sequences.size;
    this.#counts.push({ leases: this.#kept.size, outcomes });
  }

  #takeRequest(entry: Logged, { id, low }: Extract<Logged["body"], { kind: "request" }>): void {
    this.#requests.set(idText(id), entry);
    const lease = this.#leases.get(id.lease) ?? { lows: [], ends: [] };
    this.#leases.set(id.lease, lease);
    const kept = this.#kept.get(id.lease) ?? new Set();
    this.#kept.set(id.lease, kept);
    if (low > lowAt(lease, entry.index)) {
      lease.lows.push({ index: entry.index, low });
      for (const sequence of kept) if (sequence < low) kept.delete(sequence);
    }
    kept.add(id.sequence);
  }

  /** After an accepted loss: the entries behind `index` have never been. */
  truncate(index: number): void {
    const entries = this.#entries.splice(0);
    this.lost += Math.max(0, entries.length - index);
    this.#requests.clear();
    this.#leases.clear();
    this.#ends.length = 0;
    this.#counts.length = 0;
    this.#kept = new Map();
    for (const entry of entries.slice(0, index)) this.#take(entry);
  }

  counts(index: number): { readonly leases: number; readonly outcomes: number } {
    return this.#counts[index - 1] ?? { leases: 0, outcomes: 0 };
  }

  expected({ lease, sequence }: RequestId, index: number): Expected {
    const known = this.#leases.get(lease);
    if (known === undefined) return { kind: "open" };
    const endedAt = endAt(known, index);
    if (endedAt !== undefined) return this.#isRemembered(endedAt, index) ? { kind: "expired" } : { kind: "open" };
    if (sequence < lowAt(known, index)) return { kind: "expired" };
    const entry = this.#requests.get(idText({ lease, sequence }));
    return entry !== undefined && entry.index <= index ? { kind: "recorded", entry } : { kind: "open" };
  }

  /** What somebody is told is what the entry says. */
  demandAnswer(by: string, id: string, outcome: Outcome, { epoch, index }: Position): void {
    const entry = this.at(index);
    const body = entry?.body;
    if (body?.kind !== "request" || idText(body.id) !== id || entry?.epoch !== epoch)
      violation("I16", `${by} answers ${id} at ${epoch}.${index}; committed there is ${describe(entry)}`);
    else if (textOf(body.outcome) !== textOf(outcome))
      violation("I16", `${by} answers ${id} with ${textOf(outcome)}; committed is ${textOf(body.outcome)}`);
  }

  /** Outcomes and leases on a disk whose state is the one after `index`: all members forget the same at the same entry. */
  demandOutcomes(by: string, index: number, rows: ReadonlyMap<string, Uint8Array>): void {
    const shown = new Set<string>();
    for (const [place, bytes] of rows) {
      const row = readKeptRow(Number(place[0]), place.slice(2), bytes);
      if (row.kind === "ended") shown.add(`${row.lease} ended at ${row.index}`);
      else if (row.kind === "lease") shown.add(`${row.lease} from ${row.low}`);
      else shown.add(`${row.id} ${row.position.epoch}.${row.position.index} ${textOf(row.outcome)}`);
    }
    const expected = this.#outcomesAt(index);
    for (const one of expected) if (!shown.has(one)) violation("I18", `at ${index} ${by} has forgotten ${one}`);
    for (const one of shown) if (!expected.has(one)) violation("I18", `at ${index} ${by} keeps what the log does not say: ${one}`);
  }

  #outcomesAt(index: number): Set<string> {
    const expected = new Set<string>();
    for (const [lease, known] of this.#leases) {
      const { lows } = known;
      const endedAt = endAt(known, index);
      if (endedAt !== undefined) {
        if (this.#isRemembered(endedAt, index)) expected.add(`${lease} ended at ${endedAt}`);
      } else if (lows.some((one) => one.index <= index)) expected.add(`${lease} from ${lowAt({ lows }, index)}`);
    }
    for (const [id, { epoch, index: at, body }] of this.#requests) {
      if (at > index || body.kind !== "request") continue;
      if (this.expected(body.id, index).kind === "recorded") expected.add(`${id} ${epoch}.${at} ${textOf(body.outcome)}`);
    }
    return expected;
  }
}

function endAt(lease: Lease | undefined, index: number): number | undefined {
  return lease?.ends.findLast((at) => at <= index);
}

function lowAt(lease: Pick<Lease, "lows"> | undefined, index: number): number {
  return lease?.lows.findLast((one) => one.index <= index)?.low ?? 0;
}

function textOf(outcome: Outcome): string {
  return outcome.kind === "abandoned" ? "abandoned" : `${outcome.kind} ${Buffer.from(outcome.bytes).toString()}`;
}

function describe(entry: Logged | undefined): string {
  if (entry === undefined) return "nothing";
  const { epoch, index, body } = entry;
  return `${epoch}.${index} ${body.kind === "request" ? `${idText(body.id)} ${textOf(body.outcome)}` : body.kind}`;
}
