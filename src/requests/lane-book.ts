import type { MusterError } from "../kernel/index.ts";
import type { CompleteRoute } from "../find/index.ts";
import type { Replica } from "../tables/index.ts";
import { Channel, type ChannelEvents, type ChannelPorts } from "./channel.ts";
import { Lane } from "./lane.ts";
import type { LaneIndex } from "./lane-index.ts";
import type { Nearness } from "./nearness.ts";
import { LazyRoutePlan, type RoutePlan } from "./route-plan.ts";

/** Lanes that are remembered; beyond this those without requests are forgotten. */
const lanesMax = 10_000;

/** The lanes and channels of one caller: made when find first names a route, kept while they are used. */
export class LaneBook {
  readonly #replica: Replica;
  readonly #index: LaneIndex;
  readonly #nearness: Nearness;
  readonly #channelPorts: ChannelPorts;
  readonly #patienceMs: (lane: Lane) => number;
  readonly #channelsMax: number;
  readonly #events: ChannelEvents;
  /** Answers of find are the same objects until something changes: the quick way to a lane. */
  #plans = new WeakMap<CompleteRoute, RoutePlan>();
  readonly #lanes = new Map<string, Lane>();
  readonly #channels = new Map<string, Channel>();

  /** `patienceMs`: how long a new channel for that lane may take until it is slow. */
  constructor(
    replica: Replica,
    index: LaneIndex,
    nearness: Nearness,
    channelPorts: ChannelPorts,
    patienceMs: (lane: Lane) => number,
    channelsMax: number,
    events: ChannelEvents,
  ) {
    this.#replica = replica;
    this.#index = index;
    this.#nearness = nearness;
    this.#channelPorts = channelPorts;
    this.#patienceMs = patienceMs;
    this.#channelsMax = channelsMax;
    this.#events = {
      ...events,
      ended: (channel, wasOpen, error) => {
        this.#leave(channel);
        events.ended(channel, wasOpen, error);
      },
    };
  }

  get channels(): number {
    return this.#channels.size;
  }

  /** They may come and go while the list is read. */
  allChannels(): Iterable<Channel> {
    return this.#channels.values();
  }

  /** Where an answer of find leads: its lane, and the others. */
  plan(table: string, route: CompleteRoute): RoutePlan {
    const known = this.#plans.get(route);
    if (known !== undefined && known.lane.table === table && known.lane.watched) {
      known.lane.route = route;
      return known;
    }
    const plan = new LazyRoutePlan(this.#laneOf(table, route), route, this.#replica, this.#nearness, (other) => this.#laneOf(table, other));
    this.#plans.set(route, plan);
    return plan;
  }

  lane(table: string, route: CompleteRoute): Lane {
    const known = this.#plans.get(route);
    return known !== undefined && known.lane.table === table && known.lane.watched ? known.lane : this.#laneOf(table, route);
  }

  #laneOf(table: string, route: CompleteRoute): Lane {
    const name = `${table}\u0000${route.instance}\u0000${route.host}\u0000${route.address}\u0000${route.port}`;
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      if (this.#lanes.size >= lanesMax) this.#forgetUnused();
      const definition = this.#replica.requireTable(table);
      lane = new Lane(definition.name, definition.number, route);
      this.#lanes.set(name, lane);
    }
    this.#index.add(lane);
    lane.route = route;
    return lane;
  }

  /** The channel to an address, if there is one. */
  channelAt(place: string): Channel | undefined {
    return this.#channels.get(place);
  }

  /** The lane's channel, opened if there is none. */
  channel(lane: Lane): Channel {
    if (lane.channel !== undefined) return lane.channel;
    let channel = this.#channels.get(lane.place);
    if (channel === undefined) {
      if (this.#channels.size >= this.#channelsMax) this.#closeIdle();
      channel = new Channel(lane.address, lane.port, this.#patienceMs(lane), this.#channelPorts, this.#events);
      this.#channels.set(lane.place, channel);
    }
    channel.lanes.add(lane);
    lane.channel = channel;
    for (const type of lane.types.values()) type.target = undefined;
    return channel;
  }

  /** Ends the channel; its lanes get another one when they are used again. What waits on it is its owner's to move first. */
  close(channel: Channel, reason?: MusterError): void {
    this.#leave(channel);
    channel.close(reason);
  }

  closeAll(reason?: MusterError): void {
    for (const channel of [...this.#channels.values()]) this.close(channel, reason);
  }

  #leave(channel: Channel): void {
    for (const lane of channel.lanes) if (lane.channel === channel) lane.channel = undefined;
    if (this.#channels.get(channel.place) === channel) this.#channels.delete(channel.place);
  }

  /** The idle channel that was used longest ago. */
  #closeIdle(): void {
    let oldest: Channel | undefined;
    for (const channel of this.#channels.values())
      if (channel.isIdle && (oldest === undefined || channel.usedMonoMs < oldest.usedMonoMs)) oldest = channel;
    if (oldest !== undefined) this.close(oldest);
  }

  #forgetUnused(): void {
    // Plans may name lanes that nobody watches from now on.
    this.#plans = new WeakMap();
    for (const [name, lane] of this.#lanes) {
      if (lane.inFlight > 0) continue;
      this.#index.remove(lane);
      this.#lanes.delete(name);
      lane.channel?.lanes.delete(lane);
      lane.channel = undefined;
    }
  }
}
