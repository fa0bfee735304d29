import type { Command } from "commander";
import type { Session } from "./session.ts";

/** What a verb does once its command line has been read: resolves with the exit code. */
export type VerbAction = (session: Session, operands: readonly string[]) => Promise<number>;

/** Adds a verb to the program; `bind` ties an action to a command. One file in `verbs/` each. */
export type Verb = (program: Command, bind: (command: Command, action: VerbAction) => void) => void;

/** Collects a repeatable option. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

/** The example below a verb's help. */
export function example(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}\n`;
}
