import { type Clock, MusterError, type Revision } from "../kernel/index.ts";
import type { Link } from "../link/index.ts";
import type { Replica } from "../tables/index.ts";
import type { Child } from "./child.ts";
import type { Children } from "./children.ts";
import type { Directory } from "./directory.ts";
import { encodeJson, message } from "./messages.ts";
import type { RollLimits, RollPeriods } from "./options.ts";
import { Outbox } from "./outbox.ts";
import type { ChangeRequest, Condition, Outcome, RequestOperation } from "./requests.ts";
import { Writer } from "./writer.ts";

export interface ChangeDeskPorts {
  readonly clock: Clock;
  readonly periods: RollPeriods;
  readonly limits: RollLimits;
  /** This node's name: it stands as the watcher in what its programs bind. */
  readonly name: string;
  /** A program is watched by its parent; every other node watches what it binds itself. */
  readonly isProgram: boolean;
  readonly replica: Replica;
  readonly children: Children;
  readonly directory: () => Directory | undefined;
  /** The link to the parent, while there is one. */
  readonly link: () => Link | undefined;
  readonly needSession: () => void;
}

/** Changes on their way: this node's own and those from below go up, outcomes come down. */
export class ChangeDesk {
  readonly writer: Writer;
  readonly #ports: ChangeDeskPorts;
  readonly #outbox = new Outbox();
  #resending = false;
  #closed = false;

  constructor(ports: ChangeDeskPorts) {
    this.#ports = ports;
    this.writer = new Writer({
      send: (request) => this.#submit(request),
      needSession: ports.needSession,
      resendSoon: () => this.#resendSoon(),
      openMax: ports.limits.openChangesMax,
    });
  }

  /** Changes without an outcome, own and from below. */
  get openCount(): number {
    return this.writer.openCount + this.#outbox.size;
  }

  /** One change of this node's own; resolves when this node has applied it. */
  change(
    operations: readonly RequestOperation[],
    conditions: readonly Condition[] = [],
    options: { readonly coherent?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<Revision> {
    if (this.#closed) return Promise.reject(new MusterError("roll/closed", "this handle is closed"));
    const { isProgram, name } = this.#ports;
    return this.writer.change(isProgram ? operations : operations.map((operation) => watchedBy(name, operation)), conditions, options);
  }

  /** The way up is a new one: everything open goes again, in order. */
  resend(): void {
    for (const request of this.#outbox.requests()) this.#submit(request);
    this.writer.resend();
  }

  #resendSoon(): void {
    if (this.#resending) return;
    this.#resending = true;
    this.#ports.clock.schedule(this.#ports.periods.reconnectMsMin, () => {
      this.#resending = false;
      if (!this.#closed) this.writer.resend();
    });
  }

  #submit(request: ChangeRequest): void {
    const directory = this.#ports.directory();
    if (directory === undefined) this.#ports.link()?.send(message.change, encodeJson(request));
    // Before its reign begins the directory decides nothing; then everything open is sent again.
    else if (directory.authority !== undefined) directory.submit(request);
  }

  /** A change from below. Throws `roll/foreign-session` and `roll/too-many-open-changes`, which end the child's link. */
  from(child: Child, request: ChangeRequest): void {
    const { limits, name } = this.#ports;
    const isProgram = child.hello.role === "client";
    if (isProgram && request.session !== child.session)
      throw new MusterError("roll/foreign-session", "a program writes only under its own session");
    if (this.#outbox.openOf(request.session) >= limits.openChangesMax)
      throw new MusterError("roll/too-many-open-changes", "this writer has too many open changes", { next: "wait for some of them" });
    // Who watches a program is what its parent says, not what it says itself.
    const operations = isProgram ? request.operations.map((operation) => watchedBy(name, operation)) : request.operations;
    const watched = { ...request, operations };
    this.#outbox.put(watched, child);
    this.#submit(watched);
  }

  /** The outcome of a change, on its way to whoever wrote it. */
  tell(session: number, number: number, outcome: Outcome): void {
    if (session === this.writer.session) {
      this.writer.told(number, outcome, this.#ports.replica.position.sequence);
      return;
    }
    for (const child of this.#outbox.take(session, number)) {
      this.#ports.children.progress(child);
      child.link.send(message.outcome, encodeJson({ session, number, outcome }));
    }
  }

  drop(child: Child): void {
    this.#outbox.drop(child);
  }

  forget(session: number): void {
    this.#outbox.forget(session);
  }

  close(): void {
    this.#closed = true;
    this.writer.close();
  }
}

function watchedBy(watcher: string, operation: RequestOperation): RequestOperation {
  return operation.op === "bind" ? { ...operation, watcher } : operation;
}
