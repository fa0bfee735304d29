import { runPackageProgram } from "./programs.ts";

/** `npm run format [-- PATH …]`: formats the sources (biome.json). */
const paths = process.argv.slice(2);
const { code, stdout, stderr } = await runPackageProgram(
  "@biomejs/biome",
  ["format", "--write", ...(paths.length > 0 ? paths : ["."])],
  "biome",
);
process.stdout.write(stdout);
process.stderr.write(stderr);
process.exitCode = code;
