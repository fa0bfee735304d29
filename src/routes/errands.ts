import type { Clock, Random } from "../kernel/index.ts";
import type { Endpoint, Transport } from "../transport/index.ts";
import { knock } from "./knock.ts";
import type { ProbeLimits, ProbePeriods } from "./options.ts";
import type { OwnRoutes } from "./own-routes.ts";
import { isAnyAddress } from "./path.ts";
import type { Post } from "./post.ts";
import { type Probe, type Verdict, nameDigest } from "./probe.ts";
import { Relation } from "./relation.ts";

export interface ErrandPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly periods: ProbePeriods;
  readonly limits: ProbeLimits;
  readonly own: OwnRoutes;
  readonly post: Post;
  readonly transport: Transport | undefined;
}

type Ask = Extract<Probe, { readonly kind: "ask" }>;

interface Errand {
  readonly ask: Ask;
  readonly relation: Relation;
  readonly tell: (verdict: Verdict) => void;
  systemLives: boolean;
  tries: number;
}

/** Four round trips fail by chance once in 770 times at 10 % loss, and are over before the parent's own burst. */
const triesMax = 4;
const finishedMax = 256;

/** What this node looks at for its parent: whether an address answers from here. */
export class Errands {
  readonly #ports: ErrandPorts;
  readonly #open = new Map<number, Errand>();
  readonly #byTag = new Map<number, Errand>();
  /** The last verdicts, so that a question that is asked again is answered at once. */
  readonly #finished = new Map<number, Verdict>();
  #closed = false;

  constructor(ports: ErrandPorts) {
    this.#ports = ports;
  }

  /** `tell` is called once, within four burst periods. What is asked while too much is open is left out; the parent asks again. */
  take(ask: Ask, tell: (verdict: Verdict) => void): void {
    const known = this.#finished.get(ask.id);
    if (known !== undefined) {
      tell(known);
      return;
    }
    if (this.#open.has(ask.id) || this.#open.size >= this.#ports.limits.errandsMax) return;
    const errand: Errand = { ask, relation: new Relation(this.#ports.random, this.#ports.periods), tell, systemLives: false, tries: 0 };
    this.#open.set(ask.id, errand);
    this.#byTag.set(errand.relation.tag, errand);
    this.#knock(errand);
    this.#try(errand);
  }

  /** Whether the message answers one of ours. */
  receive(probe: Probe): boolean {
    const errand = this.#byTag.get(probe.echoTag);
    if (errand === undefined) return false;
    // Another host may have the address by now: that one's life proves nothing.
    if (errand.relation.isFresh(probe) && nameDigest(probe.name) === errand.ask.target) this.#finish(errand, "answered");
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#open.clear();
    this.#byTag.clear();
  }

  #try(errand: Errand): void {
    if (this.#closed || !this.#open.has(errand.ask.id)) return;
    if (errand.tries === triesMax) {
      this.#finish(errand, errand.systemLives ? "system-lives" : "silent");
      return;
    }
    errand.tries++;
    const to = endpointOf(errand.ask);
    for (const own of this.#ports.own.towards(to.host, 0))
      this.#ports.post.send({ body: { kind: "probe" }, own, to, relation: errand.relation });
    this.#ports.clock.schedule(this.#ports.periods.burstMs, () => this.#try(errand));
  }

  #knock(errand: Errand): void {
    const { transport, own, periods } = this.#ports;
    if (transport === undefined) return;
    const to = endpointOf(errand.ask);
    void knock(transport, knockers(own, to.host), to, triesMax * periods.burstMs).then((lives) => {
      errand.systemLives = lives;
    });
  }

  #finish(errand: Errand, verdict: Verdict): void {
    this.#open.delete(errand.ask.id);
    this.#byTag.delete(errand.relation.tag);
    if (this.#finished.size >= finishedMax)
      for (const oldest of this.#finished.keys()) {
        this.#finished.delete(oldest);
        break;
      }
    this.#finished.set(errand.ask.id, verdict);
    errand.tell(verdict);
  }
}

/** The own addresses to knock from. */
export function knockers(own: OwnRoutes, address: string): (string | undefined)[] {
  return own.towards(address, 0).map((number) => (isAnyAddress(own.address(number)) ? undefined : own.address(number)));
}

function endpointOf(ask: Ask): Endpoint {
  return { host: ask.address, port: ask.port };
}
