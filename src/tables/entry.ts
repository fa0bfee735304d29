import { type JsonValue, type Revision, deepFreeze, formatRevision } from "../kernel/index.ts";
import { parseText } from "./value.ts";

/** One row of a table, as a program sees it. Frozen; `value` is parsed when it is first looked at. */
export interface Entry {
  readonly table: string;
  readonly key: string;
  readonly value: JsonValue;
  /** False when the entry says so, or when the host that its route names is gone. */
  readonly valid: boolean;
  readonly revision: Revision;
  /** The node that watches the live program behind a bound entry; null for a standing entry. */
  readonly owner: string | null;
}

/**
 * The frozen view of a row. The text stays as it came until somebody looks: most rows of a replica are never read, and
 * a parsed value costs several times its text.
 */
export class EntryView implements Entry {
  readonly table: string;
  readonly key: string;
  readonly valid: boolean;
  readonly owner: string | null;
  readonly #text: string;
  readonly #epoch: number;
  readonly #sequence: number;
  #value: JsonValue | undefined;
  #revision: Revision | undefined;

  constructor(table: string, key: string, text: string, valid: boolean, epoch: number, sequence: number, owner: string | null) {
    this.table = table;
    this.key = key;
    this.valid = valid;
    this.owner = owner;
    this.#text = text;
    this.#epoch = epoch;
    this.#sequence = sequence;
    this.#value = undefined;
    this.#revision = undefined;
    Object.freeze(this);
  }

  get revision(): Revision {
    this.#revision ??= Object.freeze({ epoch: this.#epoch, sequence: this.#sequence });
    return this.#revision;
  }

  get value(): JsonValue {
    this.#value ??= deepFreeze(parseText(this.#text));
    return this.#value;
  }

  /** The form of `search --json` and of the HTTP answers. */
  toJSON(): Readonly<Record<string, JsonValue>> {
    const { table, key, value, valid, revision, owner } = this;
    return { table, key, value, valid, revision: formatRevision(revision), owner };
  }
}
