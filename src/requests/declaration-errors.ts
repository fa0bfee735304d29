import { MusterError } from "../kernel/index.ts";

export function badDeclaration(type: string, why: string, next: string): MusterError {
  return new MusterError("requests/bad-declaration", `${type} cannot be declared so: ${why}`, { next });
}

export function badTypeName(name: string): MusterError {
  return new MusterError("requests/bad-declaration", `${JSON.stringify(name)} does not name a type of a service`, {
    next: "write SERVICE/TYPE, for example MDS/stat",
  });
}

/** There are servers, but they leave the type to others. */
export function noMember(key: string, type: string, subset: string): MusterError {
  const named = subset.slice(0, 300);
  return new MusterError("requests/no-member", `no server of ${key} is in the subset that answers ${type} (${named})`, {
    next: "see `muster types`; put a server into the subset: muster types set SERVICE/TYPE --subset …",
  });
}
