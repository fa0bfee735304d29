import { MusterError } from "../kernel/index.ts";

export function slotMissing(): MusterError {
  return new MusterError("groups/no-slot", "this group keeps its state by key, and the request names none", {
    next: "if the service has no map yet, make it: muster groups --map SERVICE --over INSTANCE,…",
  });
}

export function slotUnwanted(): MusterError {
  return new MusterError("groups/not-by-key", "the request names a slot, and this group does not keep its state by key", {
    next: "serve all servers of the service with group.byKey, from their first start on",
  });
}

export function otherKind(): MusterError {
  return new MusterError(
    "groups/other-kind",
    "the data of this server was written by a group that keeps its state by key, or by one that does not, and this is the other kind",
    { next: "serve it as before; to change the kind, begin with empty data" },
  );
}
