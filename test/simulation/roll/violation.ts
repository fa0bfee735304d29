/** A broken invariant: the run stops, its seed is printed. */
export class Violation extends Error {
  readonly invariant: string;

  constructor(invariant: string, message: string) {
    super(`${invariant}: ${message}`);
    this.name = "Violation";
    this.invariant = invariant;
  }
}

export function violation(invariant: string, message: string): never {
  throw new Violation(invariant, message);
}
