import type { WorkHistory } from "./histories/work.ts";
import type { LoadReport } from "./tally.ts";
import type { Action, Knowledge, RunnerName } from "./scenario.ts";
import type { Struck } from "./strikes.ts";

/** Everything that a run left behind. All times are milliseconds since the load began. */
export interface RunRecord {
  readonly scenario: string;
  readonly runner: RunnerName;
  readonly durationMs: number;
  readonly deeds: readonly Deed[];
  readonly sightings: readonly Sighting[];
  readonly ends: readonly ProcessEnd[];
  readonly said: readonly SaidLine[];
  readonly loads: readonly LoadReport[];
  /** Where the load writes one down. */
  readonly history?: WorkHistory;
}

/** A step that was taken. */
export interface Deed {
  /** Just before, and just after. */
  readonly atMs: number;
  readonly doneMs: number;
  readonly action: Action;
  readonly known?: Knowledge;
  /** Of the beginning of a strike. */
  readonly struck?: Struck;
}

/** What a node was told of the roll, or (without a table) whether it hears the directory. */
export interface Sighting {
  readonly atMs: number;
  readonly host: string;
  readonly table: string;
  readonly key: string;
  readonly event: "Add" | "Delete" | "Subscribe" | "attached" | "detached";
  readonly valid: boolean;
  /** The beginning of its JSON. */
  readonly value: string;
}

export interface ProcessEnd {
  readonly atMs: number;
  readonly process: string;
  readonly how: string;
  /** Ended by a step. */
  readonly asked: boolean;
}

export interface SaidLine {
  readonly atMs: number;
  readonly process: string;
  readonly line: string;
}
