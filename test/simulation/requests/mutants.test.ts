import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type RequestMutant, requestMutants } from "./mutants.ts";

const here = import.meta.dirname;
const files = [
  "moving.test.ts",
  "dead-path.test.ts",
  "serving.test.ts",
  "copies.test.ts",
  "queue.test.ts",
  "types.test.ts",
  "gather.test.ts",
  "multicast.test.ts",
  "../../../src/requests/multicast-forged.test.ts",
  "near.test.ts",
  "trace.test.ts",
].map((name) => join(here, name));

/** The test that must catch the mutant, in a process of its own with the sources broken that way. */
function reportOf({ name, test: title }: RequestMutant): Promise<string> {
  return new Promise((resolve, reject) => {
    // Not as a part of this run, whose reporter would take its output for its own.
    const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
    const env = { ...environment, MUSTER_MUTANT: name };
    const args = ["--import", join(here, "with-mutant.ts"), "--test", "--test-isolation=none", "--test-reporter=tap"];
    execFile(
      process.execPath,
      [...args, `--test-name-pattern=/${title}/`, ...files],
      { env, timeout: 120_000, maxBuffer: 1e7 },
      (error, stdout, stderr) => {
        if (error === null || typeof error.code === "number") resolve(`${stdout}${stderr}`);
        else reject(error);
      },
    );
  });
}

describe("mutants of requests are caught", () => {
  for (const mutant of requestMutants)
    test(mutant.name, async () => {
      const report = await reportOf(mutant);
      assert.match(report, new RegExp(`^ *not ok \\d+ - .*${mutant.test}`, "m"), report);
    });
});
