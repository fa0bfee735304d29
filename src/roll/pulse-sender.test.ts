import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openLink } from "../link/index.ts";
import { SimNetwork, SimNode, SimWorld } from "../testing/index.ts";
import { message, protocolVersions } from "./messages.ts";
import { PulseSender } from "./pulse-sender.ts";

const everyMs = 100;

/** Watchers that answer pulses and count them, and the heart of a program. */
async function stage(...names: readonly string[]) {
  const world = new SimWorld({ seed: 1 });
  const network = new SimNetwork(world);
  const pulses = new Map(names.map((name) => [name, 0]));
  let open = 0;
  for (const name of names) {
    const { clock, node } = nodeNamed(world, name);
    await network.transport(node).listen(at(name), (connection) => {
      const accept = () => {
        open++;
        return {
          call: () => new Uint8Array(),
          message: (kind: number) => {
            if (kind === message.pulse) pulses.set(name, (pulses.get(name) ?? 0) + 1);
          },
          close: () => void open--,
        };
      };
      openLink({ connection, clock, versions: protocolVersions, hello: {}, accept }).catch(() => {});
    });
  }
  const { clock, node } = nodeNamed(world, "program");
  const sender = new PulseSender({
    clock,
    random: node.random,
    transport: network.transport(node),
    program: { name: "program", token: "t", pid: 1, started: "1" },
    turns: () => world.nowMs,
    works: () => {},
  });
  return { world, network, pulses, sender, links: () => open };
}

function nodeNamed(world: SimWorld, name: string) {
  const node = new SimNode(world, { name, host: name });
  return { node, clock: node.clock };
}

function at(host: string) {
  return { kind: "tcp", host, port: 1 } as const;
}

describe("the pulse of a program", () => {
  test("goes to the newest watcher, also when that changes while a connection is coming about", async () => {
    for (const afterMs of [0, 0.1, 0.3, 0.5, 0.7, 1, 1.5, 3, 250]) {
      const { world, pulses, sender, links } = await stage("old", "new");
      sender.aim(at("old"), everyMs);
      await world.runFor(afterMs);
      sender.aim(at("new"), everyMs);
      await world.runFor(5000);
      assert.ok((pulses.get("new") ?? 0) > 45, `${pulses.get("new")} pulses after a change at ${afterMs} ms`);
      assert.equal(links(), 1, `after a change at ${afterMs} ms`);
    }
  });

  test("leaves no link behind when it ends while a connection is coming about", async () => {
    for (const afterMs of [0, 0.3, 0.5, 1, 250]) {
      const { world, sender, links, pulses } = await stage("watcher");
      sender.aim(at("watcher"), everyMs);
      await world.runFor(afterMs);
      sender.close();
      await world.runFor(5000);
      assert.equal(links(), 0);
      assert.ok((pulses.get("watcher") ?? 0) <= 3);
    }
  });
});
