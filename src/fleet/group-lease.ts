import { type Telemetry, type Timer, errorOf, formatRevision } from "../kernel/index.ts";
import type { RollNode } from "../roll/index.ts";
import { tableNumbers } from "../tables/index.ts";
import { leaseName, leasesTable } from "./group-roll.ts";

/** Longer than any stall that a program should survive: what it costs is memory for its outcomes. */
const maxPeriodMs = 10_000;
const againMs = 250;

/**
 * This program's name towards ordering groups: a row that lives as long as the program. An ended one never counts again, so when the
 * roll has given the program up by mistake it takes another name for what it asks from then on.
 */
export class GroupLease {
  readonly #node: RollNode;
  readonly #telemetry: Telemetry;
  /** There is a name now. */
  readonly #given: () => void;
  #key: string | undefined;
  #name: string | undefined;
  #timer: Timer | undefined;
  #unobserve: (() => void) | undefined;
  #closed = false;

  constructor(node: RollNode, telemetry: Telemetry, given: () => void) {
    this.#node = node;
    this.#telemetry = telemetry;
    this.#given = given;
  }

  /** Undefined while there is none; then one is asked for, and `given` is called. */
  get name(): string | undefined {
    if (this.#name === undefined && this.#key === undefined && this.#timer === undefined && !this.#closed) void this.#ask();
    return this.#name;
  }

  async #ask(): Promise<void> {
    const node = this.#node;
    const key = node.ports.random.hex(32);
    this.#key = key;
    this.#unobserve ??= node.replica.observe({
      touched: (table, touched) => {
        if (table === tableNumbers.leases && touched === this.#key) this.#look();
      },
      host: () => {},
      reset: () => this.#look(),
    });
    try {
      const value = { program: node.options.name };
      const onExpiry = { action: "delete" } as const;
      await node.bindings.bind({ table: leasesTable, key, value, valid: true, maxPeriodMs, onExpiry, automatic: true });
      const row = node.replica.row(tableNumbers.leases, key);
      if (this.#closed) this.#drop(key);
      else if (row?.flag === true) {
        this.#name = leaseName(key, formatRevision(row));
        this.#given();
      } else this.#again(key, "it has ended already");
    } catch (thrown) {
      if (!this.#closed) this.#again(key, errorOf(thrown).message);
    }
  }

  #again(key: string, reason: string): void {
    this.#telemetry.log("warn", "no-lease", { reason });
    this.#drop(key);
    this.#timer = this.#node.ports.clock.schedule(againMs, () => {
      this.#timer = undefined;
      this.#key = undefined;
      this.#given();
    });
  }

  #look(): void {
    const key = this.#key;
    if (key === undefined || this.#name === undefined || this.#node.replica.isValid(tableNumbers.leases, key)) return;
    this.#telemetry.log("warn", "lease-ended", { lease: key, next: "what this program writes from now on has another name" });
    this.#key = undefined;
    this.#name = undefined;
    this.#drop(key);
  }

  /** Also when the roll has it again meanwhile. */
  #drop(key: string): void {
    const node = this.#node;
    node.bindings.drop(leasesTable, key);
    node.change([{ op: "unbind", table: leasesTable, key }]).catch(() => {});
  }

  /** The groups forget what they keep for this program. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    this.#unobserve?.();
    if (this.#key !== undefined) this.#drop(this.#key);
  }
}
