import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { NodeCommandSpawner } from "../../src/cli/index.ts";
import { MusterError } from "../../src/kernel/index.ts";

const spawner = new NodeCommandSpawner(process.env);
const start = (...command: readonly string[]) => spawner.spawn(command, { env: { MUSTER_KEY: "MDS.1.1" } });

/** Resolves when the process has ended; fails after five seconds. */
async function gone(pid: number): Promise<void> {
  for (let look = 0; look < 500; look++) {
    if (!spawner.isAlive(pid)) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`process ${pid} still lives`);
}

describe("a command of serve", () => {
  test("its end is told by code and by signal, and its environment names its key", async () => {
    assert.deepEqual(await (await start("/bin/sh", "-c", "exit 7")).ended, { code: 7 });
    assert.deepEqual(await (await start("/bin/sh", "-c", 'test "$MUSTER_KEY" = MDS.1.1')).ended, { code: 0 });
    const sleeper = await start("sleep", "60");
    sleeper.signal("SIGTERM");
    assert.deepEqual(await sleeper.ended, { signal: "SIGTERM" });
    sleeper.signal("SIGTERM");
  });

  test("arguments arrive as they were written, whatever a shell would make of them", async () => {
    const odd = ["$(exit 9)", "a b", "'", '"', "*", ""];
    const command = await start(
      process.execPath,
      "-e",
      "process.exit(JSON.stringify(process.argv.slice(1)) === process.env.WANTED ? 0 : 1)",
      ...odd,
    );
    const checked = await spawner.spawn(
      [process.execPath, "-e", "process.exit(JSON.stringify(process.argv.slice(1)) === process.env.WANTED ? 0 : 1)", ...odd],
      {
        env: { WANTED: JSON.stringify(odd) },
      },
    );
    assert.deepEqual(await command.ended, { code: 1 });
    assert.deepEqual(await checked.ended, { code: 0 });
  });

  test("what it has started in its turn ends with it", async () => {
    const command = await start("/bin/sh", "-c", "sleep 60 & exit 3");
    assert.deepEqual(await command.ended, { code: 3 });
    await gone(-command.pid);
  });

  test("a program that does not exist or may not be run is refused", async () => {
    for (const program of ["no-such-program-anywhere", "./package.json", ""])
      await assert.rejects(start(program), (error) => error instanceof MusterError && error.code === "cli/cannot-start");
  });

  test("it dies with the wrapper, also when that is killed with SIGKILL", async () => {
    const module = new URL("../../src/cli/index.ts", import.meta.url).href;
    const script = `
      import { NodeCommandSpawner } from ${JSON.stringify(module)};
      const running = await new NodeCommandSpawner(process.env).spawn(["/bin/sh", "-c", "trap '' TERM HUP INT; sleep 60 & wait"], { env: {} });
      console.log(running.pid);
      setInterval(() => {}, 1000);`;
    const wrapper = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(createInterface({ input: wrapper.stdout }), "line");
    const pid = Number(line);
    assert.equal(spawner.isAlive(pid), true);
    wrapper.kill("SIGKILL");
    await gone(-pid);
  });
});
