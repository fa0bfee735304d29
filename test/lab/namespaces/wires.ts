import type { Faults } from "../faults.ts";
import { type Loss, everyHost } from "../scenario.ts";
import { type Cable, layCable } from "./cable.ts";
import { command } from "./command.ts";
import { namespaceName } from "./run-id.ts";

export interface WiresOptions {
  /** See `run-id.ts`. */
  readonly run: string;
  readonly hosts: readonly string[];
  /** How many separate networks join them all. */
  readonly networks: number;
  /** Connections whose delay will be set: "HOST NETWORK". They are made of two TAP devices and a program between them. */
  readonly slow?: readonly string[];
  /** The program of such cables, compiled; see `cable.ts`. */
  readonly cableProgram?: string;
}

/**
 * Hosts as network namespaces, and the networks between them as bridges in a namespace of their own. Network n is 10.77.n.0/24
 * and, in each host, `ethn`; host i (from 1) has the address 10.77.n.i. Nothing outside these namespaces is touched, and
 * nothing leads out of them.
 *
 * Cuts are made in the bridges: a host does not notice, as if a switch had swallowed its packets (a rule in the host itself
 * would fail its sends).
 */
export class Wires {
  readonly #options: WiresOptions;
  readonly #cables = new Map<string, Cable>();

  private constructor(options: WiresOptions) {
    this.#options = options;
  }

  static async lay(options: WiresOptions): Promise<Wires> {
    const wires = new Wires(options);
    await wires.#lay();
    return wires;
  }

  /** The words that go before a command to run it on a host. It dies with the thread that started it. */
  on(host: string): readonly string[] {
    return ["ip", "netns", "exec", this.namespace(host), "setpriv", "--pdeathsig", "KILL"];
  }

  namespace(host: string): string {
    return namespaceName(this.#options.run, host);
  }

  address(host: string, network: number): string {
    return `10.77.${network}.${this.#number(host)}`;
  }

  /** Makes the bridges block and lose what the faults say; in one step. */
  async apply(faults: Pick<Faults, "cutPaths" | "losses">): Promise<void> {
    const pairs = faults.cutPaths().map(({ from, to, network }) => `"${this.#port(from, network)}" . "${this.#port(to, network)}"`);
    const losses = faults.losses.flatMap((loss) => {
      const perMille = Math.round(loss.percent * 10);
      const chance = perMille >= 1000 ? "drop" : `numgen random mod 1000 < ${perMille} drop`;
      const what = loss.of === "datagrams" ? "meta protocol ip ip protocol udp " : "";
      return this.#placesOf(loss).map((place) => `${place} ${what}${chance}`);
    });
    const cuts = pairs.length === 0 ? [] : [`iifname . oifname { ${pairs.join(", ")} } drop`];
    const rules = [...cuts, ...losses].map((rule) => `add rule bridge lab forward ${rule}`);
    await this.#rules("switch", ["flush chain bridge lab forward", ...rules]);
  }

  /** Pulls or plugs the cable at the switch: the host's interface loses or finds its carrier. */
  async setPlugged(host: string, network: number, isPlugged: boolean): Promise<void> {
    await this.#ip("switch", [`link set ${this.#port(host, network)} ${isPlugged ? "up" : "down"}`]);
  }

  /** Throws when that connection was not named in `slow`. */
  setDelay(host: string, network: number, delayMs: number): void {
    const cable = this.#cables.get(`${host} ${network}`);
    if (cable === undefined) throw new Error(`${host} on network ${network} has no cable that can be slow`);
    cable.setDelay(delayMs);
  }

  /** Connections from this host to these ports are refused by itself; an empty list ends it. */
  async refuse(host: string, ports: readonly number[]): Promise<void> {
    const rules = ports.length === 0 ? [] : [`add rule inet lab output tcp dport { ${ports.join(", ")} } reject with tcp reset`];
    await this.#rules(host, ["flush chain inet lab output", ...rules]);
  }

  async readdress(host: string, network: number, address: string): Promise<void> {
    await this.#ip(host, [`address flush dev eth${network}`, `address add ${address}/24 dev eth${network}`]);
  }

  close(): void {
    for (const cable of this.#cables.values()) cable.close();
  }

  async #lay(): Promise<void> {
    const { hosts, networks, slow = [], cableProgram } = this.#options;
    const all = numbers(networks);
    for (const name of ["switch", ...hosts]) await command("ip", ["netns", "add", this.namespace(name)]);
    // Without snooping a bridge floods multicast, as a plain switch does; without address generation there is no IPv6.
    await this.#ip(
      "switch",
      all.flatMap((network) => [
        `link add net${network} type bridge forward_delay 0 stp_state 0 mcast_snooping 0`,
        `link set net${network} addrgenmode none up`,
      ]),
    );
    for (const host of hosts)
      for (const network of all) {
        const port = this.#port(host, network);
        if (slow.includes(`${host} ${network}`)) {
          if (cableProgram === undefined) throw new Error("slow connections need the cable program");
          this.#cables.set(
            `${host} ${network}`,
            await layCable(cableProgram, [this.namespace("switch"), port, this.namespace(host), `eth${network}`]),
          );
        } else
          await command("ip", [
            "link",
            "add",
            port,
            "netns",
            this.namespace("switch"),
            "type",
            "veth",
            "peer",
            "name",
            `eth${network}`,
            "netns",
            this.namespace(host),
          ]);
      }
    for (const host of hosts)
      await this.#ip(host, [
        "link set lo up",
        ...all.flatMap((network) => [
          `address add ${this.address(host, network)}/24 dev eth${network}`,
          `link set eth${network} addrgenmode none up`,
        ]),
      ]);
    await this.#ip(
      "switch",
      hosts.flatMap((host) => all.map((network) => `link set ${this.#port(host, network)} master net${network} addrgenmode none up`)),
    );
    await this.#rules("switch", ["add table bridge lab", "add chain bridge lab forward { type filter hook forward priority 0; }"]);
    for (const host of hosts)
      await this.#rules(host, ["add table inet lab", "add chain inet lab output { type filter hook output priority 0; }"]);
  }

  /** The ports that a loss concerns: each packet of a host passes one, coming or going; a packet of the network passes one in all. */
  #placesOf({ host, network }: Loss): readonly string[] {
    if (host !== everyHost) return ["iifname", "oifname"].map((side) => `${side} "${this.#port(host, network)}"`);
    return [`iifname { ${this.#options.hosts.map((one) => `"${this.#port(one, network)}"`).join(", ")} }`];
  }

  /** The name of a host's port at the switch; interface names have at most 15 letters. */
  #port(host: string, network: number): string {
    return `h${this.#number(host)}n${network}`;
  }

  #number(host: string): number {
    const index = this.#options.hosts.indexOf(host);
    if (index < 0) throw new Error(`there is no host ${host}`);
    return index + 1;
  }

  async #ip(host: string, lines: readonly string[]): Promise<void> {
    await command("ip", ["-n", this.namespace(host), "-batch", "-"], `${lines.join("\n")}\n`);
  }

  async #rules(host: string, lines: readonly string[]): Promise<void> {
    await command("ip", ["netns", "exec", this.namespace(host), "nft", "-f", "-"], `${lines.join("\n")}\n`);
  }
}

export function numbers(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}
