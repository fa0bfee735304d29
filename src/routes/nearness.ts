import { isIPv4, isIPv6 } from "node:net";

/**
 * Which of several addresses are on the same network as a given one, as far as addresses tell: those that share the most leading bits.
 * Hosts answer for all their addresses on every interface, so a probe from network 1 to an address of network 0 travels
 * on one network and its answer on the other: it would prove neither.
 */
export function nearest<Item>(address: string, items: readonly Item[], addressOf: (item: Item) => string): readonly Item[] {
  if (items.length < 2) return items;
  const bits = items.map((item) => commonBits(address, addressOf(item)));
  const most = Math.max(...bits);
  return items.filter((_, at) => bits[at] === most);
}

/** Leading bits that two addresses have in common; 0 for anything but two addresses of one family. */
export function commonBits(one: string, other: string): number {
  const [a, b] = [groupsOf(one), groupsOf(other)];
  if (a.length !== b.length) return 0;
  const width = a.length === 4 ? 8 : 16;
  for (const [at, group] of a.entries()) {
    const difference = group ^ (b[at] ?? 0);
    if (difference !== 0) return at * width + Math.clz32(difference) - (32 - width);
  }
  return a.length * width;
}

/** Four bytes, eight groups of sixteen bits, or nothing for a name. */
function groupsOf(address: string): readonly number[] {
  if (isIPv4(address)) return address.split(".").map(Number);
  const [bare = ""] = address.split("%");
  if (!isIPv6(bare) || bare.includes(".")) return [];
  const [head = "", tail] = bare.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)));
  const [before, after] = [groups(head), groups(tail ?? "")];
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
}
