import type { Child } from "./child.ts";
import type { ChangeRequest } from "./requests.ts";

/**
 * Changes of the nodes below on their way up. They are kept until their outcome passes, so that a new parent gets them
 * again, and the way back to their writer is the link that they came by last.
 */
export class Outbox {
  readonly #pending = new Map<number, Map<number, ChangeRequest>>();
  readonly #routes = new Map<number, Child>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  openOf(session: number): number {
    return this.#pending.get(session)?.size ?? 0;
  }

  put(request: ChangeRequest, from: Child): void {
    this.#routes.set(request.session, from);
    let session = this.#pending.get(request.session);
    if (session === undefined) {
      session = new Map();
      this.#pending.set(request.session, session);
    }
    if (!session.has(request.number)) this.#size++;
    session.set(request.number, request);
    // What the writer no longer waits for is not sent again.
    for (const number of session.keys()) {
      if (number >= request.low) break;
      session.delete(number);
      this.#size--;
    }
  }

  get(session: number, number: number): ChangeRequest | undefined {
    return this.#pending.get(session)?.get(number);
  }

  /** The outcome passes: returns the link to the writer. */
  take(session: number, number: number): Child | undefined {
    const open = this.#pending.get(session);
    if (open?.delete(number) === true) this.#size--;
    if (open?.size === 0) this.#pending.delete(session);
    return this.#routes.get(session);
  }

  /** The link is gone, and what came by it: its writer sends all that is open again by the next one. */
  dropRoutes(child: Child): void {
    for (const [session, route] of this.#routes) if (route === child) this.forget(session);
  }

  /** The writer is gone for good. */
  forget(session: number): void {
    this.#size -= this.openOf(session);
    this.#pending.delete(session);
    this.#routes.delete(session);
  }

  *requests(): Iterable<ChangeRequest> {
    for (const session of this.#pending.values()) yield* [...session.values()].sort((a, b) => a.number - b.number);
  }
}
