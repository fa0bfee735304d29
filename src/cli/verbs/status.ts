import { type JsonValue, formatDurationMs } from "../../kernel/index.ts";
import { parseFields } from "../answers.ts";
import { exitCode } from "../errors.ts";
import type { Session } from "../session.ts";
import { printable } from "../style.ts";
import { type Verb, example } from "../verb.ts";

/** What the asked node says of itself. */
export const status: Verb = (program, bind) => {
  const command = program
    .command("status")
    .description("Show the state of the agent (or directory) that is asked: its position, its parent, its children.")
    .addHelpText("after", example("muster status", "muster status --json", "muster --agent 10.0.0.1:7550 status"));
  bind(command, async (session) => {
    const answer = await session.ask("status", {});
    if (session.json) session.printJson(answer);
    else
      session.printFields(Object.entries(parseFields(answer)).map(([name, value]) => [wordsOf(name), shown(session, name, value ?? null)]));
    return exitCode.success;
  });
};

/** "childrenBehind" → "children behind". */
function wordsOf(name: string): string {
  return name.replace(/Ms$/, "").replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function shown(session: Session, name: string, value: JsonValue): string {
  const { style } = session;
  if (name === "detached") return value === true ? style.red("yes: no newer tick arrives, lookups grow old") : style.green("no");
  if (name.endsWith("Ms") && typeof value === "number") return formatDurationMs(value);
  if (value === null) return style.dim("none");
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.length === 0 ? style.dim("none") : value.map((item) => shown(session, "", item)).join(", ");
  if (typeof value === "object")
    return Object.entries(value)
      .map(([inner, item]) => `${wordsOf(inner)} ${shown(session, inner, item)}`)
      .join(", ");
  return printable(String(value));
}
