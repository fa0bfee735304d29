import { type Clock, limits } from "../kernel/index.ts";
import { slotsCount } from "../tables/index.ts";
import { digestOf } from "./entry.ts";
import { badRequest, expired, idReused, lost, queueFull } from "./errors.ts";
import { nameBytesMax } from "./options.ts";
import { committed, isTold } from "./ordering.ts";
import type { Outcomes } from "./outcomes.ts";
import type { Question, Settled, SlotClaim, SlotRows, Submission } from "./ports.ts";
import { slotMissing, slotUnwanted } from "./slot-errors.ts";
import type { Slots } from "./slots.ts";
import type { RowStanding } from "./standing.ts";
import type { Copy, WaitingRequests } from "./waiting.ts";

/** Longer waits are cut to this. */
const leftMsMax = 24 * 3_600_000;

export interface SubmissionsPorts {
  readonly clock: Clock;
  readonly outcomes: Outcomes;
  readonly waiting: WaitingRequests;
  readonly slots: Slots;
  readonly machine: { readonly slots?: SlotRows };
  /** `none` while the member is not open. */
  readonly standing: () => RowStanding;
  /** Whether an outcome at this index may be told, or waits until enough members hold it. */
  readonly mayTell: (index: number) => boolean;
  /** Something waits that was not there. */
  readonly arrived: () => void;
}

/** Where callers come in: says at once what can be said at once, and lets everything else wait. */
export class Submissions {
  readonly #ports: SubmissionsPorts;

  constructor(ports: SubmissionsPorts) {
    this.#ports = ports;
  }

  submit(submission: Submission): Promise<Settled> {
    const { type, body } = submission;
    return this.#take(submission, { type, body, digest: digestOf(type, body) });
  }

  ask(question: Question): Promise<Settled> {
    return this.#take(question, undefined);
  }

  #take(request: Submission | Question, copy: Copy | undefined): Promise<Settled> {
    const { clock, waiting } = this.#ports;
    const { id, low, leaseRevision, slot, leftMs } = request;
    const early = this.#settleAtOnce(request, copy?.digest);
    if (early !== undefined) return Promise.resolve(early);
    return new Promise((settle) => {
      const deadlineMonoMs = clock.monoMs() + Math.min(leftMs, leftMsMax);
      const waiter = { settle, deadlineMonoMs, asks: copy === undefined };
      if (!waiting.add({ id, low, leaseRevision, slot, copy }, waiter)) settle({ kind: "refused", error: idReused(id) });
      else this.#ports.arrived();
    });
  }

  /** Every member knows the outcomes that are committed. */
  #settleAtOnce(request: Submission | Question, digest: Uint8Array | undefined): Settled | undefined {
    const { outcomes, waiting } = this.#ports;
    const { id, low } = request;
    const standing = this.#ports.standing();
    if (standing === "lost") return { kind: "refused", error: lost() };
    if (standing !== "member" && standing !== "synchronising") return { kind: "elsewhere" };
    const flaw = flawOf(request);
    if (flaw !== undefined) return { kind: "refused", error: badRequest(flaw) };
    const verdict = outcomes.judge(id, low, digest);
    if (verdict.kind === "recorded" && isTold(verdict.recorded, this.#ports.mayTell)) return committed(verdict.recorded);
    // Whoever synchronises keeps the question until it may be answered.
    if (verdict.kind === "recorded" && standing !== "synchronising") return { kind: "elsewhere" };
    if (verdict.kind === "reused") return { kind: "refused", error: idReused(id) };
    if (verdict.kind === "expired") return { kind: "refused", error: expired(id) };
    const away = this.#awayFor(request);
    if (away !== undefined) return away;
    if (request.leftMs <= 0) return { kind: "elsewhere" };
    if (!waiting.isFull || waiting.of(id) !== undefined) return undefined;
    // It has run: a refusal would say that it has not.
    return verdict.kind === "recorded" ? { kind: "elsewhere" } : { kind: "refused", error: queueFull(waiting.size) };
  }

  /** What can be said by the slot alone; an outcome that is recorded here is told wherever the slot is. */
  #awayFor({ slot }: Submission | Question): Settled | undefined {
    const { slots, machine } = this.#ports;
    if (slot === undefined) return machine.slots === undefined ? undefined : { kind: "refused", error: slotMissing() };
    if (machine.slots === undefined) return { kind: "refused", error: slotUnwanted() };
    const verdict = slots.judge(slot);
    return typeof verdict === "string" ? undefined : { kind: "moved", revision: verdict.moved };
  }
}

/** Why nobody can order this; undefined when one can. */
function flawOf(request: Submission | Question): string | undefined {
  const { id, low, leaseRevision, slot, leftMs } = request;
  if (!isName(id.lease)) return "its lease is not a name";
  if (!Number.isSafeInteger(id.sequence) || id.sequence < 1) return `its sequence is ${id.sequence}`;
  if (!Number.isSafeInteger(low) || low < 1 || low > id.sequence) return `its low is ${low}`;
  if (!leaseRevision.isWellFormed() || Buffer.byteLength(leaseRevision) > nameBytesMax) return "its revision is none";
  if (Number.isNaN(leftMs)) return "its time is no number";
  if (slot !== undefined && !isClaim(slot)) return "its slot is none";
  if (!("type" in request)) return undefined;
  if (!isName(request.type)) return "its type is not a name";
  return request.body.length > limits.frameBytesMax ? `its body has ${request.body.length} bytes` : undefined;
}

function isClaim({ slot, revision }: SlotClaim): boolean {
  return Number.isInteger(slot) && slot >= 0 && slot < slotsCount && Number.isSafeInteger(revision) && revision >= 1;
}

function isName(text: string): boolean {
  return text.length > 0 && text.isWellFormed() && Buffer.byteLength(text) <= nameBytesMax;
}
