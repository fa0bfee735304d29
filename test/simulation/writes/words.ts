import type { GroupMember } from "../../../src/tables/index.ts";
import { ByteReader } from "../../../src/wire/index.ts";
import { violation } from "../roll/violation.ts";
import type { Keeping } from "./keeping.ts";

/** By their numbers in a message. */
const kinds = { promise: 0, promised: 1, append: 2, appended: 3, fetch: 5, part: 8, confirm: 10 } as const;
/** The kinds with which a synchronising host tells others what to do; the rest are answers and knocks, which order nothing. */
const orders: readonly number[] = [kinds.promise, kinds.append, kinds.fetch, kinds.part, kinds.confirm];
/** Who speaks and who is meant. */
const replicasBytes = 16;

/** A message begins with its version and its kind; then comes the epoch of who sent it. Undefined for what orders nothing. */
export function epochOfOrder(message: Uint8Array): number | undefined {
  const reader = new ByteReader(message);
  reader.u8();
  return orders.includes(reader.u8()) ? reader.varint() : undefined;
}

export function isPart(message: Uint8Array): boolean {
  return message[1] === kinds.part;
}

/**
 * I19: what a server says of itself is true after a loss of power, too. Nobody gives orders in an epoch, promises one or
 * confirms entries in one before the promise of it is durable; what a promise or a confirmation names is.
 */
export function demandDurable(member: GroupMember, keeping: Keeping, message: Uint8Array): void {
  const { server } = member;
  const reader = new ByteReader(message);
  reader.u8();
  const kind = reader.u8();
  if (!orders.includes(kind) && kind !== kinds.promised && kind !== kinds.appended) return;
  const epoch = reader.varint();
  const { promised = 0, end = 0 } = keeping.copy(member)?.mark ?? {};
  if (promised < epoch) violation("I19", `${server} speaks in epoch ${epoch}, and has promised ${promised} durably`);
  if (orders.includes(kind)) return;
  reader.bytes(replicasBytes);
  if (kind === kinds.promised) reader.varint();
  const last = reader.varint();
  if (last > end) violation("I19", `${server} says in epoch ${epoch} that it has ${last}, and ${end} is durable`);
  if (kind === kinds.appended) keeping.demandConfirmed(member, epoch, last);
}
