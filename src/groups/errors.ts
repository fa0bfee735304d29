import { MusterError, errorOf, limits } from "../kernel/index.ts";
import { entryBytesMax, nameBytesMax } from "./options.ts";
import type { Position, RequestId } from "./ports.ts";

/** What a refused copy is told. It speaks of this copy only: another one, at another member, may have been taken. */

export function malformed(what: string): MusterError {
  return new MusterError("groups/malformed", `a message of an ordering group cannot be read: ${what}`, {
    next: "check that all servers of the group run versions of Muster that speak with each other",
  });
}

export function damaged(what: string): MusterError {
  return new MusterError("groups/damaged", `the store of this group's member cannot be read: ${what}`, {
    next: "start this server with an empty directory: it gets the state from the other members; for the last member: muster promote --accept-loss",
  });
}

/** Nothing is wrong with the data. */
export function newerData(written: number, known: number): MusterError {
  return new MusterError(
    "groups/newer-data",
    `a newer program wrote this data of the group: format ${written}, this one reads up to ${known}`,
    {
      next: "start the newer program again; this one changes nothing here",
    },
  );
}

export function badRequest(why: string): MusterError {
  return new MusterError("groups/bad-request", `this is not a write for an ordering group: ${why}`, {
    next: `a lease, a type and a revision have 1 to ${nameBytesMax} bytes, sequences count from 1, low is at most the sequence, a body is smaller than a frame of ${limits.frameBytesMax} bytes`,
  });
}

export function idReused(id: RequestId): MusterError {
  return new MusterError("groups/id-reused", `request ${id.sequence} of ${id.lease} was sent before with another type or body`, {
    next: "give each write a sequence of its own",
  });
}

/** It may have run once, long ago. */
export function expired(id: RequestId): MusterError {
  return new MusterError(
    "groups/expired",
    `request ${id.sequence} of ${id.lease} is one that its caller has ended, or the caller's lease has`,
    {
      next: "send it as a new request, if it is still wanted",
      effect: "maybe",
    },
  );
}

export function windowFull(id: RequestId, windowMax: number): MusterError {
  return new MusterError("groups/window-full", `${id.lease} has ${windowMax} requests open in this group, which is the limit`, {
    next: "wait until the oldest of them has ended",
  });
}

export function queueFull(count: number): MusterError {
  return new MusterError("groups/queue-full", `${count} writes wait at this member, which is the limit`, {
    next: "send less at a time, or look why the group commits nothing: muster doctor",
  });
}

export function tooManyLeases(count: number): MusterError {
  return new MusterError("groups/too-many-leases", `this group keeps outcomes for ${count} callers, which is the limit`, {
    next: "let callers share a connection, or wait until some have left",
  });
}

export function outcomesFull(bytes: number): MusterError {
  return new MusterError(
    "groups/outcomes-full",
    `the outcomes that this group keeps for its callers have ${bytes} bytes, which is the limit`,
    {
      next: "answer with less, or let callers take their outcomes sooner",
    },
  );
}

export function tooFewCopies(copies: number, copiesMin: number): MusterError {
  return new MusterError("groups/too-few-copies", `this group has ${copies} members, and its writes need ${copiesMin}`, {
    next: "start another server of this service instance, or wait until one has caught up",
  });
}

export function notDurable(cause: unknown): MusterError {
  return new MusterError("groups/not-durable", `the store of the synchronising host takes nothing: ${errorOf(cause).message}`, {
    next: "free space on its disk; the group goes on with another member if there is one",
    cause,
  });
}

export function notSynchronising(): MusterError {
  return new MusterError("groups/not-synchronising", "this member does not order writes now", {
    next: "ask the synchronising host that the group's row names",
  });
}

export function deposed(): MusterError {
  return new MusterError("groups/deposed", "this member stopped being the synchronising host", {
    next: "ask the synchronising host that the group's row names",
  });
}

export function late(): MusterError {
  return new MusterError("groups/late", "not all members confirmed the epoch in time", { next: "try again, or read with `session`" });
}

export function tooManyReads(count: number): MusterError {
  return new MusterError("groups/too-many-reads", `${count} reads wait for a round of this group, which is the limit`, {
    next: "send less at a time, or read with `session`",
  });
}

