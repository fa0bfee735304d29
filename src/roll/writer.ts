import { MusterError, type Revision, limits } from "../kernel/index.ts";
import { changeTooLarge, errorOfRefusal, resendCode } from "./errors.ts";
import type { ChangeRequest, Condition, Outcome, RequestOperation } from "./requests.ts";

export interface WriterPorts {
  /** Passes a change towards the directory; may lose it, then `resend` comes. */
  readonly send: (request: ChangeRequest) => void;
  /** Asks for a session; `admitted` follows when there is one. */
  readonly needSession: () => void;
  /** Asks for a call of `resend` in a moment, once however often it is asked. */
  readonly resendSoon: () => void;
  readonly openMax: number;
}

interface Open {
  readonly operations: readonly RequestOperation[];
  readonly conditions: readonly Condition[];
  readonly coherent: boolean;
  readonly resolve: (revision: Revision) => void;
  readonly reject: (error: Error) => void;
  number: number;
  /** Known, but this node has not applied it yet. */
  revision?: Revision;
}

/**
 * The changes that this node itself has open. They are numbered within its session and sent again, all and in order,
 * whenever the way to the directory has changed; each takes effect once. A change resolves when this node has applied it.
 */
export class Writer {
  readonly #ports: WriterPorts;
  #session = 0;
  #next = 1;
  /** Waiting for a session. */
  #waiting: Open[] = [];
  readonly #open = new Map<number, Open>();
  /** Committed, waiting for this node's position. */
  #unseen: Open[] = [];

  constructor(ports: WriterPorts) {
    this.#ports = ports;
  }

  get session(): number {
    return this.#session;
  }

  get openCount(): number {
    return this.#open.size + this.#waiting.length;
  }

  change(
    operations: readonly RequestOperation[],
    conditions: readonly Condition[],
    options: { readonly coherent?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<Revision> {
    if (this.openCount >= this.#ports.openMax)
      return Promise.reject(
        new MusterError("roll/too-many-open-changes", `${this.openCount} changes of this program are open, which is the limit`, {
          next: "wait for some of them before sending more",
        }),
      );
    if (options.signal?.aborted === true) return Promise.reject(options.signal.reason);
    // Before it gets a number: what never leaves must not leave a gap.
    const bytes = bytesOf(operations);
    if (bytes > limits.changeBytesMax) return Promise.reject(errorOfRefusal(changeTooLarge(bytes)));
    return new Promise((resolve, reject) => {
      const abort = () => {
        // The change stays open towards the directory, or the session would have a gap; only nobody waits for it.
        const reason: unknown = options.signal?.reason;
        reject(
          new MusterError("roll/aborted", "the wait for the change was aborted; it may still take effect", {
            effect: "maybe",
            cause: reason,
          }),
        );
      };
      options.signal?.addEventListener("abort", abort, { once: true });
      const settle = () => options.signal?.removeEventListener("abort", abort);
      const open: Open = {
        operations,
        conditions,
        coherent: options.coherent === true,
        number: 0,
        resolve: (revision) => {
          settle();
          resolve(revision);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      if (this.#session === 0) {
        this.#waiting.push(open);
        this.#ports.needSession();
      } else this.#launch(open);
    });
  }

  #launch(open: Open): void {
    open.number = this.#next++;
    this.#open.set(open.number, open);
    this.#ports.send(this.#request(open));
  }

  #request(open: Open): ChangeRequest {
    const { operations, conditions, number } = open;
    const [low] = this.#open.keys();
    return { session: this.#session, number, low: low ?? number, operations, conditions, ...(open.coherent ? { coherent: true } : {}) };
  }

  admitted(session: number): void {
    if (session === this.#session) return;
    this.#session = session;
    this.#next = 1;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const open of waiting) this.#launch(open);
  }

  /** Everything that has no outcome yet, in order. */
  resend(): void {
    for (const open of this.#open.values()) this.#ports.send(this.#request(open));
    if (this.#session === 0 && this.#waiting.length > 0) this.#ports.needSession();
  }

  /** The directory said what became of a change; `position` is how far this node is. */
  told(number: number, outcome: Outcome, position: number): void {
    const open = this.#open.get(number);
    if (open === undefined) return;
    if (!outcome.ok) {
      if (outcome.error.code === resendCode) {
        this.#ports.resendSoon();
        return;
      }
      if (outcome.error.code === "roll/expired") {
        this.#expire(errorOfRefusal(outcome.error));
        return;
      }
      this.#open.delete(number);
      open.reject(errorOfRefusal(outcome.error));
      return;
    }
    this.#open.delete(number);
    const revision = { epoch: outcome.epoch, sequence: outcome.sequence };
    if (outcome.sequence <= position) open.resolve(revision);
    else this.#unseen.push({ ...open, revision });
  }

  /** The session has ended at the directory: nobody can say what became of what was open. A new one is asked for. */
  #expire(error: MusterError): void {
    const lost = [...this.#open.values()];
    this.#open.clear();
    this.#session = 0;
    for (const open of lost) open.reject(error);
    this.#ports.needSession();
  }

  /** This node has applied everything up to `position`. */
  reached(position: number): void {
    if (this.#unseen.length === 0) return;
    const seen = this.#unseen.filter((open) => (open.revision?.sequence ?? 0) <= position);
    this.#unseen = this.#unseen.filter((open) => (open.revision?.sequence ?? 0) > position);
    for (const open of seen) if (open.revision !== undefined) open.resolve(open.revision);
  }

  close(): void {
    const error = new MusterError("roll/closed", "this handle was closed while the change was under way", { effect: "maybe" });
    const all = [...this.#waiting, ...this.#open.values(), ...this.#unseen];
    this.#waiting = [];
    this.#open.clear();
    this.#unseen = [];
    for (const open of all) open.reject(error);
  }
}

/** About what the operations take on a link; exact enough for a limit. */
function bytesOf(operations: readonly RequestOperation[]): number {
  let bytes = 0;
  for (const operation of operations) {
    bytes += operation.key.length;
    if (!("value" in operation) || operation.value === undefined) continue;
    const { value } = operation;
    bytes += typeof value === "string" ? value.length : JSON.stringify(value).length;
  }
  return bytes;
}
