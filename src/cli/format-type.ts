import { type DeclaredType, type EffectRule, formatSubset } from "../requests/index.ts";
import { isRecord } from "../kernel/index.ts";

/** What asking twice would do, in words. */
export function formatEffect(effect: DeclaredType["effect"]): string {
  if (typeof effect === "string") return effect;
  const parts: string[] = [];
  let rule: EffectRule | string = effect;
  while (typeof rule !== "string") {
    parts.push(`${rule.effect} if ${formatCondition(rule.when)}`);
    rule = rule.else;
  }
  return `${parts.join(", ")}, else ${rule}`;
}

export function formatServers(subset: DeclaredType["subset"]): string {
  return subset === undefined ? "all" : formatSubset(subset);
}

function formatCondition(condition: EffectRule["when"]): string {
  if ("all" in condition) return condition.all.map(inner).join(" and ");
  if ("any" in condition) return condition.any.map(inner).join(" or ");
  if ("not" in condition) return `not ${inner(condition.not)}`;
  if ("exists" in condition) return `${condition.path} is ${condition.exists ? "" : "not "}there`;
  const values = condition.in.map((value) => String(value));
  return values.length === 1 ? `${condition.path} is ${values[0]}` : `${condition.path} is one of ${values.join(", ")}`;
}

function inner(condition: EffectRule["when"]): string {
  return isRecord(condition) && ("all" in condition || "any" in condition) ? `(${formatCondition(condition)})` : formatCondition(condition);
}
