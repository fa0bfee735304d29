/** One thing that will happen in a simulated world. `index` is its place in the heap, −1 when it is not in it. */
export interface HeapEvent {
  readonly atMs: number;
  /** Insertion number: events of the same instant happen in the order in which they were planned. */
  readonly order: number;
  index: number;
}

/**
 * A four-ary heap that knows where each event lies: cancelled timers leave it at once, so that deadlines which are
 * re-armed with every message do not pile up. Four children halve the depth and stay in one cache line of pointers.
 */
export class EventHeap<Event extends HeapEvent> {
  readonly #events: Event[] = [];

  get size(): number {
    return this.#events.length;
  }

  peek(): Event | undefined {
    return this.#events[0];
  }

  push(event: Event): void {
    this.#events.push(event);
    this.#rise(event, this.#events.length - 1);
  }

  pop(): Event | undefined {
    const first = this.#events[0];
    if (first !== undefined) this.#take(0);
    return first;
  }

  /** Harmless when the event is not in the heap. */
  remove(event: Event): void {
    if (event.index >= 0 && this.#events[event.index] === event) this.#take(event.index);
  }

  #take(index: number): void {
    const events = this.#events;
    const taken = events[index];
    const last = events.pop();
    if (taken !== undefined) taken.index = -1;
    if (last === undefined || last === taken) return;
    const parent = events[(index - 1) >> 2];
    if (index > 0 && parent !== undefined && before(last, parent)) this.#rise(last, index);
    else this.#sink(last, index);
  }

  #rise(event: Event, from: number): void {
    const events = this.#events;
    let index = from;
    while (index > 0) {
      const above = (index - 1) >> 2;
      const parent = events[above];
      if (parent === undefined || !before(event, parent)) break;
      events[index] = parent;
      parent.index = index;
      index = above;
    }
    events[index] = event;
    event.index = index;
  }

  #sink(event: Event, from: number): void {
    const events = this.#events;
    const size = events.length;
    let index = from;
    for (;;) {
      const firstChild = index * 4 + 1;
      if (firstChild >= size) break;
      let child = firstChild;
      const end = Math.min(firstChild + 4, size);
      for (let other = firstChild + 1; other < end; other++) {
        const candidate = events[other];
        const best = events[child];
        if (candidate !== undefined && best !== undefined && before(candidate, best)) child = other;
      }
      const smallest = events[child];
      if (smallest === undefined || !before(smallest, event)) break;
      events[index] = smallest;
      smallest.index = index;
      index = child;
    }
    events[index] = event;
    event.index = index;
  }
}

function before(a: HeapEvent, b: HeapEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
