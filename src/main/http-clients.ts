import type { Fleet } from "../fleet/index.ts";
import {
  type FetchOptions,
  type FetchPorts,
  type FleetFetch,
  type FleetInterceptor,
  createFleetFetch,
  fleetInterceptor,
} from "../fetch/index.ts";
import { SystemClock, SystemRandom } from "../kernel/index.ts";

/**
 * A `fetch` for this fleet: `fetch("muster://metadata/MDS.1/stat?name=a")` asks the server that the roll names for `MDS.1`, sends again
 * what is safe when it fails, and honours Retry-After. Other URLs pass through to the global `fetch`. Errors are
 * `MusterError`s of the room `fetch`; their `effect` says whether the request may have been carried out.
 */
export function fleetFetch(fleet: Fleet, options: FetchOptions = {}): FleetFetch {
  return createFleetFetch(fleet, options, { ...ports(), fetch: (input, init) => globalThis.fetch(input, init) });
}

/**
 * The same as an interceptor of undici (7 or newer): `new Agent().compose(fleetDispatcher(fleet))` serves requests to the
 * origin `muster://TABLE/KEY`; requests to other origins pass through.
 */
export function fleetDispatcher(fleet: Fleet, options: FetchOptions = {}): FleetInterceptor {
  return fleetInterceptor(fleet, options, ports());
}

function ports(): FetchPorts {
  return { clock: new SystemClock(), background: new SystemClock({ ref: false }), random: new SystemRandom() };
}
