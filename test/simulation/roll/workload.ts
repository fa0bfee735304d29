import { MusterError, type Random, type Revision, randomBelow } from "../../../src/kernel/index.ts";
import type { Entry, FleetEvent, FleetHandle, ServedEntry } from "../../../src/fleet/index.ts";
import { groupsTable, readGroupRow } from "../../../src/tables/index.ts";
import type { SimLife } from "../../../src/testing/index.ts";
import { type Promised, checkNotEmptied, checkPairs, marksTable, thingsTable } from "./checkers.ts";
import type { History } from "./history.ts";
import type { Slot } from "./slot.ts";
import { Violation, violation } from "./violation.ts";

/** What a writer was told of one change, each of which adds a mark that nobody else writes. */
export interface Told {
  readonly mark: string;
  readonly writer: string;
  readonly number: number;
  outcome: "open" | "ok" | "refused" | "maybe";
  revision?: Revision;
  code?: string;
}

/** What one run has in common. */
export interface Run {
  readonly history: History;
  readonly promised: Promised;
  readonly told: Told[];
  /** Those of `told` that asked for a change of an ordering group. */
  readonly groupChanges: Told[];
  readonly slots: readonly Slot[];
  settledCount: number;
  writing: boolean;
  marksNumber: () => number | undefined;
  fail(thrown: unknown): void;
}

/** A program: it writes, serves, subscribes and checks what it sees, for one life. */
export class Program {
  readonly #slot: Slot;
  readonly #run: Run;
  readonly #life: SimLife;
  readonly #handle: FleetHandle;
  readonly #random: Random;
  readonly #writer: string;
  readonly #shadow = new Map<string, Entry>();
  readonly #served: ServedEntry[] = [];
  #number = 0;
  #last: Revision | undefined;

  constructor(slot: Slot, run: Run) {
    this.#slot = slot;
    this.#run = run;
    this.#life = slot.life;
    this.#handle = slot.handle;
    this.#random = slot.life.random;
    this.#writer = `${slot.name}.${slot.lives}`;
  }

  start(): void {
    void this.#handle.node.ready().then(() => this.#guard(() => this.#begin()));
  }

