import type { Clock, Telemetry } from "../kernel/index.ts";
import type { Child } from "./child.ts";
import type { Directory } from "./directory.ts";
import { type HostNews, type RouteNews, decodeJson, encodeJson, message, parseHostNews, parseRouteNews } from "./messages.ts";
import type { Uplink } from "./uplink.ts";

export interface EvidencePorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly directory: Directory | undefined;
  readonly uplink: Uplink | undefined;
  readonly children: Iterable<Child>;
  /** A host that has said nothing for less than this is not silent, whatever probes say. */
  readonly tickMs: number;
  /** This node's own attachment, when it is an agent. */
  readonly self: () => { readonly host: string; readonly session: number; readonly counter: number } | undefined;
  /** By which number the directory knows the link of a child. */
  readonly via: (child: Child) => number;
}

/**
 * What this node finds out about the routes of hosts that are attached to it, on its way to the directory. It names the
 * attachment that it is about, so that a newer one refutes it wherever they meet.
 */
export class Evidence {
  readonly #ports: EvidencePorts;

  constructor(ports: EvidencePorts) {
    this.#ports = ports;
  }

  /** The newest link of the host's agent: an older one over a cut route stays open until its silence is noticed. */
  #agent(host: string): Child | undefined {
    let newest: Child | undefined;
    for (const child of this.#ports.children) {
      if (child.hello.role !== "agent" || child.hello.name !== host || child.session === 0 || !child.link.isOpen) continue;
      if (newest === undefined || child.session > newest.session || child.counter > newest.counter) newest = child;
    }
    return newest;
  }

  /** Nothing is heard of the host on any route, and others agree. Of an attachment that is not here any more: ignored. */
  hostSilent(host: string, attachment: { readonly session: number; readonly counter: number }, why: string): void {
    const child = this.#agent(host);
    if (child === undefined || child.session !== attachment.session || child.counter !== attachment.counter) return;
    const { clock, tickMs } = this.#ports;
    const heard = child.link.heardMonoMs;
    const quietMs = clock.monoMs() - heard;
    if (quietMs >= tickMs) {
      this.#accuse(child, why);
      return;
    }
    // Its link is a route as well. Judged after all input that had arrived by then was read.
    clock.schedule(tickMs - quietMs + 1, () =>
      clock.turn(() =>
        clock.turn(() => {
          if (child.link.isOpen && child.link.heardMonoMs === heard && child.counter === attachment.counter) this.#accuse(child, why);
          else this.#ports.telemetry.log("debug", "accusation-refuted", { host, why });
        }),
      ),
    );
  }

  #accuse(child: Child, why: string): void {
    this.#host({ session: child.session, counter: child.counter, host: child.hello.name, heard: false, why }, this.#ports.via(child));
  }

  /** The host is heard again. */
  hostHeard(host: string): void {
    const child = this.#agent(host);
    if (child === undefined) return;
    this.#host({ session: child.session, counter: child.counter, host, heard: true, why: "" }, this.#ports.via(child));
  }

  /** A route of a host that is attached here, or of this agent's own host, was cut or is back. Repeating it changes nothing. */
  routeNews(host: string, number: number, valid: boolean, why: string): void {
    const child = this.#agent(host);
    const self = this.#ports.self();
    if (child !== undefined)
      this.#route({ session: child.session, counter: child.counter, host, number, valid, why }, this.#ports.via(child));
    else if (self?.host === host) this.#route({ session: self.session, counter: self.counter, host, number, valid, why }, 0);
  }

  /** A child passes on what it, or somebody below it, found out. It may speak for itself and for those below it. */
  below(child: Child, kind: number, body: Uint8Array): void {
    const input = decodeJson(body);
    const news = kind === message.hostNews ? parseHostNews(input) : parseRouteNews(input);
    const mayTell = news.session === child.session || child.below.get(news.session) === news.counter;
    if (!mayTell) return;
    const via = this.#ports.via(child);
    if ("heard" in news) this.#host(news, via);
    else this.#route(news, via);
  }

  #host(news: HostNews, via: number): void {
    const { directory, uplink } = this.#ports;
    if (directory === undefined) uplink?.link?.send(message.hostNews, encodeJson(news));
    else directory.hostNews(news, via);
  }

  #route(news: RouteNews, via: number): void {
    const { directory, uplink } = this.#ports;
    if (directory === undefined) uplink?.link?.send(message.routeNews, encodeJson(news));
    else directory.routeNews(news, via);
  }
}
