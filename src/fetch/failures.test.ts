import assert from "node:assert/strict";
import { test } from "node:test";
import { failureOf } from "./failures.ts";

const own = "http://10.0.0.1:80";

/** As `fetch` and undici wrap it. */
function kindOf(parts: object, origin = own): string | undefined {
  return failureOf(new TypeError("fetch failed", { cause: Object.assign(new Error("why"), parts) }), origin)?.kind;
}

test("only a connection to the attempt's own address and port that did not come about is unsent", () => {
  const refused = { code: "ECONNREFUSED", syscall: "connect" };
  assert.equal(kindOf({ ...refused, address: "10.0.0.1", port: 80 }), "unsent");
  assert.equal(kindOf({ ...refused, address: "10.0.0.1", port: 81 }), "elsewhere");
  assert.equal(kindOf({ ...refused, address: "10.0.0.2", port: 80 }), "elsewhere");
  assert.equal(kindOf(refused), "broken", "whose it was nobody knows");
  assert.equal(kindOf({ ...refused, address: "0:0::1", port: 8080 }, "http://[::1]:8080"), "unsent");
  assert.equal(kindOf({ ...refused, address: "10.0.0.7", port: 8080 }, "http://mds.test:8080"), "unsent");
  assert.equal(kindOf({ code: "EHOSTUNREACH", syscall: "connect", address: "10.0.0.1", port: 80 }), "unsent");
  assert.equal(kindOf({ code: "UND_ERR_CONNECT_TIMEOUT" }), "unsent");
});

test("a name that cannot be resolved is unsent when it is the attempt's own", () => {
  const unknown = { code: "ENOTFOUND", syscall: "getaddrinfo", hostname: "mds.test" };
  assert.equal(kindOf(unknown, "http://mds.test:80"), "unsent");
  assert.equal(kindOf(unknown), "elsewhere");
});

test("of several addresses that were tried each must be the attempt's own", () => {
  const one = { code: "ECONNREFUSED", syscall: "connect", address: "10.0.0.1", port: 80 };
  const errors = (...parts: object[]) => ({ code: "ECONNREFUSED", errors: parts.map((part) => Object.assign(new Error("one"), part)) });
  assert.equal(kindOf(errors(one, one)), "unsent");
  assert.equal(kindOf(errors(one, { ...one, port: 81 })), "elsewhere");
});

test("a connection that ended is broken; what is not of the network is the caller's", () => {
  assert.equal(kindOf({ code: "ECONNRESET", syscall: "read" }), "broken");
  assert.equal(kindOf({ code: "UND_ERR_SOCKET" }), "broken");
  assert.equal(kindOf({ code: "HPE_INVALID_CONSTANT" }), "broken");
  assert.equal(kindOf({ code: "ERR_INVALID_ARG_TYPE" }), undefined);
  assert.equal(failureOf("text", own), undefined);
});
