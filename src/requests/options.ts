import { type JsonValue, limits as kernelLimits } from "../kernel/index.ts";
import type { FindPolicy } from "../find/index.ts";
import type { Where } from "../tables/index.ts";
import type { TraceContext } from "./trace-context.ts";

/**
 * What asking twice would do. `read`: nothing; `repeatable`: it acts, but twice is harmless; `write`: anything else, and what
 * every undeclared type is. Only the first two are ever asked again once they may have started.
 */
export type RequestEffect = "read" | "repeatable" | "write";

/**
 * How many servers are asked one thing. `tied`: one; a second one when the first does not begin within 1.5 ms, of which the one that still
 * waits goes away when the other begins; and another one when the answer takes longer than usual after the start, at most twice. `all`: every
 * server at once; the first answer counts. `none`: one at a time. Only of reads there is ever more than one copy.
 */
export type RequestCopies = "tied" | "all" | "none";

/**
 * An effect that the request itself decides, for types of which some requests read and others write: `when` holds of the JSON body, or
 * `else` counts. Of a body that is neither an object nor a list a rule can say nothing: that is a write.
 */
export interface EffectRule {
  readonly when: RuleCondition;
  readonly effect: RequestEffect;
  readonly else: RequestEffect | EffectRule;
}

/** `path`: names and numbers of items with dots between them, as in "file.op". What it does not find is in no list. */
export type RuleCondition =
  | { readonly path: string; readonly in: readonly (string | number | boolean | null)[] }
  | { readonly path: string; readonly exists: boolean }
  | { readonly all: readonly RuleCondition[] }
  | { readonly any: readonly RuleCondition[] }
  | { readonly not: RuleCondition };

/**
 * The servers that answer a type; others ignore it. Either a list, of server instances (`MDS.1.1`), service instances (`MDS.1`: all their
 * servers) and hosts (`HOST9`: all servers there), or the attributes that a server's route must have.
 */
export type Subset = readonly string[] | { readonly where: Where };

/**
 * What is asked or answered: JSON, or bytes as they are. Bytes must not be changed before the request has ended. What comes is the receiver's own;
 * below 2 KiB it shares its memory (`buffer`) with others that the same peer has sent, so it begins at its `byteOffset`, keeps 16 KiB as long as it is
 * kept, cannot be transferred to another thread, and `postMessage`, `structuredClone` and `buffer` take the others along: `slice()` it first.
 */
export type RequestBody = JsonValue | Uint8Array;

/** What a handler knows about the request that it answers. */
export interface RequestContext {
  /** Aborted, with a MusterError as its reason, when nobody waits any more: cancelled, moved, past its deadline, or its caller is gone. */
  readonly signal: AbortSignal;
  /** Time that is left when this property is read, in milliseconds; 0 when it is over. */
  readonly deadlineMs: number;
  readonly caller: { readonly name: string; readonly address: string };
  /** The same for all attempts of one request; unique among all callers. */
  readonly requestId: string;
  /** 1, and one more each time the request is sent again. */
  readonly attempt: number;
  /** Its place in a trace, as its caller gave it: `{ ...context.trace }` in the options of a request passes it on. */
  readonly trace: TraceContext | undefined;
}

/**
 * Answers one request; `undefined` is answered as null. An answer that is returned (not promised) costs least. A body of bytes
 * is the handler's own. What it throws is told to the caller as an error and never asked again: a MusterError keeps code and message
 * (effect "done" stays, anything else becomes "maybe"), another error becomes `requests/handler-failed` without its text.
 */
export type RequestHandler = (body: RequestBody, context: RequestContext) => RequestBody | undefined | Promise<RequestBody | undefined>;

/** One type of request that a server answers. */
export interface ServedType {
  readonly effect: RequestEffect | EffectRule;
  /** The servers of the service that answer this type. Default: all of them. */
  readonly subset?: Subset;
  /** Of a read: how many servers are asked. Default `tied`. */
  readonly copies?: RequestCopies;
  /** What copies and re-sends may add to the requests of this type, as a share of them; 0 … 1. Default: the caller's `retryShare`. */
  readonly budget?: number;
  /** Where in the JSON body stands what writes are ordered by. */
  readonly orderingKey?: string;
  readonly handle: RequestHandler;
}

