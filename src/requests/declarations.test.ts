import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError } from "../kernel/index.ts";
import { Replica, builtInTableRows, tableNumbers } from "../tables/index.ts";
import {
  checkServedTypes,
  declarationOf,
  operatorRow,
  parseDeclarationKey,
  rowWithoutOperator,
  saysSame,
  serverRow,
  serviceOf,
} from "./declarations.ts";

test("the service of a key is what stands before its last two segments, of a shorter key its first segment", () => {
  assert.deepEqual(["MDS.1.1", "MDS.1", "MDS", "A.B.1.1", "A.B.C", ""].map(serviceOf), ["MDS", "MDS", "MDS", "A.B", "A", ""]);
});

describe("a declaration", () => {
  function declared(text: string, valid = true) {
    const replica = new Replica();
    replica.begin(1, 1);
    for (const { key, text: row } of builtInTableRows()) replica.put(tableNumbers.tables, key, row, true, "", 0);
    replica.put(tableNumbers.requestTypes, "MDS/stat", text, valid, "", 0);
    replica.end();
    return declarationOf(replica, "MDS", "stat");
  }

  test("says what a type does, and since which change", () => {
    assert.deepEqual(declared('{"effect":"read"}'), { effect: "read", sequence: 1 });
    assert.deepEqual(declared('{"effect":"repeatable"}'), { effect: "repeatable", sequence: 1 });
  });

  test("that is missing, invalid, or cannot be read, makes the type a write", () => {
    for (const text of ['{"effect":"often"}', "[]", "7", "{}"]) assert.equal(declared(text).effect, "write", text);
    assert.deepEqual(declared('{"effect":"read"}', false), { effect: "write", sequence: 0 });
    assert.deepEqual(declarationOf(new Replica(), "MDS", "stat"), { effect: "write", sequence: 0 });
  });

  test("[MRT-3] may name the servers that answer, a rule, and the rest of what can be said", () => {
    const rule = { when: { path: "op", in: ["put"] }, effect: "write", else: "read" };
    const said = { effect: rule, subset: ["HOST1"], copies: "all", budget: 0.5, orderingKey: "path.0", by: "operator" };
    assert.deepEqual(declared(JSON.stringify(said)), {
      effect: "write",
      rule,
      subset: ["HOST1"],
      copies: "all",
      budget: 0.5,
      orderingKey: "path.0",
      byOperator: true,
      sequence: 1,
    });
  });

  test("of which parts cannot be read is a write for all servers, as far as those parts go", () => {
    assert.deepEqual(declared('{"effect":{"when":7},"subset":["HOST1"]}'), { effect: "write", subset: ["HOST1"], sequence: 1 });
    assert.deepEqual(declared('{"effect":"read","subset":7,"copies":"two","budget":2,"orderingKey":""}'), { effect: "read", sequence: 1 });
  });

  test("of a server does not touch what an operator has said, and counts again after it", () => {
    const row = operatorRow({ effect: "write" }, { effect: "read" });
    assert.deepEqual(row, { effect: "write", by: "operator", served: { effect: "read" } });
    const after = serverRow(row, { effect: "repeatable", copies: "none" });
    assert.deepEqual(after, { effect: "write", by: "operator", served: { effect: "repeatable", copies: "none" } });
    assert.deepEqual(rowWithoutOperator(after), { effect: "repeatable", copies: "none" });
    assert.equal(rowWithoutOperator(operatorRow({ effect: "read" }, undefined)), undefined);
    assert.deepEqual(serverRow({ effect: "read" }, { effect: "write" }), { effect: "write" });
    assert.ok(saysSame({ effect: "read", subset: { where: { a: 1, b: 2 } } }, { subset: { where: { b: 2, a: 1 } }, effect: "read" }));
    assert.ok(!saysSame({ subset: ["a", "b"] }, { subset: ["b", "a"] }));
  });

  test("is named SERVICE/TYPE", () => {
    assert.deepEqual(parseDeclarationKey("A.B/stat"), { service: "A.B", type: "stat" });
    for (const bad of ["", "/", "MDS", "MDS/", "/stat", "MDS/a/b"]) assert.throws(() => parseDeclarationKey(bad), MusterError, bad);
  });

  test("needs a name without a slash, a handler and a known effect", () => {
    const handle = () => null;
    checkServedTypes({ stat: { effect: "read", handle } });
    const code = (act: () => void): string => {
      try {
        act();
      } catch (thrown) {
        if (thrown instanceof MusterError) return thrown.code;
      }
      return "";
    };
    assert.equal(
      code(() => checkServedTypes({})),
      "requests/bad-type",
    );
    for (const name of ["", "a/b", "x".repeat(129)])
      assert.equal(
        code(() => checkServedTypes({ [name]: { effect: "read", handle } })),
        "requests/bad-type",
        name,
      );
    // What an untyped program may pass.
    const wrong = JSON.parse('{ "stat": { "effect": "sometimes" } }');
    assert.equal(
      code(() => checkServedTypes(wrong)),
      "requests/bad-type",
    );
    assert.equal(
      code(() => checkServedTypes({ stat: { ...wrong.stat, handle } })),
      "requests/bad-effect",
    );
  });
});
