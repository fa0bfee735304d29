import type { JsonValue, Labels, LogLevel, Telemetry } from "../kernel/index.ts";
import type { SimWorld } from "./sim-world.ts";

export interface SimLogLine {
  readonly atMs: number;
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: Readonly<Record<string, JsonValue>>;
}

/** What a node last said, with true times, and what it counted: for checkers, and for the report of a seed that failed. */
export class SimTelemetry implements Telemetry {
  readonly #world: SimWorld;
  readonly #linesMax: number;
  readonly #lines: SimLogLine[] = [];
  readonly #counts = new Map<string, number>();

  /** Keeps the newest `linesMax` lines; older ones go. */
  constructor(world: SimWorld, linesMax = 256) {
    this.#world = world;
    this.#linesMax = linesMax;
  }

  get lines(): readonly SimLogLine[] {
    return this.#lines;
  }

  /** The sum over all labels. */
  counted(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  log(level: LogLevel, event: string, fields: Readonly<Record<string, JsonValue>> = {}): void {
    this.#lines.push({ atMs: this.#world.nowMs, level, event, fields });
    if (this.#lines.length > this.#linesMax) this.#lines.shift();
  }

  count(name: string, by = 1, _labels?: Labels): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
  }

  gauge(): void {}

  observe(): void {}
}
