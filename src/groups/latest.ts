import type { Clock, MusterError } from "../kernel/index.ts";
import { late, tooManyReads } from "./errors.ts";
import type { Position } from "./ports.ts";

interface Reader {
  readonly deadlineMonoMs: number;
  readonly resolve: (position: Position) => void;
  readonly reject: (error: MusterError) => void;
}

interface Round {
  readonly number: number;
  readonly readers: Reader[];
  /** Who has not confirmed the epoch since the round began. */
  readonly missing: Set<string>;
}

export interface LatestPorts {
  readonly clock: Clock;
  /** All other hosts without which nothing is committed in this epoch. */
  readonly others: () => Iterable<string>;
  readonly ask: (server: string, round: number) => void;
  readonly position: () => Position;
}

/**
 * Reads that see every write that was answered before they came. The state here is the latest if no other host has begun a newer
 * epoch, and none can without a promise of somebody who has just confirmed this one: so one round, begun after the read came,
 * suffices, and it serves all that waited for it. No clock takes part.
 */
export class Latest {
  readonly #ports: LatestPorts;
  readonly #readersMax: number;
  #next: Reader[] = [];
  #round: Round | undefined;
  #number = 0;

  constructor(ports: LatestPorts, readersMax: number) {
    this.#ports = ports;
    this.#readersMax = readersMax;
  }

  read(leftMs: number): Promise<Position> {
    const count = this.#next.length + (this.#round?.readers.length ?? 0);
    if (count >= this.#readersMax) return Promise.reject(tooManyReads(this.#readersMax));
    return new Promise((resolve, reject) => {
      this.#next.push({ deadlineMonoMs: this.#ports.clock.monoMs() + leftMs, resolve, reject });
      this.#begin();
    });
  }

  confirmed(server: string, number: number): void {
    if (this.#round?.number !== number) return;
    this.#round.missing.delete(server);
    this.#finish();
  }

  /** The epoch or its members are others now: whoever waits does so for a round among them. */
  renew(): void {
    this.#next.unshift(...(this.#round?.readers ?? []));
    this.#round = undefined;
    this.#begin();
  }

  /** Asks again what may have got lost. */
  beat(): void {
    const now = this.#ports.clock.monoMs();
    const isOver = (reader: Reader): boolean => {
      if (reader.deadlineMonoMs > now) return false;
      reader.reject(late());
      return true;
    };
    this.#next = this.#next.filter((reader) => !isOver(reader));
    const round = this.#round;
    if (round === undefined) return;
    const readers = round.readers.filter((reader) => !isOver(reader));
    this.#round = readers.length === 0 ? undefined : { ...round, readers };
    const others = new Set(this.#ports.others());
    if ([...round.missing].some((server) => !others.has(server))) this.renew();
    else if (readers.length === 0) this.#begin();
    else for (const server of round.missing) this.#ports.ask(server, round.number);
  }

  close(error: MusterError): void {
    for (const { reject } of [...(this.#round?.readers ?? []), ...this.#next]) reject(error);
    this.#round = undefined;
    this.#next = [];
  }

  #begin(): void {
    if (this.#round !== undefined || this.#next.length === 0) return;
    this.#number++;
    this.#round = { number: this.#number, readers: this.#next, missing: new Set(this.#ports.others()) };
    this.#next = [];
    for (const server of this.#round.missing) this.#ports.ask(server, this.#number);
    this.#finish();
  }

  #finish(): void {
    if (this.#round === undefined || this.#round.missing.size > 0) return;
    const { readers } = this.#round;
    this.#round = undefined;
    const position = this.#ports.position();
    for (const { resolve } of readers) resolve(position);
    this.#begin();
  }
}
