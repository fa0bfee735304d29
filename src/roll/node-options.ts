import type { Clock, JsonValue, Random, Telemetry } from "../kernel/index.ts";
import type { Store } from "../storage/index.ts";
import type { Address, Datagrams, Transport } from "../transport/index.ts";
import type { Range } from "./interest.ts";
import type { RollLimits, RollPeriods } from "./options.ts";
import type { ProcessProbe } from "./program-watch.ts";
import type { PulseKeeper } from "./pulse-keeper.ts";
import type { SessionKind } from "./sessions.ts";
import type { Lapse } from "./watch.ts";

export interface NodeOptions {
  readonly role: SessionKind;
  /** For an agent the name of its host; otherwise a name for people. */
  readonly name: string;
  /** The parents to choose from; empty for a directory. */
  readonly parents?: readonly Address[];
  /** What it holds; default everything. An empty list holds nothing: such a node asks its parent. */
  readonly want?: readonly Range[];
  /** The addresses of the host's routes, in order of preference (agents). */
  readonly routes?: readonly string[];
  /** Attributes of the host, e.g. its zone (agents). */
  readonly attributes?: Readonly<Record<string, JsonValue>>;
  readonly periods?: Partial<RollPeriods>;
  readonly limits?: Partial<RollLimits>;
  /** The newest protocol that it speaks; lowered to test that N and N − 1 interoperate. */
  readonly protocolMax?: number;
  /** Mappings of the built-in partition tables at the founding. */
  readonly mappings?: Readonly<Record<string, string>>;
  /** Links beyond loopback without TLS are allowed: shown in status, because it is a decision to look at. */
  readonly plaintext?: boolean;
  /** What keys the probes of the fleet, in hex; a directory's. Others are told when they attach. */
  readonly secret?: string;
  /** The own process, told to the parent so that it can tell a dead program from a lost link. */
  readonly process?: { readonly pid: number; readonly started: string };
}

export interface NodePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly telemetry: Telemetry;
  /** A program's: what it asks of several servers at once goes out by multicast where that is heard. */
  readonly datagrams?: Datagrams;
  /** With these: from so many servers on. Default 8. */
  readonly multicastFrom?: number;
  /** A directory's; nobody else has one. */
  readonly store?: Store;
  readonly processes?: ProcessProbe;
  /** A program's: keeps what it serves alive from outside its main loop. Without one its beats come from the main loop. */
  readonly pulse?: PulseKeeper;
  /** Answers the queries of children that hold no replica. */
  readonly query?: (verb: string, args: unknown) => JsonValue;
  /** The same as the bytes of its JSON, for answers that go out on a link; default: `query`, written out. */
  readonly queryBytes?: (verb: string, args: unknown) => Uint8Array;
  /** Runs a configured hook when a heartbeat lapses. */
  readonly hook?: (name: string, lapse: Lapse) => void;
}
