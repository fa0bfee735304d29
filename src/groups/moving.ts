import { type Telemetry, errorOf } from "../kernel/index.ts";
import { type PartitionRow, foundingRevision, ownerOf, withOwners } from "../tables/index.ts";
import { sameBytes } from "./entry.ts";
import { metricNames } from "./metrics.ts";
import { ticks } from "./options.ts";
import type { GroupPartition, SlotClaim, SlotRows } from "./ports.ts";
import type { SlotPart, SlotStep } from "./slot-step.ts";
import type { SlotStatus, SlotVerdict, Slots } from "./slots.ts";

export interface MovingPorts {
  readonly telemetry: Telemetry;
  readonly slots: Slots;
  readonly rows: SlotRows;
  readonly partition: GroupPartition;
  /** There is a step to be ordered, or something that was held may be looked at again. */
  readonly arrived: () => void;
}

/** Slots that come over at a time. */
const fetchesMax = 4;
/** Steps that wait to be ordered; the others are found again when these are installed. */
const stepsMax = 64;

type Adopting = Extract<SlotStatus, { kind: "adopting" }>;

/**
 * The synchronising host's hand on slots that come and go. What the map wishes it turns into entries, one step of a slot after the other,
 * each when the one before is committed; so whoever takes over finds in its log how far each slot is, and goes on there. The map
 * never makes anybody an owner: it is changed after the fact, when the new owner's entry is durable at all its members.
 */
export class Moving {
  readonly #ports: MovingPorts;
  /** To be ordered. */
  #steps: SlotStep[] = [];
  /** Slots of which a step waits or is ordered and not installed. */
  readonly #ahead = new Set<number>();
  readonly #fetching = new Set<number>();
  /** Slots that nobody could give, and until which tick others go before them. */
  readonly #vainUntil = new Map<number, number>();
  #isClaiming = false;
  #publishing: { readonly sinceTick: number } | undefined;
  #notBeforeTick = 0;
  #tick = 0;
  #isOver = false;
  readonly #unobserve: () => void;

