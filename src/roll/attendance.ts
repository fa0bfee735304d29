/**
 * Who is attached, as the directory knows it. An attachment is (session, counter); a later counter outdates an earlier
 * one. A node that left keeps counting for every barrier until its next attachment is known or it was given up, which is
 * only after it must have noticed itself that it is detached.
 */
export interface Attendant {
  readonly session: number;
  counter: number;
  /** Through which link of the directory it is attached; -1 for none. */
  via: number;
  state: "attached" | "left" | "given-up";
  /** Own ticks of the directory since it left. */
  ticksAway: number;
}

export class Attendance {
  readonly #all = new Map<number, Attendant>();

  get size(): number {
    return this.#all.size;
  }

  get(session: number): Attendant | undefined {
    return this.#all.get(session);
  }

  [Symbol.iterator](): Iterator<Attendant> {
    return this.#all.values();
  }

  attached(session: number, counter: number, via: number): void {
    const known = this.#all.get(session);
    if (known === undefined) this.#all.set(session, { session, counter, via, state: "attached", ticksAway: 0 });
    else if (counter >= known.counter) Object.assign(known, { counter, via, state: "attached", ticksAway: 0 });
  }

  /** Returns whether the news was about the newest attachment. */
  left(session: number, counter: number): boolean {
    const known = this.#all.get(session);
    if (known === undefined || counter < known.counter) return false;
    if (known.state === "attached") Object.assign(known, { state: "left", via: -1, ticksAway: 0 });
    known.counter = counter;
    return true;
  }

  /** Expected, not seen: what a directory knows of its sessions when it starts. */
  expect(session: number): void {
    if (!this.#all.has(session)) this.#all.set(session, { session, counter: 0, via: -1, state: "left", ticksAway: 0 });
  }

  /** A link of the directory ended: everybody who was attached through it has left. Returns their sessions. */
  lost(via: number): readonly number[] {
    const lost: number[] = [];
    for (const attendant of this.#all.values()) {
      if (attendant.via !== via) continue;
      Object.assign(attendant, { state: "left", via: -1, ticksAway: 0 });
      lost.push(attendant.session);
    }
    return lost;
  }

  forget(session: number): void {
    this.#all.delete(session);
  }

  /** One tick of the directory passed in good order. */
  tick(): void {
    for (const attendant of this.#all.values()) if (attendant.state !== "attached") attendant.ticksAway++;
  }

  /** Nodes that may still answer from an old position without knowing it. */
  get leavers(): number {
    let count = 0;
    for (const attendant of this.#all.values()) if (attendant.state === "left") count++;
    return count;
  }

  get givenUp(): number {
    let count = 0;
    for (const attendant of this.#all.values()) if (attendant.state === "given-up") count++;
    return count;
  }
}
