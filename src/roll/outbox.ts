import type { Child } from "./child.ts";
import type { ChangeRequest } from "./requests.ts";

interface Pending {
  readonly request: ChangeRequest;
  /** Every link that it came by. A late copy from a link that its writer has left must not draw the outcome there alone. */
  readonly from: Set<Child>;
}

/**
 * Changes of the nodes below on their way up. They are kept until their outcome passes, so that a new parent gets them
 * again; the outcome goes back by every link that a copy came by.
 */
export class Outbox {
  readonly #pending = new Map<number, Map<number, Pending>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  openOf(session: number): number {
    return this.#pending.get(session)?.size ?? 0;
  }

  put(request: ChangeRequest, from: Child): void {
    let session = this.#pending.get(request.session);
    if (session === undefined) {
      session = new Map();
      this.#pending.set(request.session, session);
    }
    const known = session.get(request.number);
    if (known === undefined) this.#size++;
    session.set(request.number, { request, from: (known?.from ?? new Set()).add(from) });
    // What the writer no longer waits for is not sent again.
    for (const number of session.keys()) {
      if (number >= request.low) break;
      session.delete(number);
      this.#size--;
    }
  }

  /** The outcome passes: returns the links towards the writer. */
  take(session: number, number: number): Iterable<Child> {
    const open = this.#pending.get(session);
    const pending = open?.get(number);
    if (open === undefined || pending === undefined) return [];
    open.delete(number);
    this.#size--;
    if (open.size === 0) this.#pending.delete(session);
    return pending.from;
  }

  /** The link is gone, and what came by it alone: its writer sends all that is open again by the next one. */
  drop(child: Child): void {
    for (const [session, open] of this.#pending) {
      for (const [number, { from }] of open) {
        if (!from.delete(child) || from.size > 0) continue;
        open.delete(number);
        this.#size--;
      }
      if (open.size === 0) this.#pending.delete(session);
    }
  }

  /** The writer is gone for good. */
  forget(session: number): void {
    this.#size -= this.openOf(session);
    this.#pending.delete(session);
  }

  *requests(): Iterable<ChangeRequest> {
    for (const open of this.#pending.values()) yield* [...open.values()].map(({ request }) => request).sort((a, b) => a.number - b.number);
  }
}