  get #holdsAll(): boolean {
    return this.#slot.want === undefined;
  }

  #guard(action: () => void): void {
    if (!this.#life.alive) return;
    try {
      action();
    } catch (thrown) {
      this.#run.fail(thrown);
    }
  }

  #begin(): void {
    if (this.#holdsAll) {
      const tables = [thingsTable, "metadata", "hosts"];
      for (const table of tables) for (const entry of this.#handle.search(table)) this.#shadow.set(`${table}/${entry.key}`, entry);
      this.#handle.subscribe({ tables }, (event) => this.#guard(() => this.#event(event)));
    }
    this.#again();
  }

  /** I4, I5: events are exactly the differences, and inside the handler lookups answer from the change or later. */
  #event({ event, table, entry }: FleetEvent): void {
    if (event === "Subscribe" || entry === undefined) violation("I4", `${this.#slot.name} lost events`);
    const name = `${table}/${entry.key}`;
    if (event === "Delete") {
      if (!this.#shadow.delete(name)) violation("I4", `${this.#slot.name} was told that ${name} is deleted, which it never was told of`);
    } else this.#shadow.set(name, entry);
    if (entry.revision.sequence > this.#handle.position.sequence)
      violation("I5", `${this.#slot.name} is told of ${entry.revision.sequence} at ${this.#handle.position.sequence}`);
    const now = this.#handle.get(table, entry.key);
    if (event === "Add" && (now === undefined || now.revision.sequence < entry.revision.sequence))
      violation("I5", `${this.#slot.name} finds an older ${name} than its handler was told of`);
    if (entry.key.startsWith("pair.")) checkPairs(this.#slot);
    checkNotEmptied(this.#slot);
  }

  /** I4: what the events built up equals what the replica shows. */
  checkShadow(): void {
    if (!this.#holdsAll || this.#shadow.size === 0 || !this.#life.alive || this.#slot.life !== this.#life) return;
    let count = 0;
    for (const table of [thingsTable, "metadata", "hosts"])
      for (const entry of this.#handle.search(table)) {
        count++;
        const known = this.#shadow.get(`${table}/${entry.key}`);
        if (known === undefined || known.valid !== entry.valid || known.revision.sequence !== entry.revision.sequence)
          violation(
            "I4",
            `${this.#slot.name}'s events gave ${known?.revision.sequence}/${known?.valid} for ${entry.key}, its replica shows ${entry.revision.sequence}/${entry.valid}`,
          );
      }
    if (count !== this.#shadow.size)
      violation("I4", `${this.#slot.name}'s events gave ${this.#shadow.size} rows, its replica shows ${count}`);
  }

  #again(): void {
    this.#life.clock.schedule(50 + 300 * this.#random.fraction(), () => {
      if (!this.#run.writing) return;
      this.#guard(() => this.#act());
      this.#again();
    });
  }

  #pick(bound: number): number {
    return randomBelow(this.#random, bound);
  }

  #act(): void {
    const dice = this.#pick(100);
    if (dice < 22) this.#write([]);
    else if (dice < 30) this.#changeGroup();
    else if (dice < 45) this.#writePair();
    else if (dice < 60) this.#writeScratch();
    else if (dice < 72) this.#writeConditional();
    else if (dice < 85) this.#serve();
    else if (dice < 90) this.#unserve();
    else if (dice < 95) this.#settle();
    else if (dice < 97) this.#widen();
    else this.#burst();
  }

  /** A program that holds a part of the roll opens another table. */
  #widen(): void {
    if (!this.#holdsAll) this.#handle.node.widen([{ table: this.#pick(2) === 0 ? "metadata" : marksTable, prefix: "" }]);
  }

  #burst(): void {
    for (let count = 0; count < 5; count++) this.#write([]);
  }

  #writePair(): void {
    const pair = this.#pick(3);
    const value = `${this.#writer}#${this.#number}`;
    this.#write([
      { op: "add", table: thingsTable, key: `pair.${pair}.a`, value },
      { op: "add", table: thingsTable, key: `pair.${pair}.b`, value },
    ]);
  }

  #writeScratch(): void {
    const key = `scratch.${this.#pick(20)}`;
    if (this.#random.fraction() < 0.6) this.#write([{ op: "add", table: thingsTable, key, value: this.#number }]);
    else this.#write([{ op: "delete", table: thingsTable, key }]);
  }

  #writeConditional(): void {
    const key = `scratch.${this.#pick(20)}`;
    const known = this.#holdsAll ? this.#handle.get(thingsTable, key) : undefined;
    const revision = known === undefined ? "absent" : `${known.revision.epoch}.${known.revision.sequence}`;
    this.#write([{ op: "add", table: thingsTable, key, value: this.#number }], [{ table: thingsTable, key, revision }]);
  }

  /**
   * As members of an ordering group do: one joins, one is left out, another synchronises, by compare-and-set on what this program sees.
   * Some ask for an epoch that is not the next.
   */
  #changeGroup(): void {
    const instance = `MDS.${this.#pick(4)}`;
    const key = `metadata/${instance}`;
    const entry = this.#handle.get(groupsTable, key);
    const known = entry === undefined ? undefined : readGroupRow(entry.value);
    const valid = [0, 1, 2]
      .map((number) => `${instance}.${number}`)
      .filter((server) => this.#handle.get("metadata", server)?.valid === true);
    const members = new Set(known?.members.map(({ server }) => server) ?? []);
    const subject = valid[this.#pick(3)];
    if (subject === undefined) return;
    if (members.size > 1 && this.#pick(8) === 0) members.delete(subject);
    else members.add(subject);
    const servers = [...members];
    const epoch = (known?.epoch ?? 0) + (this.#pick(10) === 0 ? 2 : 1);
    const value = {
      epoch,
      members: servers.map((server) => ({ server, replica: "00000000000000aa" })),
      synchronising: servers[this.#pick(servers.length)] ?? "",
      copiesMin: 1,
    };
    const revision = entry === undefined ? "absent" : `${entry.revision.epoch}.${entry.revision.sequence}`;
    const told = this.#write([{ op: "add", table: groupsTable, key, value }], [{ table: groupsTable, key, revision }]);
    this.#run.groupChanges.push(told);
  }

  #write(operations: Parameters<FleetHandle["change"]>[0], ifRevision: { table: string; key: string; revision: string }[] = []): Told {
    const { history } = this.#run;
    const told: Told = { mark: `${this.#writer}.${this.#number}`, writer: this.#writer, number: this.#number++, outcome: "open" };
    this.#run.told.push(told);
    const change = this.#handle.change([{ op: "add", table: marksTable, key: told.mark, value: told.number }, ...operations], {
      ifRevision,
    });
    change.then(
      (revision) =>
        this.#guard(() => {
          told.outcome = "ok";
          told.revision = revision;
          this.#last = revision;
          // I7: the writer sees its own write in whatever it looks up from now on.
          if (this.#handle.position.sequence < revision.sequence)
            violation("I7", `${this.#slot.name} resolved ${revision.sequence} at ${this.#handle.position.sequence}`);
          if (this.#holdsAll && this.#handle.get(marksTable, told.mark) === undefined)
            violation("I7", `${this.#slot.name} does not see its own ${told.mark}`);
          const number = this.#run.marksNumber();
          if (number !== undefined && history.rebased === 0 && history.firstSequence(`${number}\u0000${told.mark}`) !== revision.sequence)
            violation(
              "I6",
              `${told.mark} was told ${revision.sequence}, committed is ${history.firstSequence(`${number}\u0000${told.mark}`)}`,
            );
        }),
      (thrown: unknown) =>
        this.#guard(() => {
          if (!(thrown instanceof MusterError)) throw thrown;
          told.code = thrown.code;
          told.outcome = thrown.effect === "none" ? "refused" : "maybe";
        }),
    );
    return told;
  }

  #serve(): void {
    const key = `MDS.${this.#pick(4)}.${this.#pick(3)}`;
    if (this.#served.some((served) => served.key === key)) return;
    this.#handle.serve("metadata", key, { port: 1000 + this.#pick(100), maxPeriodMs: 600 }).then(
      (served) => this.#guard(() => this.#served.push(served)),
      (thrown: unknown) =>
        this.#guard(() => {
          if (thrown instanceof Violation || !(thrown instanceof MusterError)) throw thrown;
        }),
    );
  }

  #unserve(): void {
    const served = this.#served.pop();
    served?.close().catch((thrown: unknown) =>
      this.#guard(() => {
        if (!(thrown instanceof MusterError)) throw thrown;
      }),
    );
  }

  #settle(): void {
    const revision = this.#last;
    if (revision === undefined || revision.sequence > this.#run.history.last) return;
    const { reigns } = this.#run.history;
    this.#handle.settled(revision).then(
      () =>
        this.#guard(() => {
          this.#run.settledCount++;
          if (this.#run.history.rebased > 0 && this.#run.history.reigns !== reigns) return;
          this.#run.promised.settled = Math.max(this.#run.promised.settled, revision.sequence);
          this.#run.slots.forEach((slot) => this.#checkSettled(slot));
        }),
      (thrown: unknown) =>
        this.#guard(() => {
          if (!(thrown instanceof MusterError)) throw thrown;
        }),
    );
  }

  #checkSettled(slot: Slot): void {
    const { node } = slot;
    if (slot.alive && !slot.paused && node.isReady && !node.detached && node.position.sequence < this.#run.promised.settled)
      violation("I8", `${slot.name} is attached at ${node.position.sequence} when settled(${this.#run.promised.settled}) resolves`);
  }
}

/** I6, at the end of a run: what was told is what was committed. */
export function checkTold({ told, history, run }: { readonly told: readonly Told[]; readonly history: History; readonly run: Run }): void {
  const marksNumber = run.marksNumber();
  const lastOf = new Map<string, number>();
  for (const { mark, writer, outcome, revision, code } of told) {
    const births = history.writes(`${marksNumber}\u0000${mark}`);
    if (births > 1) violation("I6", `${mark} took effect ${births} times`);
    if (outcome === "ok" && births === 0 && history.rebased === 0)
      violation("I6", `${mark} was acknowledged at ${revision?.sequence} and is not committed`);
    if (outcome === "refused" && births > 0)
      violation("I6", `${mark} was refused (${code}) and committed at ${history.firstSequence(`${marksNumber}\u0000${mark}`)}`);
    if (outcome !== "ok" || revision === undefined || history.rebased > 0) continue;
    const before = lastOf.get(writer) ?? 0;
    if (revision.sequence <= before)
      violation("I6", `${mark} at ${revision.sequence} overtook an earlier change of its writer at ${before}`);
    lastOf.set(writer, revision.sequence);
  }
}
