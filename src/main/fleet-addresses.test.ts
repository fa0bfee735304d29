import assert from "node:assert/strict";
import { type AddressInfo, Server } from "node:net";
import { test } from "node:test";
import { type Bind, formatAddress, reservePort, usableHosts } from "./fleet-addresses.ts";

/** A system with some addresses, on which some ports are taken; port 0 gives the next number. */
class BoundServer extends Server {
  readonly #port: number;
  readonly #onClose: () => void;

  constructor(port: number, onClose: () => void) {
    super();
    this.#port = port;
    this.#onClose = onClose;
  }

  override address(): AddressInfo {
    return { address: "", family: "IPv4", port: this.#port };
  }

  override close(done?: () => void): this {
    this.#onClose();
    done?.();
    return this;
  }
}

function systemWith(addresses: readonly string[], taken: readonly string[]): { bind: Bind; bound: Set<string> } {
  const bound = new Set(taken);
  let next = 40_000;
  return {
    bound,
    bind: async (address, port) => {
      if (!addresses.includes(address)) throw Object.assign(new Error("no such address"), { code: "EADDRNOTAVAIL" });
      const given = port === 0 ? next++ : port;
      const name = `${address}:${given}`;
      if (bound.has(name)) throw Object.assign(new Error("in use"), { code: "EADDRINUSE" });
      bound.add(name);
      return new BoundServer(given, () => bound.delete(name));
    },
  };
}

const both = ["127.1.2.1", "127.2.2.1"];

test("a free port is kept on every address until it is handed over", async () => {
  const { bind, bound } = systemWith(both, []);
  const reserved = await reservePort(both, 8080, bind);
  assert.deepEqual([reserved.port, reserved.replaced], [8080, false]);
  assert.equal((await reservePort(both, 8080, bind)).replaced, true);
  await reserved.handOver();
  await reserved.handOver();
  assert.equal(bound.has("127.1.2.1:8080"), false);
});

test("a port that is taken on one address is replaced on all of them", async () => {
  const { bind, bound } = systemWith(both, ["127.2.2.1:8080", "127.2.2.1:40000"]);
  const reserved = await reservePort(both, 8080, bind);
  assert.deepEqual([reserved.port, reserved.replaced], [40_001, true]);
  assert.deepEqual([...bound].toSorted(), ["127.1.2.1:40001", "127.2.2.1:40000", "127.2.2.1:40001", "127.2.2.1:8080"]);
});

test("where there is one loopback address, every host gets it", async () => {
  const hosts = new Map([
    ["A", ["127.1.1.1", "127.2.1.1"]],
    ["B", both],
  ]);
  const few = await usableHosts(hosts, systemWith(["127.0.0.1"], []).bind);
  assert.equal(few.fellBack, true);
  assert.deepEqual(Array.from(few.hosts), [
    ["A", ["127.0.0.1"]],
    ["B", ["127.0.0.1"]],
  ]);
  const many = await usableHosts(hosts, systemWith(["127.1.1.1", "127.2.1.1", ...both], []).bind);
  assert.deepEqual(many, { hosts, fellBack: false });
});

test("an address of another machine is refused, not replaced", async () => {
  await assert.rejects(usableHosts(new Map([["A", ["192.0.2.1"]]]), systemWith([], []).bind), { code: "main/foreign-address" });
});

test("IPv6 addresses are put in brackets", () => {
  assert.equal(formatAddress("::1", 80), "[::1]:80");
  assert.equal(formatAddress("127.0.0.1", 80), "127.0.0.1:80");
});