export function lost(): MusterError {
  return new MusterError("groups/lost", "this server is the group's only member, and no longer has the data that it had then", {
    next: "restore its data directory; to go on without that data: muster promote --accept-loss",
  });
}

export function olderRow(epoch: number, promised: number): MusterError {
  return new MusterError("groups/older-row", `the roll shows epoch ${epoch} of this group, this member has promised ${promised}`, {
    next: "wait: when the roll stays so, because it was restored from an older copy, the synchronising host goes on by itself in a later block of epochs, and servers that hold more stay outside; to go on with the copy of one of them: muster promote SERVER --accept-loss",
  });
}

export function otherHistory(index: number): MusterError {
  return new MusterError("groups/other-history", `entry ${index}, which was committed here, is another one at the synchronising host`, {
    next: "data was given up by muster promote --accept-loss; this member takes the group's state as it is now when it joins again",
  });
}

export function partedCopy(own: Position, common: Position): MusterError {
  return new MusterError(
    "groups/parted",
    `this server holds what the group lacks, up to ${own.index} of epoch ${own.epoch}; they part at the latest behind ${common.index} of epoch ${common.epoch}, after an older roll was put back or the group's row made again. It keeps its copy and stays outside`,
    {
      next: "to go on with this server's copy, which gives up what the group has written since: muster promote SERVER --accept-loss; to give this copy up: start this server with an empty directory",
    },
  );
}

export function stateTooLarge(bytesMax: number): MusterError {
  return new MusterError("groups/state-too-large", `the state of the group has more than the ${bytesMax} bytes that a joiner takes in`, {
    next: "delete rows, or spread the keys over more groups; this server asks again by itself",
  });
}

/** Outcomes of requests that changed nothing. They are entries, so what a handler says has a limit. */

const messageCharsMax = 4096;
const codeCharsMax = 256;

export function handlerFailed(thrown: unknown): MusterError {
  const message = errorOf(thrown).message.slice(0, messageCharsMax);
  if (thrown instanceof MusterError) {
    const next = thrown.next?.slice(0, messageCharsMax);
    return new MusterError(thrown.code.slice(0, codeCharsMax), message, next === undefined ? {} : { next });
  }
  return new MusterError("groups/handler-failed", `the handler failed: ${message}`, {
    next: "look at the log of the synchronising host",
  });
}

/** Whoever executes has done so, and what it returns cannot be an outcome: its changes are thrown away. */
export function badResult(why: string, cause?: unknown): MusterError {
  return new MusterError(
    "groups/bad-result",
    `what executes the writes of this group did not return an outcome: ${why}; it changed nothing`,
    {
      next: "return the outcome and the delta as bytes; from a handler of types, JSON or bytes",
      cause,
    },
  );
}

export function isBadResult(thrown: unknown): thrown is MusterError {
  return thrown instanceof MusterError && thrown.code === badResult("").code;
}

export function handlerStuck(executeMsMax: number): MusterError {
  return new MusterError("groups/handler-stuck", `the handler took longer than ${executeMsMax} ms and was given up; it changed nothing`, {
    next: "make it faster: all writes of the group wait for it",
  });
}

export function entryTooLarge(bytes: number): MusterError {
  return new MusterError("groups/entry-too-large", `the answer and the changes have ${bytes} bytes, the limit is ${entryBytesMax}`, {
    next: "change or answer less in one request",
  });
}

export function unknownType(type: string): MusterError {
  return new MusterError("groups/unknown-type", `no handler of this group writes requests of type "${type.slice(0, 64)}"`, {
    next: "declare the type at all servers of the group",
  });
}

export function badKey(key: string): MusterError {
  return new MusterError("groups/bad-key", `a key of ${Buffer.byteLength(key)} bytes cannot name a row`, {
    next: `keys have 1 to ${limits.keyBytesMax} bytes`,
  });
}

export function stateFull(bytesMax: number): MusterError {
  return new MusterError("groups/state-full", `the rows of this group have ${bytesMax} bytes, which is the limit`, {
    next: "delete rows, raise bytesMax, or spread the keys over more groups",
  });
}

export function voided(): MusterError {
  return new MusterError("groups/void", "this request is over: it has returned, took too long, or its host no longer orders", {
    next: "do nothing more with its rows",
  });
}