export interface RequestOptions {
  /** From the call to its one outcome; 1 ms … 1 h. Default 5,000. */
  readonly deadlineMs?: number;
  /** Where the key is looked up. Default: the one table that names it. */
  readonly table?: string;
  /** For a type that nobody has declared; of a declared one the stricter counts. */
  readonly effect?: RequestEffect;
  /** Instead of what the type is declared with. */
  readonly copies?: RequestCopies;
  readonly where?: Where;
  /** Who is asked first. Default: of two servers of a service the less busy one for reads, each in turn for the others. */
  readonly policy?: FindPolicy;
  /** For `rendezvous`. */
  readonly seed?: string;
  /** Gives up: the promise rejects with `requests/aborted`, the handler's signal is aborted. */
  readonly signal?: AbortSignal;
  /** The place in a trace that the request belongs to (W3C Trace Context); what cannot be read is left out. */
  readonly traceparent?: string;
  /** With `traceparent`: what vendors add; of more than 512 characters the last members are left out. */
  readonly tracestate?: string;
}

export interface RequestLimits {
  /** Requests of one program that have no outcome yet; above it `requests/too-many`. Default 65,536. */
  readonly pendingMax: number;
  /** How often one request is sent; then it fails with what its last attempt met. At most 255. Default 200. */
  readonly attemptsMax: number;
  /** Servers of which one program holds a connection; the one that was idle longest gives way. Default 1,024. */
  readonly channelsMax: number;
  /** With more than this on its way to one server, further requests go elsewhere or fail with `requests/overloaded`. Default 32 MiB. */
  readonly bufferedBytesMax: number;
  /** A connection that does not come about within this is given up. Default 1,500. */
  readonly connectTimeoutMs: number;
  /** A request that waits so long for a connection tries another server meanwhile: it has not been sent, so that is safe. Default 250. */
  readonly connectPatienceMs: number;
  /**
   * The caller's own tick while requests are pending: a connection on which nothing was heard for three of them is pinged, and is silent
   * after six more. Default 50.
   */
  readonly pathTickMs: number;
  /** How long an address that could not be reached is avoided by this program; doubled while it keeps failing, up to ten times. Default 500. */
  readonly avoidMs: number;
  /** One budget per type for copies and for re-sends that are not free: this share of first attempts, on top of `retryBurst`. Default 0.1. */
  readonly retryShare: number;
  /** What a budget can save up, and begins with. Default 100. */
  readonly retryBurst: number;
}

export const requestLimits: RequestLimits = Object.freeze({
  pendingMax: 65_536,
  attemptsMax: 200,
  channelsMax: 1024,
  bufferedBytesMax: 32 * 1024 * 1024,
  connectTimeoutMs: 1500,
  connectPatienceMs: 250,
  pathTickMs: 50,
  avoidMs: 500,
  retryShare: 0.1,
  retryBurst: 100,
});

export interface ServerLimits {
  /** Requests of one server that its handlers work on; above it callers are told so and go elsewhere. Default 16,384. */
  readonly inFlightMax: number;
  /** Their bodies, together. Default 256 MiB. */
  readonly inFlightBytesMax: number;
  /** With more answers than this waiting for one caller to read them, its requests are refused. Default 32 MiB. */
  readonly answersBufferedBytesMax: number;
  /** Cancels that came before their request; beyond this the oldest are forgotten. Default 10,000. */
  readonly tombstonesMax: number;
  /** Callers that are connected at a time. Default 10,000. */
  readonly callersMax: number;
}

export const serverLimits: ServerLimits = Object.freeze({
  inFlightMax: 16_384,
  inFlightBytesMax: 256 * 1024 * 1024,
  answersBufferedBytesMax: 32 * 1024 * 1024,
  tombstonesMax: 10_000,
  callersMax: 10_000,
});

/** Of a request or an answer. A frame holds 4 MiB; what stands around a body needs less than 1 KiB. */
export const bodyBytesMax = kernelLimits.frameBytesMax - 1024;
/** Types that begin so are the library's own: no program serves them, and nothing is recorded of them. */
export const ownTypePrefix = "muster.";
export const deadlineMsDefault = 5000;
export const deadlineMsMax = 3_600_000;
export const typeNameBytesMax = 128;
