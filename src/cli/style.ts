import type { Output } from "./world.ts";

/** How text is marked for a person; on anything but a terminal every function returns its text unchanged. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly cyan: (text: string) => string;
}

const escape = "\u001b[";
const escapes = new RegExp(`${escape.replace("[", "\\[")}[0-9;]*m`, "g");

/** Colours only on a terminal, never with NO_COLOR (https://no-color.org) or TERM=dumb. */
export function styleFor(output: Output, env: Readonly<Record<string, string | undefined>>): Style {
  const plain = !output.isTerminal || (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb";
  const mark = (code: number, end: number) =>
    plain ? (text: string) => text : (text: string) => `${escape}${code}m${text}${escape}${end}m`;
  return { bold: mark(1, 22), dim: mark(2, 22), red: mark(31, 39), green: mark(32, 39), yellow: mark(33, 39), cyan: mark(36, 39) };
}

/** Columns that the text takes on a terminal. */
export function widthOf(text: string): number {
  return [...text.replaceAll(escapes, "")].length;
}

/** What comes from the roll is shown, never obeyed: control characters of a value cannot move the cursor. */
export function printable(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
