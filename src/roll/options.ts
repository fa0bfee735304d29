/**
 * The periods and bounds of a node. Every period is counted in the node's own ticks, so a node that was itself late
 * (a pause, stolen CPU) accuses nobody. Formula of the defaults: a child is `detached` after `detachedTicks` × `tickMs`
 * without news, and the directory gives up on it only after `hostGraceMs`, which must be clearly longer.
 */
export interface RollPeriods {
  /** The directory's pulse; also the period of a child's sign of life. Cost: one small frame each way per child. */
  readonly tickMs: number;
  /** Ticks without a newer tick from above after which a node calls itself detached. */
  readonly detachedTicks: number;
  /** Own ticks without a sign of life after which a parent closes a child's link. */
  readonly silentTicks: number;
  /** How long after its link ended an agent's host stays valid: an agent that restarts within it does not flap. */
  readonly hostGraceMs: number;
  /** How long a program whose process still lives may take to come back before its entries turn invalid. */
  readonly programGraceMs: number;
  /** How long a writer's session outlives its last attachment. */
  readonly sessionGraceMs: number;
  /** Granularity of heartbeat deadlines. */
  readonly watchTickMs: number;
  /** First and last pause between two attempts to reach a parent; jittered. */
  readonly reconnectMsMin: number;
  readonly reconnectMsMax: number;
  /** How long a directory with an empty store waits for nodes of an older fleet before it founds a new one. */
  readonly foundingMs: number;
  /** An invalid bound entry is removed after this long. */
  readonly reapAfterMs: number;
  /** How long the mass-failure guard holds back the silence of hosts that fell silent together, from its beginning. */
  readonly guardHoldMs: number;
}

export type Preset = "lan" | "wan" | "test";

export const presets: Readonly<Record<Preset, RollPeriods>> = {
  lan: {
    tickMs: 500,
    detachedTicks: 3,
    silentTicks: 4,
    hostGraceMs: 5000,
    programGraceMs: 200,
    sessionGraceMs: 60_000,
    watchTickMs: 20,
    reconnectMsMin: 30,
    reconnectMsMax: 1000,
    foundingMs: 1200,
    reapAfterMs: 72 * 3_600_000,
    guardHoldMs: 30_000,
  },
  wan: {
    tickMs: 2000,
    detachedTicks: 3,
    silentTicks: 4,
    hostGraceMs: 20_000,
    programGraceMs: 1000,
    sessionGraceMs: 120_000,
    watchTickMs: 50,
    reconnectMsMin: 100,
    reconnectMsMax: 5000,
    foundingMs: 5000,
    reapAfterMs: 72 * 3_600_000,
    guardHoldMs: 30_000,
  },
  test: {
    tickMs: 100,
    detachedTicks: 3,
    silentTicks: 4,
    hostGraceMs: 1200,
    programGraceMs: 100,
    sessionGraceMs: 5000,
    watchTickMs: 10,
    reconnectMsMin: 5,
    reconnectMsMax: 100,
    foundingMs: 150,
    reapAfterMs: 3_600_000,
    guardHoldMs: 6000,
  },
};

/** Bounds; what happens at each is said where it is enforced. */
export interface RollLimits {
  /** Committed changes kept for children that come back; beyond either bound the oldest go and a child gets a load. */
  readonly ringChangesMax: number;
  readonly ringBytesMax: number;
  /** Bytes waiting for one child above which it leaves the fast path. */
  readonly childBytesMax: number;
  /** A load goes out in parts of about this size, so that several loads take turns on a slow machine. */
  readonly loadPartBytes: number;
  /** Children of one node; one more is refused. */
  readonly childrenMax: number;
  /** Open changes of one writer; the next call is refused. */
  readonly openChangesMax: number;
  /** Writer sessions in the fleet; the next admission is refused. */
  readonly sessionsMax: number;
  /** Log records that the store keeps for the ring of the next start. */
  readonly storedLogMax: number;
  /** Bound entries and heartbeats that one node watches. */
  readonly watchedMax: number;
  /** Changes of one group commit. */
  readonly commitChangesMax: number;
}

export const defaultLimits: RollLimits = {
  ringChangesMax: 100_000,
  ringBytesMax: 64 * 1024 * 1024,
  childBytesMax: 4 * 1024 * 1024,
  loadPartBytes: 64 * 1024,
  childrenMax: 10_000,
  openChangesMax: 10_000,
  sessionsMax: 100_000,
  storedLogMax: 10_000,
  watchedMax: 100_000,
  commitChangesMax: 2000,
};
