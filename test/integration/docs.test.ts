import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, describe, test } from "node:test";
import { type RunnableBlock, blockSource, pagesToRun, runnableBlocks } from "../../scripts/docs.ts";
import { runProgram } from "../../scripts/programs.ts";
import { root } from "../../scripts/repository.ts";
import { musterProcesses } from "../muster-processes.ts";

const timeoutMs = 60_000;
const muster = path.join(root, "bin/muster.js");

/** A folder with a fleet, in which blocks are run; resolves with what each printed. */
async function playground(t: TestContext): Promise<(block: RunnableBlock) => Promise<string>> {
  const folder = mkdtempSync(path.join(tmpdir(), "muster-docs-"));
  const processes = musterProcesses(muster, folder);
  t.after(async () => {
    await processes.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const command = path.join(folder, "muster");
  writeFileSync(command, `#!/bin/sh\nexec "${process.execPath}" "${muster}" "$@"\n`);
  chmodSync(command, 0o755);
  const env = { ...process.env, MUSTER_AGENT: await processes.startFleet(), PATH: `${folder}:${process.env["PATH"] ?? ""}` };
  let number = 0;
  return async (block) => {
    const file = path.join(folder, `block-${++number}.${block.language === "ts" ? "mts" : "sh"}`);
    writeFileSync(file, block.language === "ts" ? blockSource(block.code) : block.code);
    const [program, args] = block.language === "ts" ? [process.execPath, [file]] : ["bash", ["-eu", "-o", "pipefail", file]];
    const { code, stdout, stderr } = await runProgram(program, args, { cwd: folder, env, timeoutMs });
    assert.equal(code, 0, `${block.place} ended with code ${code}\n${stdout}${stderr}`);
    return stdout;
  };
}

const page = `# A page

\`\`\`sh run
muster add gateway GW.1 HOST1:8080
\`\`\`

\`\`\`ts run
import { connect } from "@musterhq/muster";
const fleet = await connect();
console.log(fleet.find("gateway", "GW.1")?.port);
await fleet.close();
\`\`\`

\`\`\`ts
this is only read
\`\`\`
`;

describe("examples in the docs", () => {
  test("blocks marked for it are found, with their place and language; others are not", () => {
    const blocks = runnableBlocks("page.md", page);
    assert.deepEqual(
      blocks.map(({ place, language }) => [place, language]),
      [
        ["page.md:3", "sh"],
        ["page.md:7", "ts"],
      ],
    );
  });

  test("blocks of a page run in order beside a fleet, and a failing one fails", async (t) => {
    const runBlock = await playground(t);
    const said: string[] = [];
    for (const block of runnableBlocks("page.md", page)) said.push(await runBlock(block));
    assert.equal(said[1]?.trim(), "8080");
    await assert.rejects(
      runBlock({ place: "page.md:9", language: "sh", code: "muster find gateway GW.9\n" }),
      /page\.md:9 ended with code 1/,
    );
  });

  for (const { page: name, blocks } of pagesToRun())
    test(`the examples of ${name} run`, async (t) => {
      const runBlock = await playground(t);
      for (const block of blocks) await runBlock(block);
    });
});
