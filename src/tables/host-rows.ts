import type { Row } from "./row.ts";

/** One host as the rows see it: whether it is alive, and a linked list of the rows whose route names it. */
export class HostRows {
  readonly name: string;
  /** False only while the host's row says so; a host without a row counts as alive. */
  alive = true;
  first: Row | undefined = undefined;
  count = 0;

  constructor(name: string) {
    this.name = name;
  }

  *rows(): Generator<Row> {
    for (let row = this.first; row !== undefined; row = row.nextOnHost) yield row;
  }
}

const routeStart = '{"host":"';
const routeMiddle = '","port":';

/** The host that canonical text names when it is a server route, without parsing it; "" when it is none. */
export function hostOfText(text: string): string {
  if (!text.startsWith(routeStart)) return "";
  const end = text.indexOf('"', routeStart.length);
  return end > routeStart.length && text.startsWith(routeMiddle, end) ? text.slice(routeStart.length, end) : "";
}

/** True when `text` is a server route on `host`: the usual case of an update, decided without a new string. */
function namesHost(text: string, host: string): boolean {
  return (
    text.startsWith(routeStart) && text.startsWith(host, routeStart.length) && text.startsWith(routeMiddle, routeStart.length + host.length)
  );
}

/** Which rows lie on which host. A host is known while a row lies on it or it is dead. */
export class HostIndex {
  readonly #hosts = new Map<string, HostRows>();
  /** Loads come in runs of one host or in turn over few; the last one is tried before the map is asked. */
  #last: HostRows | undefined = undefined;

  get size(): number {
    return this.#hosts.size;
  }

  get(name: string): HostRows | undefined {
    return this.#hosts.get(name);
  }

  /** Puts the row where its text says; called whenever the text of a row that can be a server route is new. */
  place(row: Row): void {
    const old = row.host;
    if (old !== undefined && namesHost(row.text, old.name)) return;
    if (old !== undefined) this.displace(row);
    const last = this.#last;
    if (last !== undefined && namesHost(row.text, last.name)) {
      link(row, last);
      return;
    }
    const name = hostOfText(row.text);
    if (name === "") return;
    const host = this.#hosts.get(name) ?? this.#add(name);
    this.#last = host;
    link(row, host);
  }

  /** Takes the row off its host's list. */
  displace(row: Row): void {
    const host = row.host;
    if (host === undefined) return;
    const { previousOnHost: previous, nextOnHost: next } = row;
    if (previous === undefined) host.first = next;
    else previous.nextOnHost = next;
    if (next !== undefined) next.previousOnHost = previous;
    row.host = undefined;
    row.previousOnHost = undefined;
    row.nextOnHost = undefined;
    host.count--;
    this.#forget(host);
  }

  /** Sets what the host's own row says; returns the host when that changed, else undefined. */
  setAlive(name: string, alive: boolean): HostRows | undefined {
    const host = this.#hosts.get(name) ?? (alive ? undefined : this.#add(name));
    if (host === undefined || host.alive === alive) return undefined;
    host.alive = alive;
    this.#forget(host);
    return host;
  }

  #add(name: string): HostRows {
    const host = new HostRows(name);
    this.#hosts.set(name, host);
    return host;
  }

  #forget(host: HostRows): void {
    if (host.count > 0 || !host.alive) return;
    this.#hosts.delete(host.name);
    if (this.#last === host) this.#last = undefined;
  }
}

function link(row: Row, host: HostRows): void {
  const next = host.first;
  row.host = host;
  row.previousOnHost = undefined;
  row.nextOnHost = next;
  if (next !== undefined) next.previousOnHost = row;
  host.first = row;
  host.count++;
}
