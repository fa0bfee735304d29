import type { ChangeEffect } from "../wire/index.ts";

/** A row as the directory's rules see it: the own flag, not the validity derived from the host. */
export interface DraftRow {
  readonly text: string;
  readonly valid: boolean;
  readonly owner: string;
  readonly incarnation: number;
  readonly epoch: number;
  readonly sequence: number;
}

/** Where committed rows are read from: the directory's replica. */
export interface CommittedRows {
  row(table: number, key: string): DraftRow | undefined;
}

/**
 * What has been decided and is not yet durable, laid over what is committed. The next change is decided on top of it;
 * nobody else ever sees it. A refused change leaves no trace: its effects are collected in a scratch first.
 */
export class Draft {
  readonly #committed: CommittedRows;
  readonly #decided = new Map<string, { readonly row: DraftRow | undefined; readonly sequence: number }>();
  readonly #scratch = new Map<string, DraftRow | undefined>();
  /** One for each row, however often a change touches it: the last one counts. */
  readonly #effects = new Map<string, ChangeEffect>();
  #epoch = 0;
  #sequence = 0;

  constructor(committed: CommittedRows) {
    this.#committed = committed;
  }

  /** Rows decided and not yet committed; bounded by the commit that is under way. */
  get size(): number {
    return this.#decided.size;
  }

  get sequence(): number {
    return this.#sequence;
  }

  get effects(): readonly ChangeEffect[] {
    return [...this.#effects.values()];
  }

  /** Rows that the change touches. */
  get touched(): number {
    return this.#effects.size;
  }

  /** Starts a change that would get this revision. */
  begin(epoch: number, sequence: number): void {
    this.#scratch.clear();
    this.#effects.clear();
    this.#epoch = epoch;
    this.#sequence = sequence;
  }

  row(table: number, key: string): DraftRow | undefined {
    const name = `${table}\u0000${key}`;
    if (this.#scratch.has(name)) return this.#scratch.get(name);
    const decided = this.#decided.get(name);
    return decided === undefined ? this.#committed.row(table, key) : decided.row;
  }

  /** The rows that were decided, also by the change at hand, and are not committed yet. */
  *uncommitted(): Generator<{ readonly table: number; readonly key: string; readonly row: DraftRow }, void, undefined> {
    for (const name of new Set([...this.#decided.keys(), ...this.#scratch.keys()])) {
      const cut = name.indexOf("\u0000");
      const [table, key] = [Number(name.slice(0, cut)), name.slice(cut + 1)];
      const row = this.row(table, key);
      if (row !== undefined) yield { table, key, row };
    }
  }

  put(table: number, key: string, row: Pick<DraftRow, "text" | "valid" | "owner" | "incarnation">): void {
    const { text, valid, owner, incarnation } = row;
    const name = `${table}\u0000${key}`;
    this.#scratch.set(name, { text, valid, owner, incarnation, epoch: this.#epoch, sequence: this.#sequence });
    this.#effects.set(name, { kind: "put", table, key, text, valid, owner, incarnation });
  }

  setValid(table: number, key: string, row: DraftRow, valid: boolean): void {
    const name = `${table}\u0000${key}`;
    this.#scratch.set(name, { ...row, valid, epoch: this.#epoch, sequence: this.#sequence });
    const before = this.#effects.get(name);
    this.#effects.set(name, before?.kind === "put" ? { ...before, valid } : { kind: "valid", table, key, valid });
  }

  remove(table: number, key: string): void {
    const name = `${table}\u0000${key}`;
    this.#scratch.set(name, undefined);
    this.#effects.set(name, { kind: "remove", table, key });
  }

  /** The change stands: what it did is the ground of the next one. */
  accept(): readonly ChangeEffect[] {
    for (const [name, row] of this.#scratch) this.#decided.set(name, { row, sequence: this.#sequence });
    this.#scratch.clear();
    return this.effects;
  }

  /** Everything up to `sequence` is committed and visible below. */
  committed(sequence: number): void {
    for (const [name, decided] of this.#decided) if (decided.sequence <= sequence) this.#decided.delete(name);
  }

  /** The commit failed: nothing that was decided on top of what is committed ever happened. */
  discard(): void {
    this.#decided.clear();
    this.#scratch.clear();
    this.#effects.clear();
  }
}
