/** Whether a request has reached its server; a promise is made only when somebody asks. */
export class Arrival {
  #told = false;
  readonly #waiting: (() => void)[] = [];

  get expected(): Promise<void> | undefined {
    return this.#told ? undefined : new Promise((resolve) => this.#waiting.push(resolve));
  }

  tell(): void {
    this.#told = true;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
