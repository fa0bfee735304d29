import { type Telemetry, assert } from "../kernel/index.ts";
import { type Entry, sameBytes } from "./entry.ts";
import { expired, idReused } from "./errors.ts";
import { type GroupLog, type RowChange, tables } from "./group-log.ts";
import { metricNames } from "./metrics.ts";
import type { History } from "./history.ts";
import { committed, isTold } from "./ordering.ts";
import type { Outcomes } from "./outcomes.ts";
import type { GroupMachine, Position } from "./ports.ts";
import { type SlotContents, installStep } from "./slot-part.ts";
import type { SlotStep } from "./slot-step.ts";
import type { Slots } from "./slots.ts";
import type { Waiter, WaitingRequests } from "./waiting.ts";

export interface InstallingPorts {
  readonly telemetry: Telemetry;
  readonly log: GroupLog;
  readonly machine: GroupMachine;
  readonly outcomes: Outcomes;
  readonly history: History;
  readonly waiting: WaitingRequests;
  /** Whether an outcome at this index may be told, or waits until enough members hold it. */
  readonly mayTell: (index: number) => boolean;
  readonly slots: Slots;
  /** A step of a slot is committed. */
  readonly stepped: (step: SlotStep) => void;
}

/** Puts committed entries into the state, in order, each once; nothing else ever changes what members show. */
export class Installing {
  readonly #ports: InstallingPorts;

  constructor(ports: InstallingPorts) {
    this.#ports = ports;
  }

  /** `isReplying`: this host is the one that answers those who wait for these entries. */
  upTo(committedIndex: number, isReplying: boolean): void {
    const { log, telemetry } = this.#ports;
    const from = log.installed.index;
    for (let index = from + 1; index <= committedIndex; index++) {
      const entry = log.entries.at(index);
      assert(entry !== undefined, "what is committed is in the log");
      this.#install(entry, isReplying);
    }
    if (committedIndex > from) telemetry.count(metricNames.committed, committedIndex - from);
  }

  #install(entry: Entry, isReplying: boolean): void {
    const { log, outcomes, history } = this.#ports;
    const { epoch, index, body } = entry;
    const position = { epoch, index };
    const changes: RowChange[] = outcomes.install(position, body);
    if (body.kind === "opened") changes.push(...history.install(position, log.installed, body));
    if (body.kind === "slot") changes.push(...installStep(this.#contents, position, body.step));
    if (body.kind === "request" && body.outcome.kind === "answer")
      for (const { key, bytes } of this.#ports.machine.install(index, body.delta)) changes.push({ table: tables.state, key, bytes });
    log.install(position, changes);
    this.#settle(entry, position, isReplying);
  }

  get #contents(): SlotContents {
    const { slots, outcomes, machine } = this.#ports;
    return { slots, outcomes, rows: machine.slots };
  }

  /** Copies of a slot that has gone are for another group; those of callers that know more than this member wait. */
  #settleSlot(step: SlotStep): void {
    const { slots, waiting, stepped } = this.#ports;
    if (step.kind === "sealed")
      waiting.endSlot(step.slot, (claim) => {
        const verdict = slots.judge(claim);
        return typeof verdict === "string" ? undefined : { kind: "moved", revision: verdict.moved };
      });
    stepped(step);
  }

  /** A copy that waits here dies by the entry with its id. */
  #settle({ body }: Entry, position: Position, isReplying: boolean): void {
    const { waiting } = this.#ports;
    if (body.kind === "lease-ended") waiting.endLease(body.lease, (id) => ({ kind: "refused", error: expired(id) }));
    if (body.kind === "slot") this.#settleSlot(body.step);
    if (body.kind !== "request") return;
    const waits = waiting.of(body.id);
    if (waits === undefined) return;
    const recorded = { outcome: body.outcome, position, digest: body.digest };
    const outcome = committed(recorded);
    const isOther = waits.copy !== undefined && body.digest.length > 0 && !sameBytes(waits.copy.digest, body.digest);
    const isTelling = isTold(recorded, this.#ports.mayTell);
    if (!isTelling && isReplying && !isOther) {
      // It is looked at again when there are enough copies.
      waiting.move(waits, "held");
      return;
    }
    waiting.end(waits, ({ asks }: Waiter) => {
      if (!isTelling) return { kind: "elsewhere" };
      if (asks) return outcome;
      if (isOther) return { kind: "refused", error: idReused(body.id) };
      return isReplying ? outcome : { kind: "elsewhere" };
    });
  }
}
