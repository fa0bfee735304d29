/**
 * The mass-failure guard, as a rule without a clock: when an unlikely share of the hosts, or of the hosts of one service,
 * falls silent within two windows, a switch, a network or the observer itself is the likelier cause. Then silence is held
 * back for a while, host by host, and ends by itself. What is proof never comes here. docs/decisions/013.
 */
export interface GuardRules {
  /** Fewer hosts than this are never guarded: one of three is a third. */
  readonly hostsMin: number;
  /** More than this share has to be silent. */
  readonly shareMax: number;
  /** The time in which one silence is noticed; two of them hold what began together. */
  readonly windowMs: number;
  /** How long silence is held back, counted from its own beginning. */
  readonly holdMs: number;
}

/** What is known of an absence: the link said nothing more, or it was closed. Each kind is judged among its own. */
export type AbsenceKind = "silent" | "closed";

export interface Absence {
  readonly host: string;
  readonly kind: AbsenceKind;
  /** All instants are on the observer's count of good time. */
  readonly sinceMs: number;
  /** From here on it counts towards a mass: absence without evidence only when its grace is over. */
  readonly countsFromMs: number;
  /** From here on it is judged. */
  readonly judgedFromMs: number;
  /** From here on the host is given up, unless it is held. */
  readonly dueMs: number;
  /** It was given up already; it still counts towards a mass. */
  readonly expired: boolean;
}

/** Whom the absent are a share of. */
export interface GuardGround {
  /** All hosts that are valid, or absent. */
  readonly hosts: number;
  /** Of each service that several absent hosts serve: all of its hosts. */
  readonly services: ReadonlyMap<string, ReadonlySet<string>>;
}

export interface Hold {
  readonly untilMs: number;
  /** "the fleet", or the service. */
  readonly among: string;
  readonly silent: number;
  readonly of: number;
}

export interface Verdict {
  /** Who is held from now on. */
  readonly held: ReadonlyMap<string, Hold>;
  /** Who is given up now. */
  readonly due: readonly string[];
}

interface Mass {
  readonly members: ReadonlySet<string>;
  readonly among: string;
  readonly of: number;
}

/** Judges all absences as of now. `holds` are those that were held before. */
export function judge(
  absences: readonly Absence[],
  holds: ReadonlyMap<string, Hold>,
  ground: GuardGround,
  nowMs: number,
  rules: GuardRules,
): Verdict {
  const masses = (["silent", "closed"] as const).flatMap((kind) => massesOf(kind, absences, ground, nowMs, rules));
  const held = new Map<string, Hold>();
  const due: string[] = [];
  for (const absence of absences) {
    const { host, expired, judgedFromMs, sinceMs, dueMs } = absence;
    if (expired || nowMs < judgedFromMs) continue;
    const untilMs = sinceMs + rules.holdMs;
    const before = holds.get(host);
    if (before === undefined) {
      const mass = nowMs < untilMs ? masses.find(({ members }) => members.has(host)) : undefined;
      if (mass !== undefined) held.set(host, { untilMs, among: mass.among, silent: mass.members.size, of: mass.of });
      else if (nowMs >= dueMs) due.push(host);
    } else if (nowMs >= before.untilMs) due.push(host);
  }
  return { held, due };
}

function massesOf(kind: AbsenceKind, absences: readonly Absence[], ground: GuardGround, nowMs: number, rules: GuardRules): Mass[] {
  const counted = absences
    .filter((absence) => absence.kind === kind && absence.countsFromMs <= nowMs)
    .sort((a, b) => a.sinceMs - b.sinceMs);
  const masses = massesAmong(counted, "the fleet", ground.hosts, rules);
  for (const [service, hosts] of ground.services)
    masses.push(
      ...massesAmong(
        counted.filter(({ host }) => hosts.has(host)),
        service,
        hosts.size,
        rules,
      ),
    );
  return masses;
}

/** Every span of two windows in which more than the share began to be silent. `counted` is in order of its beginning. */
function massesAmong(counted: readonly Absence[], among: string, of: number, rules: GuardRules): Mass[] {
  if (of < rules.hostsMin) return [];
  const masses: Mass[] = [];
  let first = 0;
  counted.forEach(({ sinceMs }, last) => {
    while ((counted[first]?.sinceMs ?? sinceMs) < sinceMs - 2 * rules.windowMs) first++;
    if (last - first + 1 <= rules.shareMax * of) return;
    masses.push({ members: new Set(counted.slice(first, last + 1).map(({ host }) => host)), among, of });
  });
  // The widest first: its numbers are what people are told.
  return masses.sort((a, b) => b.members.size - a.members.size);
}
