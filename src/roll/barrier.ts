import type { Marker } from "./child.ts";

/** What a barrier needs of a child. */
export interface Marked {
  readonly following: boolean;
  readonly markers: Marker[];
}

interface Waiting<Child> {
  readonly id: number;
  readonly children: Set<Child>;
  readonly done: () => void;
}

/**
 * `settled`, one level of it: a marker goes down every child's stream behind all that was sent before, and comes back when
 * the child's own children have answered. A child that ends drops out here, because the directory goes on counting it
 * (`Attendance`) and its leaving was told upwards before this level answers.
 */
export class Barrier<Child extends Marked> {
  readonly #waiting = new Map<number, Waiting<Child>>();
  #next = 1;

  get size(): number {
    return this.#waiting.size;
  }

  /** Marks the streams of these children at `sequence`; `done` runs when all have answered. */
  start(children: Iterable<Child>, sequence: number, done: () => void): void {
    const id = this.#next++;
    const waiting = { id, children: new Set<Child>(), done };
    for (const child of children) {
      if (!child.following) continue;
      waiting.children.add(child);
      child.markers.push({ id, sequence });
    }
    this.#waiting.set(id, waiting);
    this.#check(waiting);
  }

  answered(child: Child, id: number): void {
    const waiting = this.#waiting.get(id);
    if (waiting?.children.delete(child) === true) this.#check(waiting);
  }

  left(child: Child): void {
    for (const waiting of this.#waiting.values()) if (waiting.children.delete(child)) this.#check(waiting);
  }

  #check(waiting: Waiting<Child>): void {
    if (waiting.children.size > 0) return;
    this.#waiting.delete(waiting.id);
    waiting.done();
  }
}
