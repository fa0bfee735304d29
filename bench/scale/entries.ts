/** The roll that the cases of this bench hold: servers on a hundred hosts, three to a service. */
export const hostCount = 100;
export const serversEach = 3;
export const table = "metadata";

export function keyOf(index: number): string {
  return `svc${Math.floor(index / serversEach)}.${index % serversEach}`;
}

/** About 130 bytes with its key. */
export function valueOf(index: number): { readonly host: string; readonly port: number; readonly data: object } {
  return {
    host: `H${index % hostCount}`,
    port: 1024 + (index % 60_000),
    data: { zone: "a", version: "1.2.3", load: 0.25, instance: index, note: "xxxxxxxxxxxxxxx" },
  };
}

/** As in the baseline for a Map of a million: six fields with the key. */
export function smallValueOf(index: number): { readonly host: string; readonly port: number; readonly data: object } {
  return { host: `H${index % hostCount}`, port: 1024 + (index % 60_000), data: { version: index, load: 0 } };
}
