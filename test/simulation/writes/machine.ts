import type { Executed, GroupMachine, OrderedRequest, RequestId, StateChange, StateRow } from "../../../src/groups/index.ts";
import { idText } from "../ordering/ids.ts";
import { violation } from "../roll/violation.ts";
import type { Ledger } from "./ledger.ts";

export interface Judge {
  readonly ledger: Ledger;
  /** A member takes everything up to there for committed. False: after an accepted loss it is somewhere else, and is not judged. */
  claims(server: string, index: number): boolean;
  /** The handler of a request has not answered at once. */
  takesTime(id: RequestId): void;
  /** Code under test may catch what is thrown in it; the run must fail all the same. */
  guard<T>(act: () => T): T;
}

/** The machine of one life, with every call judged on its way to the real one. */
export class JudgedMachine implements GroupMachine {
  readonly #inner: GroupMachine;
  readonly #server: string;
  readonly #judge: Judge;
  /** A request is about to be executed; the program may be gone afterwards. */
  readonly #executes: (id: RequestId) => void;
  #last = -1;
  #restored = true;
  #executing: string | undefined;

  constructor(inner: GroupMachine, server: string, judge: Judge, executes: (id: RequestId) => void) {
    this.#inner = inner;
    this.#server = server;
    this.#judge = judge;
    this.#executes = executes;
  }

  /** As synchronous as the real one. */
  execute(request: OrderedRequest): Executed | Promise<Executed> {
    const id = idText(request.id);
    const other = this.#executing;
    if (other !== undefined) this.#judge.guard(() => violation("I16", `${this.#server} executes ${id} while ${other} is under way`));
    this.#executing = id;
    const ended = () => {
      if (this.#executing === id) this.#executing = undefined;
    };
    this.#executes(request.id);
    try {
      const executed = this.#inner.execute(request);
      if (executed instanceof Promise) {
        this.#judge.takesTime(request.id);
        return executed.finally(ended);
      }
      ended();
      return executed;
    } catch (thrown) {
      ended();
      throw thrown;
    }
  }

  install(index: number, delta: Uint8Array): StateChange {
    const { ledger } = this.#judge;
    const server = this.#server;
    return this.#judge.guard(() => {
      if (!this.#judge.claims(server, index)) return this.#inner.install(index, delta);
      if (index <= this.#last) violation("I18", `${server} installs at ${index} after ${this.#last}`);
      // What was loaded or taken over is the state up to this index.
      if (this.#restored) ledger.compare(server, index - 1, this.#inner.snapshot());
      this.#restored = false;
      this.#last = index;
      const changes = this.#inner.install(index, delta);
      ledger.install(server, index, delta, changes);
      return changes;
    });
  }

  /** The execution that was under way is void, too. */
  discard(): void {
    this.#executing = undefined;
    this.#inner.discard();
  }

  snapshot(): Iterable<StateRow> {
    return this.#inner.snapshot();
  }

  restore(rows: Iterable<StateRow>): void {
    this.#restored = true;
    this.#last = -1;
    this.#inner.restore(rows);
  }
}
