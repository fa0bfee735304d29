import { type Clock, limits } from "../kernel/index.ts";
import { digestOf } from "./entry.ts";
import { badRequest, expired, idReused, lost, queueFull } from "./errors.ts";
import { nameBytesMax } from "./options.ts";
import { committed, isTold } from "./ordering.ts";
import type { Outcomes } from "./outcomes.ts";
import type { Question, Settled, Submission } from "./ports.ts";
import type { RowStanding } from "./standing.ts";
import type { Copy, WaitingRequests } from "./waiting.ts";

/** Longer waits are cut to this. */
const leftMsMax = 24 * 3_600_000;

export interface SubmissionsPorts {
  readonly clock: Clock;
  readonly outcomes: Outcomes;
  readonly waiting: WaitingRequests;
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
    const { id, low, leaseRevision, leftMs } = request;
    const early = this.#settleAtOnce(request, copy?.digest);
    if (early !== undefined) return Promise.resolve(early);
    return new Promise((settle) => {
      const deadlineMonoMs = clock.monoMs() + Math.min(leftMs, leftMsMax);
      const waiter = { settle, deadlineMonoMs, asks: copy === undefined };
      if (!waiting.add({ id, low, leaseRevision, copy }, waiter)) settle({ kind: "refused", error: idReused(id) });
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
    if (request.leftMs <= 0) return { kind: "elsewhere" };
    if (!waiting.isFull || waiting.of(id) !== undefined) return undefined;
    // It has run: a refusal would say that it has not.
    return verdict.kind === "recorded" ? { kind: "elsewhere" } : { kind: "refused", error: queueFull(waiting.size) };
  }
}

/** Why nobody can order this; undefined when one can. */
function flawOf(request: Submission | Question): string | undefined {
  const { id, low, leaseRevision, leftMs } = request;
  if (!isName(id.lease)) return "its lease is not a name";
  if (!Number.isSafeInteger(id.sequence) || id.sequence < 1) return `its sequence is ${id.sequence}`;
  if (!Number.isSafeInteger(low) || low < 1 || low > id.sequence) return `its low is ${low}`;
  if (!leaseRevision.isWellFormed() || Buffer.byteLength(leaseRevision) > nameBytesMax) return "its revision is none";
  if (Number.isNaN(leftMs)) return "its time is no number";
  if (!("type" in request)) return undefined;
  if (!isName(request.type)) return "its type is not a name";
  return request.body.length > limits.frameBytesMax ? `its body has ${request.body.length} bytes` : undefined;
}

function isName(text: string): boolean {
  return text.length > 0 && text.isWellFormed() && Buffer.byteLength(text) <= nameBytesMax;
}
