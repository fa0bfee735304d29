import { type Clock, type Random, type Telemetry, type Timer, every } from "../kernel/index.ts";
import type { RollNode } from "../roll/index.ts";
import { type ProbePeriods, type ProbedChild, Prober, type ReachRow } from "../routes/index.ts";
import { parseRouteAddress, tableNumbers } from "../tables/index.ts";
import { type Datagrams, type Endpoint, type Transport, formatAddress, parseAddress } from "../transport/index.ts";

export interface NodeProbesPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly datagrams: Datagrams;
  readonly transport: Transport;
  readonly periods: ProbePeriods;
  /** The addresses that this node sends and answers probes from; for a host's agent its routes, in their order. */
  readonly addresses: readonly string[];
  /** Where a parent answers: the port of its links. 0 for a node without children elsewhere. */
  readonly port: number;
}

/** How often what was found out is compared with the roll. */
const repeatPeriods = 5;
/** A replica that has not moved for so many periods, although its parent is ahead, has missed something. */
const stuckPeriods = 20;
const routesMax = 8;

interface Verdict {
  readonly host: string;
  readonly number: number;
  readonly valid: boolean;
  readonly why: string;
}

/**
 * A node and the probes of the routes around it: what the roll knows (who is parent, who is child, over which addresses) goes to the
 * prober, what the prober finds out goes to the roll. It decides nothing about hosts: it only leaves a parent that it
 * cannot reach over the address in use.
 */
export class NodeProbes {
  readonly #node: RollNode;
  readonly #ports: NodeProbesPorts;
  readonly #prober: Prober;
  readonly #leave: readonly (() => void)[];
  #secret: { readonly hex: string; readonly bytes: Uint8Array } | undefined;
  /** What the prober said last of each route of a host that is attached here. */
  readonly #verdicts = new Map<string, Verdict>();
  readonly #repeating: Timer;
  #stuck: Timer | undefined;
  #planned = false;
  #closed = false;

  constructor(node: RollNode, ports: NodeProbesPorts) {
    this.#node = node;
    this.#ports = ports;
    const { clock, random, telemetry, datagrams, transport, periods, addresses, port } = ports;
    const { name, role } = node.options;
    this.#prober = new Prober({
      clock,
      random,
      telemetry,
      datagrams,
      transport,
      periods,
      self: { name, role, addresses, port },
      secret: () => this.#key(),
      position: () => node.position,
      report: {
        route: (host, number, state, why) => {
          this.#verdicts.set(`${host}.${number}`, { host, number, valid: state === "valid", why });
          this.#tell(`${host}.${number}`);
        },
        hostSilent: (host, attachment, why) => node.hostSilent(host, attachment, why),
        hostHeard: (host) => node.hostHeard(host),
        parentUnheard: () => node.leaveParent("probes reach the parent on no route"),
        parentRouteCut: (address) => this.#cutOff(address),
        positionAhead: (_epoch, sequence) => this.#behind(sequence),
      },
    });
    // What was told while the way to the directory was broken is told again, until the roll says the same.
    this.#repeating = every(clock, repeatPeriods * periods.probeMs, () => {
      for (const key of this.#verdicts.keys()) this.#tell(key);
    });
    this.#leave = [
      node.neighbours.onChange(() => this.#plan()),
      node.replica.observe({
        touched: (table) => {
          if (table === tableNumbers.hostRoute) this.#plan();
        },
        host: () => {},
        reset: () => this.#plan(),
      }),
    ];
  }

  /** Never rejects: where no datagram socket can be had, nothing is probed and nobody accused. */
  async start(): Promise<void> {
    await this.#prober.start();
    if (this.#closed) return;
    const port = this.#prober.port;
    if (port > 0)
      this.#node.neighbours.answersProbesAt(this.#ports.addresses.filter(isOne).map((host) => formatAddress({ kind: "tcp", host, port })));
    this.#plan();
  }

  /** The state of an own interface, as the operating system says: the parent hears of it over another route. */
  interface(address: string, up: boolean): void {
    this.#prober.interface(address, up);
  }

  table(): readonly ReachRow[] {
    return this.#prober.table();
  }

  close(): void {
    this.#closed = true;
    this.#stuck?.cancel();
    this.#repeating.cancel();
    for (const leave of this.#leave) leave();
    this.#prober.close();
  }

  #key(): Uint8Array | undefined {
    const { secret } = this.#node.neighbours;
    if (secret === undefined) return undefined;
    // The prober keeps what it derives from a key by the identity of the bytes.
    if (this.#secret?.hex !== secret) this.#secret = { hex: secret, bytes: Buffer.from(secret, "hex") };
    return this.#secret.bytes;
  }

  /** Once a turn, however much has changed. */
  #plan(): void {
    if (this.#planned || this.#closed) return;
    this.#planned = true;
    this.#ports.clock.turn(() => {
      this.#planned = false;
      if (this.#closed) return;
      this.#prober.setParent(this.#parentPlaces());
      this.#prober.setChildren(this.#children());
    });
  }

  #parentPlaces(): readonly Endpoint[] | undefined {
    const { parent } = this.#node;
    if (parent === undefined) return undefined;
    const places = new Map<string, Endpoint>();
    // In the parent's own order, so that routes of one number meet: a system sends by the target's address, whatever it is bound to.
    for (const text of [...this.#node.neighbours.parentProbes, parent.address]) {
      const address = parseAddress(text);
      if (address.kind === "tcp" && isOne(address.host)) places.set(text, { host: address.host, port: address.port });
    }
    return places.size === 0 ? undefined : [...places.values()].slice(0, routesMax);
  }

  #tell(key: string): void {
    const verdict = this.#verdicts.get(key);
    const { replica } = this.#node;
    const row = replica.row(tableNumbers.hostRoute, key);
    if (verdict === undefined || row === undefined || row.flag === verdict.valid) return;
    // One that an operator set invalid has no state, and stays so.
    if (verdict.valid && replica.row(tableNumbers.states, `host-route/${key}`) === undefined) return;
    this.#node.routeNews(verdict.host, verdict.number, verdict.valid, verdict.why);
  }

  #children(): readonly ProbedChild[] {
    const { replica } = this.#node;
    const agents = this.#node.neighbours.attachedAgents;
    const here = new Set(agents.map(({ host }) => host));
    for (const [key, { host }] of this.#verdicts) if (!here.has(host)) this.#verdicts.delete(key);
    return agents.map((agent) => {
      const addresses: string[] = [];
      for (let number = 0; number < routesMax; number++) {
        const row = replica.entry(tableNumbers.hostRoute, `${agent.host}.${number}`);
        if (row === undefined) break;
        const address = parseRouteAddress(row.value);
        if (address === undefined) break;
        addresses.push(address);
      }
      return { ...agent, addresses };
    });
  }

  /** The route that the link to the parent takes is cut; another one is not. */
  #cutOff(ownAddress: string): void {
    if (this.#node.parent?.local === ownAddress) this.#node.leaveParent(`probes do not reach the parent from ${ownAddress}`);
  }

  #behind(sequence: number): void {
    if (this.#stuck !== undefined) return;
    const at = this.#node.position.sequence;
    this.#stuck = this.#ports.clock.schedule(stuckPeriods * this.#ports.periods.probeMs, () => {
      this.#stuck = undefined;
      if (!this.#closed && this.#node.position.sequence === at)
        this.#node.leaveParent(`the parent is at ${sequence}, and nothing of that arrives here`);
    });
  }
}

/** A wildcard is where one listens, not where one is reached. */
function isOne(host: string): boolean {
  return host !== "0.0.0.0" && host !== "::";
}
