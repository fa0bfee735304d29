/** What a handler throws that has done nothing and wants another server asked. */
export class PassOn extends Error {
  constructor(why: string) {
    super(why);
    this.name = "PassOn";
  }
}

/**
 * Not me, ask another: thrown by a handler before it has done anything. Its caller is turned away, as by a server that closes, so it asks
 * another server even with a write; where there is no other it asks this one again a little later.
 */
export function passOn(why: string): PassOn {
  return new PassOn(why);
}

/** Whether a handler has passed its request on: nothing has failed. */
export function isPassedOn(thrown: unknown): boolean {
  return thrown instanceof PassOn;
}
