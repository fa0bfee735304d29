import { type Clock, MusterError, type Telemetry, type Timer, errorOf } from "../kernel/index.ts";

/** What a node of an older fleet holds, as it says itself. */
export interface Offer {
  readonly fleet: string;
  /** Its position. */
  readonly epoch: number;
  readonly sequence: number;
  /** The highest epoch that it has seen. */
  readonly seen: number;
}

interface KnownOffer {
  readonly offer: Offer;
  readonly adopt: () => void;
  readonly refuse: (error: MusterError) => void;
}

export interface FoundingPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly foundingMs: number;
  /** Own ticks without a part of the replica that was asked for, after which another node is asked. */
  readonly silentTicks: number;
  /** Nobody of an older fleet has come. */
  readonly found: () => Promise<void>;
}

/**
 * What a directory does before its first reign: it waits for nodes that know an older fleet. With an empty store it takes what the most
 * advanced of them holds, or founds a fleet; with a restored one it only learns how far its fleet has been.
 */
export class Founding {
  readonly #ports: FoundingPorts;
  #timer: Timer | undefined;
  /** Whose replica is on its way here. */
  #chosen: KnownOffer | undefined;
  /** Ticks since anything of it came. */
  #quietTicks = 0;
  /** The chosen one's replica is here as a whole: nobody else's is taken, whoever leaves. */
  #taken = false;
  #over = false;
  #closed = false;
  #offers: KnownOffer[] = [];
  /** Of everybody who has come, gone again or not. */
  readonly #seen: Offer[] = [];

  constructor(ports: FoundingPorts) {
    this.#ports = ports;
  }

  /** The store is empty: adopt, or found. */
  begin(): void {
    this.#timer?.cancel();
    this.#timer = this.#ports.clock.schedule(this.#ports.foundingMs, () => void this.#foundOrAdopt());
  }

  /** The store was restored: resolves with what nodes of that fleet have seen, when they had the time to come. */
  survey(fleet: string): Promise<readonly Offer[]> {
    return new Promise((resolve) => {
      this.#timer = this.#ports.clock.schedule(this.#ports.foundingMs, () => resolve(this.#seen.filter((offer) => offer.fleet === fleet)));
    });
  }

  /** A node that knows an older fleet is at the door. */
  offered(offer: Offer, adopt: () => void, refuse: (error: MusterError) => void): void {
    if (this.#over || this.#taken) {
      refuse(new MusterError("roll/try-again", "the directory has a fleet by now", { next: "attach again" }));
      return;
    }
    this.#seen.push(offer);
    this.#offers.push({ offer, adopt, refuse });
  }

  /** The node that offered is gone again. */
  withdrawn(adopt: () => void): void {
    this.#offers = this.#offers.filter((known) => known.adopt !== adopt);
    // One that was refused, or not chosen, goes without consequence.
    if (this.#chosen?.adopt !== adopt || this.#taken || this.#over) return;
    this.#chosen = undefined;
    this.begin();
  }

  /** A part of the replica that was asked for has arrived. */
  progress(): void {
    this.#quietTicks = 0;
  }

  /**
   * One tick of the directory in good order, before its reign. Nothing else would ever end the wait for a node that stands still: its
   * system keeps the connection open.
   */
  tick(): void {
    if (this.#chosen === undefined || this.#taken || this.#over || ++this.#quietTicks <= this.#ports.silentTicks) return;
    const { adopt, refuse } = this.#chosen;
    this.#ports.telemetry.log("warn", "adoption-stuck", { ticks: this.#quietTicks, next: "another node is asked" });
    refuse(new MusterError("roll/try-again", "nothing came of the replica that was asked for", { next: "attach again" }));
    this.withdrawn(adopt);
  }

  /** The replica that was asked for has arrived. */
  taken(): void {
    this.#taken = true;
  }

  async #foundOrAdopt(): Promise<void> {
    this.#timer = undefined;
    const [best] = this.#offers.toSorted((a, b) => b.offer.epoch - a.offer.epoch || b.offer.sequence - a.offer.sequence);
    if (best === undefined) {
      await this.insist("founding", () => this.#ports.found());
      return;
    }
    this.#chosen = best;
    this.#quietTicks = 0;
    const { fleet, epoch, sequence } = best.offer;
    this.#ports.telemetry.log("warn", "adopting", { fleet, epoch, sequence });
    best.adopt();
  }

  /** Does it again and again until the store takes it: without it there would be no directory, and nobody to say why. */
  async insist(what: string, attempt: () => Promise<void>): Promise<void> {
    const { clock, telemetry, foundingMs } = this.#ports;
    try {
      await attempt();
    } catch (thrown) {
      if (this.#closed) return;
      const { message } = errorOf(thrown);
      telemetry.log("error", "no-reign", { what, reason: message, next: "mend the store; it is tried again", again: `${foundingMs}ms` });
      this.#timer = clock.schedule(foundingMs, () => void this.insist(what, attempt));
    }
  }

  /** The reign has begun. */
  end(): void {
    this.#over = true;
    for (const known of this.#offers.splice(0))
      known.refuse(new MusterError("roll/try-again", "the directory reigns now", { next: "attach again" }));
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }
}
