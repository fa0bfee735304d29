import assert from "node:assert/strict";
import { test } from "node:test";
import type { Entry } from "../fleet/index.ts";
import { JsonReport, PeopleReport } from "./fleet-report.ts";

const entry: Entry = {
  table: "bitfile",
  key: "BSS.1",
  value: { host: "HOST8", port: 7200 },
  valid: true,
  revision: { epoch: 1, sequence: 2 },
  owner: "HOST8/3",
};

const serving = {
  name: "filestore",
  urls: ["http://127.1.2.1:8080/files", "http://127.1.3.1:8080/files"],
  agentSocket: ".muster/HOST2.sock",
  notes: ["port 8080 is taken"],
  tookMs: 4321,
  suggestions: ["curl {url}/package.json"],
  example: { table: "bitfile", key: "BSS.3", pid: 123, restart: "node bitfile.ts" },
  muster: "node bin/muster.js",
  mapFile: ".muster/fleet.json",
};

function peopleReport(terminal: boolean): { report: PeopleReport; text: () => string } {
  let written = "";
  const write = (text: string) => {
    written += text;
  };
  return { report: new PeopleReport({ write, now: () => new Date(2026, 0, 1, 12, 30, 1), terminal, colour: false }), text: () => written };
}

test("what people need stands in the text: address, agent, what to try, and how a dead server is started again", () => {
  const { report, text } = peopleReport(false);
  report.serves(serving);
  for (const expected of [
    "  http://127.1.2.1:8080/files\n",
    "  export MUSTER_AGENT=.muster/HOST2.sock\n",
    "    curl http://127.1.2.1:8080/files/package.json\n",
    "    node bin/muster.js find bitfile BSS.3\n",
    "    node bitfile.ts\n",
    "kill -9 123",
    "port 8080 is taken",
  ])
    assert.ok(text().includes(expected), expected);
});

test("each change is one line, and none has control characters unless a terminal reads it", () => {
  const { report, text } = peopleReport(false);
  report.ready("BSS.1", 1, 2);
  report.event({ event: "Add", table: "bitfile", entry });
  report.event({ event: "Add", table: "bitfile", entry: { ...entry, valid: false } });
  report.event({ event: "Delete", table: "bitfile", entry });
  report.event({ event: "Subscribe", table: "bitfile" });
  const lines = text().trimEnd().split("\n");
  assert.equal(lines.length, 4);
  for (const line of lines) assert.match(line, /^12:30:01 {2}[+✗…-] /u);
  assert.match(lines[0] ?? "", /BSS\.1 +HOST8:7200 {2}valid$/);
  assert.match(lines[1] ?? "", /not valid$/);
  const terminal = peopleReport(true);
  terminal.report.ready("BSS.1", 1, 2);
  terminal.report.stopped([]);
  assert.match(terminal.text(), /^\r.*1\/2 {2}BSS\.1\r.*all processes have ended\n$/);
});

test("scripts get one JSON object a line", () => {
  const lines: string[] = [];
  const report = new JsonReport((text) => lines.push(text));
  report.starting("filestore", 19, []);
  report.serves(serving);
  report.event({ event: "Add", table: "bitfile", entry });
  report.died("BSS.1", 1, "by SIGKILL", "node bitfile.ts");
  report.stopped([]);
  const events = lines.map((line) => {
    assert.equal(line.indexOf("\n"), line.length - 1);
    const parsed: { event: string } = JSON.parse(line);
    return parsed.event;
  });
  assert.deepEqual(events, ["starting", "serves", "Add", "died", "stopped"]);
});
