/**
 * Whether this member has been there all the time. One that was stopped may have been left out of the group meanwhile, and not know
 * yet: it shows nothing before others of its epoch have been heard again, after everything that had arrived in its absence was read.
 */
export class Presence {
  /** `away`: since a tick that was very late; `back`: a tick came in time after it, so that what is heard now is new. */
  #state: "there" | "away" | "back" = "there";
  readonly #isBack: () => void;

  /** `isBack` is called when it counts again. */
  constructor(isBack: () => void) {
    this.#isBack = isBack;
  }

  get isSure(): boolean {
    return this.#state === "there";
  }

  away(): void {
    this.#state = "away";
  }

  /** A tick in time, after all input that had arrived was read. */
  inTime(): void {
    if (this.#state === "away") this.#state = "back";
  }

  /** The synchronising host, or for that one another member, has said something in the epoch that this host takes for the present one. */
  heard(): void {
    if (this.#state !== "back") return;
    this.#state = "there";
    this.#isBack();
  }
}