  constructor(ports: MovingPorts) {
    this.#ports = ports;
    this.#unobserve = ports.partition.observe(() => {
      // What was asked of an older map is over.
      this.#publishing = undefined;
      this.#notBeforeTick = 0;
      this.#look();
    });
  }

  start(): void {
    this.#look();
  }

  end(): void {
    this.#isOver = true;
    this.#unobserve();
  }

  /** The next step to order. Pulled while nothing is being run, so that no request of a slot is ordered behind its seal. */
  next(): SlotStep | undefined {
    return this.#steps.shift();
  }

  /** A request of a slot that is about to go waits for what becomes of it. */
  judge(claim: SlotClaim): SlotVerdict {
    return this.#ahead.has(claim.slot) ? "hold" : this.#ports.slots.judge(claim);
  }

  installed(step: SlotStep): void {
    if (step.kind === "claimed") this.#isClaiming = false;
    else {
      this.#ahead.delete(step.slot);
      this.#ports.telemetry.count(metricNames.slots, 1, { step: step.kind });
    }
    this.#look();
    this.#ports.arrived();
  }

  /** One own tick: asks again what nobody has answered. */
  beat(tick: number): void {
    this.#tick = tick;
    if (this.#publishing !== undefined && tick - this.#publishing.sinceTick > ticks.rowUnknown) this.#publishing = undefined;
    if (tick % ticks.resend === 0) this.#look();
  }

  #look(): void {
    if (this.#isOver) return;
    const map = this.#ports.partition.map();
    const before = this.#steps.length;
    if (map !== undefined) {
      this.#claim(map);
      for (const { slot, to, revision } of map.moves) {
        const owner = ownerOf(map, slot);
        if (owner?.instance === this.#instance) this.#seal(slot, to, revision);
        else if (to === this.#instance && owner !== undefined) this.#begin(slot, owner.instance, revision);
      }
      this.#publish(map);
      this.#release(map);
    }
    for (const [slot, status] of this.#ports.slots.entries()) if (status.kind === "adopting") this.#goOn(slot, status);
    if (this.#steps.length > before) this.#ports.arrived();
  }

  get #instance(): string {
    return this.#ports.partition.instance;
  }

  /** What the first map gives to this group; nobody can have had it before, for only its owner could have sealed it. */
  #claim(map: PartitionRow): void {
    if (this.#isClaiming) return;
    for (const { first, last, instance, revision } of map.runs) {
      if (instance !== this.#instance || revision !== foundingRevision) continue;
      for (let slot = first; slot <= last; slot++) {
        if (this.#ports.slots.of(slot) !== undefined) continue;
        this.#isClaiming = true;
        this.#steps.push({ kind: "claimed", first, last, revision });
        return;
      }
    }
  }

  #seal(slot: number, to: string, revision: number): void {
    const status = this.#ports.slots.of(slot);
    if (status?.kind === "owned" && status.revision < revision) this.#order({ kind: "sealed", slot, revision, to });
  }

  #begin(slot: number, from: string, revision: number): void {
    const status = this.#ports.slots.of(slot);
    if (status === undefined || (status.kind !== "owned" && status.kind !== "adopting" && status.revision < revision))
      this.#fetch(slot, from, revision, undefined);
  }

  #goOn(slot: number, status: Adopting): void {
    const { revision, from } = status;
    if (!status.isWhole) {
      this.#fetch(slot, from, revision, status);
      return;
    }
    if (this.#ahead.has(slot)) return;
    const digest = this.#ports.rows.digest(slot);
    if (sameBytes(digest, status.digest)) this.#order({ kind: "adopted", slot, revision, from, digest });
    else {
      this.#ports.telemetry.log("error", "group-slot-differs", { slot, from, revision });
      this.#fetch(slot, from, revision, undefined);
    }
  }

  #fetch(slot: number, from: string, revision: number, status: Adopting | undefined): void {
    if (this.#fetching.has(slot) || this.#ahead.has(slot) || this.#fetching.size >= fetchesMax) return;
    if ((this.#vainUntil.get(slot) ?? 0) > this.#tick) return;
    this.#fetching.add(slot);
    const { cursor, at } = status ?? { cursor: "", at: 0 };
    this.#ports.partition.fetch(from, { slot, revision, to: this.#instance, cursor, at }).then(
      (part) => this.#fetched(slot, from, revision, status, part),
      (thrown: unknown) => {
        this.#ports.telemetry.log("debug", "group-slot-not-fetched", { slot, from, reason: errorOf(thrown).message });
        this.#fetched(slot, from, revision, status, undefined);
      },
    );
  }

  #fetched(slot: number, from: string, revision: number, status: Adopting | undefined, part: SlotPart | undefined): void {
    this.#fetching.delete(slot);
    if (this.#isOver) return;
    if (part === undefined) this.#vainUntil.set(slot, this.#tick + ticks.resend);
    else {
      this.#vainUntil.delete(slot);
      this.#order({ kind: "adopting", slot, revision, from, isFirst: status === undefined, part });
      this.#ports.arrived();
    }
    this.#look();
  }

  #release(map: PartitionRow): void {
    for (const [slot, { kind, revision }] of this.#ports.slots.entries()) {
      const owner = ownerOf(map, slot);
      if (kind === "sealed" && owner !== undefined && owner.revision >= revision && owner.instance !== this.#instance)
        this.#order({ kind: "released", slot, revision });
    }
  }

  #order(step: Exclude<SlotStep, { kind: "claimed" }>): void {
    if (this.#ahead.has(step.slot) || this.#steps.length >= stepsMax) return;
    this.#ahead.add(step.slot);
    this.#steps.push(step);
  }

  /** The map shows what this group has, as soon as all its members know that it has it. */
  #publish(map: PartitionRow): void {
    if (this.#publishing !== undefined || this.#tick < this.#notBeforeTick) return;
    const news = new Map<number, number>();
    for (const [slot, { kind, revision }] of this.#ports.slots.entries())
      if (kind === "owned" && (ownerOf(map, slot)?.revision ?? 0) < revision) news.set(slot, revision);
    if (news.size === 0) return;
    const publishing = { sinceTick: this.#tick };
    this.#publishing = publishing;
    const ended = (): void => {
      if (this.#publishing !== publishing) return;
      this.#publishing = undefined;
      this.#notBeforeTick = this.#tick + ticks.rowRetry;
    };
    this.#ports.partition.change(map, withOwners(map, this.#instance, news)).then(() => {
      if (this.#publishing === publishing) this.#publishing = undefined;
      this.#look();
    }, ended);
  }
}
