import { type Where, matches } from "../tables/index.ts";
import type { HostPath, HostPaths } from "./host-paths.ts";
import { weightOf } from "./policies.ts";
import type { Named, Server } from "./resolve.ts";
import { AnswerSet, type Reach, type RouteAnswer } from "./route.ts";

/** What a key's memo holds. */
export interface Answers {
  readonly turn: readonly RouteAnswer[];
  readonly all: readonly RouteAnswer[];
  readonly weights: readonly number[];
}

const noAnswers: Answers = Object.freeze({ turn: Object.freeze([]), all: Object.freeze([]), weights: Object.freeze([]) });

/** Takes the host step for what a key names. `key` is what the answers say was asked for. */
export function answersFor(key: string, named: Named, where: Where | undefined, paths: HostPaths, ageMs: () => number): Answers {
  const fits = (server: Server) => server.valid && (where === undefined || matches(server.value, where));
  const reach = (server: Server | undefined): Reach | undefined => {
    const address = server === undefined ? undefined : paths.addresses(server.host)[0];
    return server === undefined || address === undefined ? undefined : { ...server, address };
  };
  const avoided = (server: Server) => server.avoided || paths.isAvoided(server.host);
  switch (named.shape) {
    case "nothing":
      return noAnswers;
    case "server": {
      const { server } = named;
      if (!fits(server)) return noAnswers;
      const reaches = paths.addresses(server.host).map((address) => ({ ...server, address }));
      return first(new AnswerSet(key, reaches, 0, ageMs));
    }
    case "instance": {
      const [primary, ...backups] = named.instance.valid ? named.instance.servers.filter(fits) : [];
      const servers = primary === undefined ? [] : [primary, ...avoidedLast(backups, avoided)];
      // A backup is not the primary: an instance whose primary cannot be reached has no answer.
      if (reach(primary) === undefined) return noAnswers;
      const { group } = named.instance;
      const reaches = servers.map(reach).filter(isReach);
      if (group === undefined) return first(new AnswerSet(key, reaches, 0, ageMs));
      const { epoch, synchronising } = group;
      const held = Object.freeze({ epoch, synchronising });
      return first(
        new AnswerSet(
          key,
          reaches.map((one) => ({ ...one, group: held })),
          0,
          ageMs,
        ),
      );
    }
    case "service": {
      const primaries = named.instances.map(({ valid, servers }) => (valid ? servers.find(fits) : undefined));
      const reachable = primaries.filter(isServer).filter((server) => reach(server) !== undefined);
      const inOrder = avoidedLast(reachable, avoided);
      // When all are to be avoided, none is: a server that may not answer is better than no server.
      const chosen = reachable.filter((server) => !avoided(server)).length || reachable.length;
      const { answers } = new AnswerSet(key, inOrder.map(reach).filter(isReach), chosen, ageMs);
      return { turn: answers.slice(0, chosen), all: answers, weights: inOrder.slice(0, chosen).map(({ value }) => weightOf(value)) };
    }
  }
}

/** The hosts that answers for `named` depend on, also those of servers that cannot be called now. */
export function hostsOf(named: Named, paths: HostPaths): readonly HostPath[] {
  const hosts = new Set<HostPath>();
  for (const server of serversOf(named)) hosts.add(paths.get(server.host));
  return [...hosts];
}

function serversOf(named: Named): readonly Server[] {
  switch (named.shape) {
    case "nothing":
      return [];
    case "server":
      return [named.server];
    case "instance":
      return named.instance.servers;
    case "service":
      return named.instances.flatMap((instance) => instance.servers);
  }
}

function first({ answers }: AnswerSet): Answers {
  return { turn: answers.slice(0, 1), all: answers, weights: [1] };
}

/** Those that no state says to avoid, then the others; both in their order. */
function avoidedLast(servers: readonly Server[], avoided: (server: Server) => boolean): readonly Server[] {
  return servers.some(avoided) ? [...servers.filter((server) => !avoided(server)), ...servers.filter(avoided)] : servers;
}

function isServer(server: Server | undefined): server is Server {
  return server !== undefined;
}

function isReach(reach: Reach | undefined): reach is Reach {
  return reach !== undefined;
}
