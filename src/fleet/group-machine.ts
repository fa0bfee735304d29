import {
  type Executed,
  type GroupMachine,
  type KeyedHandler,
  KeyedState,
  type OrderedRequest,
  type SlotRows,
  SlottedState,
  type StateChange,
  type StateRow,
  badResult,
} from "../groups/index.ts";
import { errorOf, isRecord } from "../kernel/index.ts";
import type { GroupExecuted, GroupHooks, GroupType } from "./group.ts";
import { requestIdOf } from "./group-request-id.ts";
import type { GroupTraces } from "./group-traces.ts";
import { decodeBody, encodeBody } from "./group-wire.ts";

/** Keyed rows whose handlers take and give bodies of requests. `within`: key of the group's row, or of the map's where groups share keys. */
export function keyedMachine(within: string, types: Readonly<Record<string, GroupType>>, traces: GroupTraces): KeyedState {
  return new KeyedState({ handlers: handlersOf(within, types, traces) });
}

/** The same by slots. */
export function slottedMachine(within: string, types: Readonly<Record<string, GroupType>>, traces: GroupTraces): SlottedState {
  return new SlottedState({ handlers: handlersOf(within, types, traces) });
}

function handlersOf(
  within: string,
  types: Readonly<Record<string, GroupType>>,
  traces: GroupTraces,
): Readonly<Record<string, KeyedHandler>> {
  const handlers = Object.entries(types).map(([type, declared]): readonly [string, KeyedHandler] => [
    type,
    keyedHandler(within, type, declared, traces),
  ]);
  return Object.fromEntries(handlers);
}

/** A type that this server takes for a read is carried out in the order as well, when the fleet has come to call it a write. */
function keyedHandler(within: string, type: string, declared: GroupType, traces: GroupTraces): KeyedHandler {
  return (bytes, state, { id, slot }) => {
    const body = decodeBody(bytes);
    const requestId = requestIdOf({ within, slot }, id);
    const trace = traces.of(requestId);
    const answer = traces.run(type, requestId, trace, () =>
      declared.effect === "read"
        ? declared.handle(body, { state, consistency: "latest", ...ordered(requestId), trace })
        : declared.handle?.(body, { state, requestId, trace }),
    );
    return answer instanceof Promise ? answer.then(encodeBody) : encodeBody(answer);
  };
}

/** Nobody waits for an ordered request in a way that could end early. */
function ordered(requestId: string) {
  return {
    signal: new AbortController().signal,
    deadlineMs: Number.POSITIVE_INFINITY,
    caller: { name: "", address: "" },
    requestId,
    attempt: 1,
  };
}

/** A state of the program's own, which knows bodies and not bytes. */
export class HookedMachine implements GroupMachine {
  readonly #group: string;
  readonly #hooks: GroupHooks;
  readonly #traces: GroupTraces;

  constructor(group: string, hooks: GroupHooks, traces: GroupTraces) {
    this.#group = group;
    this.#hooks = hooks;
    this.#traces = traces;
  }

  execute({ type, body, id, index }: OrderedRequest): Executed | Promise<Executed> {
    const requestId = requestIdOf({ within: this.#group, slot: undefined }, id);
    const trace = this.#traces.of(requestId);
    const request = { type, body: decodeBody(body), requestId, index, trace };
    const executed = this.#traces.run(type, requestId, trace, () => this.#hooks.execute(request));
    return executed instanceof Promise ? executed.then(encoded) : encoded(executed);
  }

  install(index: number, delta: Uint8Array): StateChange {
    return this.#hooks.install(index, delta);
  }

  discard(): void {
    this.#hooks.discard();
  }

  snapshot(): Iterable<StateRow> {
    return this.#hooks.snapshot();
  }

  restore(rows: Iterable<StateRow>): void {
    this.#hooks.restore(rows);
  }
}

/** The hooks have done it by now: an answer that cannot be told voids what they did, and is not merely their error. */
function encoded(executed: GroupExecuted): Executed {
  if (!isRecord(executed)) throw badResult("it returned no object");
  const { answer, delta } = executed;
  try {
    return { outcome: encodeBody(answer), delta };
  } catch (thrown) {
    throw badResult(errorOf(thrown).message, thrown);
  }
}

/** Tells when the state has moved on, so that reads that wait for a position can look again. */
export class WatchedMachine implements GroupMachine {
  readonly #inner: GroupMachine;
  readonly #moved: () => void;

  readonly slots?: SlotRows;

  constructor(inner: GroupMachine, moved: () => void) {
    this.#inner = inner;
    this.#moved = moved;
    if (inner.slots !== undefined) this.slots = inner.slots;
  }

  execute(request: OrderedRequest): Executed | Promise<Executed> {
    return this.#inner.execute(request);
  }

  install(index: number, delta: Uint8Array): StateChange {
    const changes = this.#inner.install(index, delta);
    this.#moved();
    return changes;
  }

  discard(): void {
    this.#inner.discard();
  }

  snapshot(): Iterable<StateRow> {
    return this.#inner.snapshot();
  }

  restore(rows: Iterable<StateRow>): void {
    this.#inner.restore(rows);
    this.#moved();
  }
}
