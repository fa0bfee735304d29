import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { isRecord } from "../../../src/kernel/index.ts";
import { Faults } from "../faults.ts";
import { type Action, type FleetPlan, everyHost } from "../scenario.ts";
import { compileCable } from "./cable.ts";
import { lackOfCables, lackOfNamespaces } from "./requirements.ts";
import { namespaceNames, newRunId, removeLeftOvers, removeRun, runFolder } from "./run-id.ts";
import { Wires } from "./wires.ts";

const hosts = ["A", "B", "C"];
const fleet: FleetPlan = { networks: 2, hosts: hosts.map((name) => ({ name, node: "agent" })) };
const lack = lackOfNamespaces();
const noCables = lack === undefined ? lackOfCables() : lack;

describe("hosts in network namespaces", { skip: lack?.what ?? false }, () => {
  const run = lack === undefined ? newRunId() : "";
  const echoes = new Map<string, ChildProcess>();
  const faults = new Faults(fleet);
  let wires: Wires;

  before(async () => {
    mkdirSync(runFolder(run), { recursive: true });
    const cableProgram = noCables === undefined ? await compileCable(runFolder(run)) : undefined;
    wires = await Wires.lay({ run, hosts, networks: 2, ...(cableProgram === undefined ? {} : { cableProgram, slow: ["C 2"] }) });
    for (const host of hosts) {
      const [file, ...args] = ["ip", ...wires.on(host).slice(1), process.execPath, path.join(import.meta.dirname, "echo.ts")];
      const echo = spawn(file, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
      echoes.set(host, echo);
      await once(echo, "message");
    }
  });

  after(async () => {
    for (const echo of echoes.values()) echo.kill("SIGKILL");
    wires.close();
    await removeRun(run);
    assert.deepEqual(
      (await namespaceNames()).filter((name) => name.startsWith(`${run}.`)),
      [],
    );
  });

  /** There and back in milliseconds; null: no answer in 150 ms. */
  async function ask(from: string, to: string, network: number): Promise<number | null> {
    const echo = echoes.get(from);
    if (echo === undefined) throw new Error(`nobody on ${from}`);
    echo.send(wires.address(to, network));
    const [answer]: unknown[] = await once(echo, "message");
    const tookMs = isRecord(answer) ? answer["tookMs"] : undefined;
    return typeof tookMs === "number" ? tookMs : null;
  }

  const reaches = async (from: string, to: string, network: number) => (await ask(from, to, network)) !== null;

  /** Whether a connection to a port where nobody listens is refused, by the other's system. */
  async function refuses(from: string, to: string, network: number): Promise<boolean> {
    const program = `require("node:net").connect(9, "${wires.address(to, network)}").on("error", ({ code }) => process.exit(code === "ECONNREFUSED" ? 0 : 1)).setTimeout(2000, () => process.exit(1))`;
    const [file, ...args] = ["ip", ...wires.on(from).slice(1), process.execPath, "-e", program];
    const [code]: unknown[] = await once(spawn(file, args, { stdio: "ignore" }), "exit");
    return code === 0;
  }

  async function apply(...actions: readonly Action[]): Promise<void> {
    for (const action of actions) faults.note(action);
    await wires.apply(faults);
  }

  test("both networks join all hosts", async () => {
    for (const network of [1, 2])
      assert.deepEqual(await Promise.all([reaches("A", "B", network), reaches("B", "C", network)]), [true, true]);
  });

  test("a cut on one network leaves the other, and mending it brings everything back", async () => {
    await apply({ do: "cut", cut: { host: "B", network: 1 } });
    assert.deepEqual([await reaches("A", "B", 1), await reaches("A", "B", 2), await reaches("A", "C", 1)], [false, true, true]);
    await apply({ do: "mend", cut: { host: "B", network: 1 } });
    assert.equal(await reaches("A", "B", 1), true);
  });

  test("a switch that breaks parts its hosts on that network only", async () => {
    await apply({ do: "split", network: 2, group: ["A"] });
    assert.deepEqual([await reaches("A", "B", 2), await reaches("B", "C", 2), await reaches("A", "B", 1)], [false, true, true]);
    await apply({ do: "join", network: 2 });
  });

  test("a lossy connection loses its share", async () => {
    await apply({ do: "lossy", host: "B", network: 1, percent: 50 });
    const outcomes: boolean[] = [];
    for (let round = 0; round < 12; round++) outcomes.push(await reaches("A", "B", 1));
    await apply({ do: "lossy", host: "B", network: 1, percent: 0 });
    assert.ok(outcomes.includes(false), "a quarter of the round trips passes; all of 12 did");
    assert.equal(await reaches("A", "B", 1), true);
  });

  test("a network that loses datagrams loses everybody's, and not what goes by connections", async () => {
    await apply({ do: "lossy", host: everyHost, network: 1, percent: 100, of: "datagrams" });
    assert.deepEqual([await reaches("A", "B", 1), await reaches("B", "C", 1), await reaches("A", "B", 2)], [false, false, true]);
    assert.equal(await refuses("A", "B", 1), true, "the answer to a connection request came through");
    await apply({ do: "lossy", host: everyHost, network: 1, percent: 0, of: "datagrams" });
    assert.equal(await reaches("A", "B", 1), true);
  });

  test("a pulled cable takes the carrier away, a plugged one gives it back", async () => {
    await wires.setPlugged("B", 1, false);
    assert.equal(await reaches("A", "B", 1), false);
    await wires.setPlugged("B", 1, true);
    for (let round = 0; round < 20 && !(await reaches("A", "B", 1)); round++);
    assert.equal(await reaches("A", "B", 1), true);
  });

  test("a slow cable is late by its delay, both ways", { skip: noCables?.what ?? false }, async () => {
    await ask("A", "C", 2);
    wires.setDelay("C", 2, 25);
    await ask("A", "C", 2);
    const times: number[] = [];
    for (let round = 0; round < 7; round++) times.push((await ask("A", "C", 2)) ?? Number.POSITIVE_INFINITY);
    const best = Math.min(...times);
    assert.ok(best >= 50 && best < 55, `there and back took ${best} ms`);
    wires.setDelay("C", 2, 0);
  });
});

test("what a killed run leaves behind is removed by the next, and its processes died with it", { skip: lack?.what ?? false }, async () => {
  const program = `
    import { spawn } from "node:child_process";
    import { Wires } from ${JSON.stringify(path.join(import.meta.dirname, "wires.ts"))};
    import { newRunId } from ${JSON.stringify(path.join(import.meta.dirname, "run-id.ts"))};
    const run = newRunId();
    const wires = await Wires.lay({ run, hosts: ["A"], networks: 1 });
    const [file, ...args] = [...wires.on("A"), "sleep", "60"];
    console.log(run, spawn(file, args).pid);
    setInterval(() => {}, 1000);`;
  const dying = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  const [chunk]: unknown[] = await once(dying.stdout, "data");
  const [run = "", pid = ""] = String(chunk).trim().split(" ");
  assert.ok((await namespaceNames()).includes(`${run}.A`));
  dying.kill("SIGKILL");
  await once(dying, "exit");
  const removed = await removeLeftOvers();
  assert.deepEqual(removed.filter((name) => name.startsWith(run)).toSorted(), [`${run}.A`, `${run}.switch`]);
  // Dead but not yet buried by the system's first process is dead enough.
  const state = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.[0] : "Z";
  assert.equal(state, "Z");
});
