import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { parseFleetFile, readFleetFile } from "./fleet-file.ts";

const small = `
directory: { host: A }
hosts:
  A: [127.1.1.1]
  B: [127.1.2.1, "::1"]
rows:
  bitfile-partition: { "0": S.1 }
servers:
  - table: bitfile
    port: 7200
    command: [node, "{here}/server.ts", --listen, "{listen}"]
    env: { COLOUR: red }
    on: { S.1: B }
`;

test("the bundled fleet is three kinds of servers on nine hosts, and a directory on a tenth", async () => {
  const fleet = await readFleetFile(join(import.meta.dirname, "../../examples/filestore/fleet.yaml"));
  assert.equal(fleet.hosts.size, 10);
  assert.equal(fleet.directory.host, "HOST1");
  assert.deepEqual(
    fleet.servers.map(({ key, host }) => `${key} ${host}`).toSorted(),
    [
      "BSS.1 HOST8",
      "BSS.2 HOST9",
      "BSS.3 HOST10",
      "GW.1 HOST2",
      "GW.2 HOST3",
      "GW.3 HOST4",
      "MDS.1.1 HOST5",
      "MDS.2.1 HOST6",
      "MDS.3.1 HOST7",
    ].toSorted(),
  );
  for (const table of ["metadata-partition", "bitfile-partition"]) assert.equal(fleet.rows.get(table)?.size, 6);
});

test("defaults are filled in, and everything is read", () => {
  const fleet = parseFleetFile(small, "fleet.yaml");
  assert.equal(fleet.name, "fleet");
  assert.deepEqual(fleet.directory, { host: "A", port: 7550 });
  assert.deepEqual(fleet.hosts.get("B"), ["127.1.2.1", "::1"]);
  assert.deepEqual(fleet.servers[0]?.env, new Map([["COLOUR", "red"]]));
  assert.equal(fleet.rows.get("bitfile-partition")?.get("0"), "S.1");
});

test("what is wrong is named by its line and field", () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ["S.1: B", "S.1: C", /fleet\.yaml:13: servers\[0\]\.on\.S\.1 names C, which is not among the hosts/],
    ["host: A", "host: X", /fleet\.yaml:2: directory\.host names X/],
    ["port: 7200", "port: 72000", /fleet\.yaml:10: servers\[0\]\.port is not a port/],
    ["table: bitfile", "tabel: bitfile", /fleet\.yaml:9: servers\[0\]\.tabel is not known here/],
    ["{listen}", "{lisen}", /fleet\.yaml:11: servers\[0\]\.command\[3\] uses \{lisen\}/],
    ["[node,", "[python3,", /fleet\.yaml:11: servers\[0\]\.command\[0\] is neither node nor muster/],
    ["[127.1.1.1]", "[localhost]", /fleet\.yaml:4: hosts\.A\[0\] is not a numeric address/],
    ["[127.1.1.1]", "127.1.1.1", /fleet\.yaml:4: hosts\.A is not a list of addresses/],
    ["hosts:", "hosts: [", /fleet\.yaml: .* at line \d+/],
    ["  B:", "  A:", /unique.* at line 5/],
    ["directory: { host: A }", "", /directory\.host is missing/],
    ["{ COLOUR: red }", "{ COLOUR: 1 }", /fleet\.yaml:12: servers\[0\]\.env\.COLOUR is not a text/],
  ];
  for (const [from, to, message] of cases)
    assert.throws(() => parseFleetFile(small.replace(from, to), "fleet.yaml"), { code: "main/bad-fleet-file", message }, to);
  assert.throws(() => parseFleetFile("", "fleet.yaml"), { code: "main/bad-fleet-file" });
  assert.throws(() => parseFleetFile("- 1", "fleet.yaml"), { code: "main/bad-fleet-file" });
});

test("a key that stands in two groups is refused", () => {
  const twice = `${small}  - table: gateway\n    command: [node, x.ts]\n    on: { S.1: A }\n`;
  assert.throws(() => parseFleetFile(twice, "fleet.yaml"), /names S\.1 twice/);
});

test("a file that is not there is said so", async () => {
  await assert.rejects(readFleetFile(join(import.meta.dirname, "nothing.yaml")), { code: "main/no-fleet-file" });
});
