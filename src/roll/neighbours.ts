import type { Downlinks } from "./downlinks.ts";
import type { Follower } from "./follower.ts";
import type { Attached } from "./messages.ts";

export interface NeighboursPorts {
  /** A directory's own; others are told by their parent. */
  readonly secret: string | undefined;
  readonly follower: Follower;
  readonly downlinks: () => Downlinks;
}

/** A host's agent, and which of its attachments. */
export interface AttachedAgent {
  readonly host: string;
  readonly session: number;
  readonly counter: number;
}

/** Who is next to this node in the tree, and what they need to probe the routes between them. */
export class Neighbours {
  readonly #ports: NeighboursPorts;
  readonly #told = new Set<() => void>();
  #answersAt: readonly string[] = [];

  constructor(ports: NeighboursPorts) {
    this.#ports = ports;
  }

  /** What keys the probes of the fleet, in hex; undefined before the first parent has said so, and always for programs. */
  get secret(): string | undefined {
    return this.#ports.secret ?? this.#ports.follower.secret;
  }

  /** Where the parent answers probes, as it says. */
  get parentProbes(): readonly string[] {
    return this.#ports.follower.probes;
  }

  /** Where this node answers them, as `H:P`: its children are told when they attach. */
  answersProbesAt(places: readonly string[]): void {
    this.#answersAt = places;
  }

  /** What agents and relays below are told. */
  get probing(): Pick<Attached, "secret" | "probes"> {
    const { secret } = this;
    return { probes: this.#answersAt, ...(secret === undefined ? {} : { secret }) };
  }

  /** The agents that are attached here, each with its newest attachment: its former link may not have been noticed to be dead. */
  get attachedAgents(): readonly AttachedAgent[] {
    const agents = new Map<string, AttachedAgent>();
    for (const { hello, session, counter, following } of this.#ports.downlinks()) {
      if (!following || hello.role !== "agent" || session === 0) continue;
      const known = agents.get(hello.name);
      if (known === undefined || session > known.session || counter > known.counter)
        agents.set(hello.name, { host: hello.name, session, counter });
    }
    return [...agents.values()];
  }

  /** Calls `tell` when the parent or the children have changed, until the returned function is called. */
  onChange(tell: () => void): () => void {
    this.#told.add(tell);
    return () => this.#told.delete(tell);
  }

  changed(): void {
    for (const tell of this.#told) tell();
  }
}
