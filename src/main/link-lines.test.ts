import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { LinkTable, canonicalAddress, parseLinkLine } from "./link-lines.ts";

/** What `ip -o link show` and `ip -o addr show` of iproute2 6.1 print. */
const listed = String.raw`
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT group default qlen 1000\    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
2: ifb0: <BROADCAST,NOARP> mtu 1500 qdisc noop state DOWN mode DEFAULT group default qlen 32\    link/ether ee:e9:e8:a3:8c:a0 brd ff:ff:ff:ff:ff:ff
4: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400 qdisc pfifo_fast state UP mode DEFAULT group default qlen 1000\    link/ether 02:fc:00:00:00:01 brd ff:ff:ff:ff:ff:ff
6: mstx@msty: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default qlen 1000\    link/ether 1a:e1:53:62:11:ac brd ff:ff:ff:ff:ff:ff
1: lo    inet 127.0.0.1/8 scope host lo\       valid_lft forever preferred_lft forever
1: lo    inet6 ::1/128 scope host \       valid_lft forever preferred_lft forever
4: eth0    inet 192.0.2.2/24 brd 192.0.2.255 scope global eth0\       valid_lft forever preferred_lft forever
4: eth0    inet6 fd00::2/64 scope global nodad \       valid_lft forever preferred_lft forever
6: mstx    inet 10.99.0.1/24 scope global mstx\       valid_lft forever preferred_lft forever
7: tun0    inet 10.8.0.1 peer 10.8.0.2/32 scope global tun0\       valid_lft forever preferred_lft forever`;

/** What `ip -o monitor link address` printed while the cable of mstx was pulled and put back, it was switched off, and removed. */
const cableOut = String.raw`6: mstx@msty: <NO-CARRIER,BROADCAST,MULTICAST,UP,M-DOWN> mtu 1500 qdisc noqueue state LOWERLAYERDOWN group default \    link/ether 1a:e1:53:62:11:ac brd ff:ff:ff:ff:ff:ff`;
const cableIn = String.raw`6: mstx@msty: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default \    link/ether 1a:e1:53:62:11:ac brd ff:ff:ff:ff:ff:ff`;
const switchedOff = String.raw`6: mstx@msty: <BROADCAST,MULTICAST> mtu 1500 qdisc noqueue state DOWN group default \    link/ether 1a:e1:53:62:11:ac brd ff:ff:ff:ff:ff:ff`;
const halfUp = String.raw`6: mstx@msty: <NO-CARRIER,BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state LOWERLAYERDOWN group default \    link/ether ba:72:31:41:08:43 brd ff:ff:ff:ff:ff:ff`;
const addressGone = String.raw`Deleted 6: mstx    inet 10.99.0.1/24 scope global mstx\       valid_lft forever preferred_lft forever`;
const linkGone = String.raw`Deleted 6: mstx@NONE: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default \    link/ether 1a:e1:53:62:11:ac brd ff:ff:ff:ff:ff:ff`;

function tableWith(...watched: string[]): { table: LinkTable; say: (text: string) => string[] } {
  const table = new LinkTable(watched);
  const say = (text: string) => {
    for (const line of text.split("\n")) {
      const parsed = parseLinkLine(line);
      if (parsed !== undefined) table.apply(parsed);
    }
    return table.changes().map(({ address, up }) => `${address} ${up ? "up" : "down"}`);
  };
  return { table, say };
}

describe("the lines of ip", () => {
  test("[DSD-28] a pulled cable, a switched-off interface and a removed address are down; the way back is up", () => {
    const { say } = tableWith("10.99.0.1", "192.0.2.2");
    assert.deepEqual(say(listed), []);
    assert.deepEqual(say(cableOut), ["10.99.0.1 down"]);
    assert.deepEqual(say(cableOut), []);
    assert.deepEqual(say(cableIn), ["10.99.0.1 up"]);
    assert.deepEqual(say(halfUp), ["10.99.0.1 down"]);
    assert.deepEqual(say(cableIn), ["10.99.0.1 up"]);
    assert.deepEqual(say(switchedOff), ["10.99.0.1 down"]);
    assert.deepEqual(say(cableIn), ["10.99.0.1 up"]);
    assert.deepEqual(say(addressGone), ["10.99.0.1 down"]);
    assert.deepEqual(say(linkGone), []);
  });

  test("an interface that is down from the beginning is told; an address that no interface has is not", () => {
    const { say } = tableWith("10.99.0.1", "127.0.0.2");
    assert.deepEqual(say(`${listed}\n${switchedOff}`), ["10.99.0.1 down"]);
    assert.deepEqual(say(cableIn), ["10.99.0.1 up"]);
  });

  test("a new list after a gap tells what changed meanwhile", () => {
    const { table, say } = tableWith("10.99.0.1", "192.0.2.2");
    say(listed);
    table.clear();
    assert.deepEqual(
      say(
        listed
          .split("\n")
          .filter((line) => !line.startsWith("6:"))
          .join("\n"),
      ),
      ["10.99.0.1 down"],
    );
  });

  test("every spelling of an IPv6 address is the same one, and point-to-point addresses are understood", () => {
    assert.equal(canonicalAddress("FD00:0:0::0002%eth0"), "fd00::2");
    assert.equal(canonicalAddress("10.0.0.1"), "10.0.0.1");
    const { say } = tableWith("fd00:0::2", "10.8.0.1");
    say(listed);
    const off = String.raw`4: eth0: <BROADCAST,MULTICAST> mtu 1400 qdisc pfifo_fast state DOWN group default \    link/ether`;
    assert.deepEqual(say(off), ["fd00:0::2 down"]);
    assert.deepEqual(parseLinkLine("7: tun0    inet 10.8.0.1 peer 10.8.0.2/32 scope global tun0"), {
      kind: "address",
      index: 7,
      address: "10.8.0.1",
      gone: false,
    });
  });

  test("whatever else is printed is left alone", () => {
    fc.assert(fc.property(fc.string(), (text) => assert.equal(parseLinkLine(`x${text}`), undefined)));
    for (const line of ["", "[LINK]", "10.0.0.1 dev eth0 lladdr 02:fc REACHABLE", "Deleted default via 192.0.2.1 dev eth0"])
      assert.equal(parseLinkLine(line), undefined);
  });
});
