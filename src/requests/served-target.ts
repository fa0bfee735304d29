import { isRouteValue, type Replica } from "../tables/index.ts";
import { declarationOf, serviceOf } from "./declarations.ts";
import { strictestOf } from "./effect-rule.ts";
import { type EffectRule, type RequestEffect, type RequestHandler, type Subset, ownTypePrefix } from "./options.ts";
import type { ServedService } from "./served-service.ts";
import { formatSubset, isInSubset } from "./subset.ts";

/** What a number on a link stands for. */
export interface ServedTarget {
  readonly service: ServedService | undefined;
  readonly name: string;
  readonly type: string;
  readonly handle: RequestHandler | undefined;
  /** One of the library's own types. */
  readonly isOwn: boolean;
  /** What the newest declaration says that this server knows. */
  readonly effect: RequestEffect;
  /** Where it leaves that to the body of each request. */
  readonly rule: EffectRule | undefined;
  /** Why this server leaves the type to others; undefined while it is one of those that answer it. */
  readonly outside: string | undefined;
  /** The state of all declarations that it was read from. */
  readonly generation: number;
  /** The declaration that the caller goes by. */
  readonly sequence: number;
}

/** What a server makes of a type. `sequence`: of the declaration that the caller goes by; where that is the newer one it is believed. */
export function servedTarget(
  replica: Replica,
  service: ServedService | undefined,
  name: string,
  type: string,
  sequence: number,
  generation: number,
): ServedTarget {
  const served = service?.types.get(type);
  const common = { service, name, type, handle: served?.handle, isOwn: type.startsWith(ownTypePrefix), generation, sequence };
  if (service === undefined) return { ...common, effect: "write", rule: undefined, outside: undefined };
  const known = declarationOf(replica, serviceOf(service.instance), type);
  if (known.sequence > 0 && sequence > known.sequence) return { ...common, effect: "read", rule: undefined, outside: undefined };
  // Until the own declaration has come down the tree again, and where somebody has deleted it, the program's own word counts.
  const effect = known.sequence > 0 ? (known.rule ?? known.effect) : (served?.effect ?? "write");
  const subset = known.sequence > 0 ? known.subset : served?.subset;
  return {
    ...common,
    effect: strictestOf(effect),
    rule: typeof effect === "string" ? undefined : effect,
    outside: outsideOf(replica, service, subset, type),
  };
}

function outsideOf(
  replica: Replica,
  { table, instance, host }: ServedService,
  subset: Subset | undefined,
  type: string,
): string | undefined {
  if (subset === undefined) return undefined;
  const number = replica.table(table)?.number;
  const value = number === undefined ? undefined : replica.entry(number, instance)?.value;
  const route = value !== undefined && isRouteValue(value) ? value : { port: 0 };
  if (isInSubset(subset, { instance, host, port: route.port, data: "data" in route ? route.data : undefined })) return undefined;
  return `${type} is answered by ${formatSubset(subset)}`.slice(0, 300);
}
