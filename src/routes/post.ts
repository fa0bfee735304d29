import type { Telemetry } from "../kernel/index.ts";
import type { Endpoint } from "../transport/index.ts";
import { ByteWriter } from "../wire/index.ts";
import { metricNames } from "./metrics.ts";
import type { OwnRoutes } from "./own-routes.ts";
import { type ProbeBody, encodeProbe } from "./probe.ts";
import type { Relation } from "./relation.ts";
import type { ProbeSeal } from "./seal.ts";

/** How far a node is in the order of changes. */
export interface Position {
  readonly epoch: number;
  readonly sequence: number;
}

export interface Outgoing {
  readonly body: ProbeBody;
  /** The own route that it leaves by. */
  readonly own: number;
  readonly to: Endpoint;
  /** Absent: the answer to a stranger. */
  readonly relation?: Relation;
  /** What is echoed; default: the relation's newest. */
  readonly echo?: { readonly tag: number; readonly number: number };
  readonly hears?: number;
  readonly beats?: number;
}

/** Everything that leaves this node as a probe. */
export class Post {
  /** The number of this node's newest beat. */
  beat = 0;
  readonly #name: string;
  readonly #own: OwnRoutes;
  readonly #seal: ProbeSeal;
  readonly #position: () => Position;
  readonly #telemetry: Telemetry;
  readonly #writer = new ByteWriter(4096);

  constructor(
    name: string,
    ports: { readonly own: OwnRoutes; readonly seal: ProbeSeal; readonly position: () => Position; readonly telemetry: Telemetry },
  ) {
    this.#name = name;
    this.#own = ports.own;
    this.#seal = ports.seal;
    this.#position = ports.position;
    this.#telemetry = ports.telemetry;
  }

  send({ body, own, to, relation, echo, hears = 0, beats = 0 }: Outgoing): void {
    const { epoch, sequence } = this.#position();
    const head = {
      name: this.#name,
      route: own,
      tag: relation?.tag ?? 0,
      number: relation?.nextNumber() ?? (body.kind === "beat" ? this.beat : 0),
      echoTag: echo?.tag ?? relation?.echoTag ?? 0,
      echoNumber: echo?.number ?? relation?.echoNumber ?? 0,
      epoch,
      sequence,
      hears,
      down: this.#own.down,
      beat: this.beat,
      beats,
    };
    const bytes = encodeProbe({ ...head, ...body }, this.#seal, this.#writer);
    if (bytes === undefined) return;
    this.#telemetry.count(metricNames.sent);
    this.#own.send(own, bytes, to);
  }
}
