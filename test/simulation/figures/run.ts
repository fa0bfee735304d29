/**
 * `node test/simulation/figures/run.ts [PART …]`: published experiments, repeated on virtual time. Lines of others are small models of
 * what they describe; ours are of the library's own code on a simulated fleet. Parts: stragglers, slow-server, storm. The exit code is 0
 * when every figure lies where it should.
 */
import { type Line, isMissed, parts } from "./gates.ts";

const wanted = process.argv.slice(2);

function say({ name, figures, gates }: Line): void {
  const missed = gates.filter(isMissed).map(({ what, value, min, max }) => `${what} ${value} is not in [${min ?? ""}, ${max ?? ""}]`);
  process.stdout.write(`${name.padEnd(48)} ${figures}${missed.length === 0 ? "" : `; MISSED: ${missed.join("; ")}`}\n`);
  if (missed.length > 0) process.exitCode = 1;
}

for (const [part, { models, ours }] of Object.entries(parts)) {
  if (wanted.length > 0 && !wanted.includes(part)) continue;
  for (const line of models()) say(line);
  for (const line of await ours()) say(line);
}
