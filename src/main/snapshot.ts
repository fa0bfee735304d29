import { closeSync, createReadStream, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { SnapshotRestore, SnapshotSave, SnapshotSummary } from "../cli/index.ts";
import { MusterError, type Revision, SystemClock, SystemRandom, errorOf, silentTelemetry } from "../kernel/index.ts";
import { RollNode, SnapshotDecoder, type SnapshotHeader, encodeSnapshot, presets, restoredMeta, storedPosition } from "../roll/index.ts";
import { type Store, type StoredEntry, replaceRoll } from "../storage/index.ts";
import { TcpTransport, parseAddress } from "../transport/index.ts";
import { secretFile } from "./fleet-secret.ts";
import { ownProcess } from "./process-probe.ts";

/** Entries of one commit of a restoration. */
const batchMax = 10_000;
const lookMs = 20;

/**
 * Follows the agent (or the directory) until this process holds the whole roll as it was when the directory admitted it, or later;
 * then leaves, and writes what it holds. So every change that was acknowledged before the call is in it, and writers are not held up.
 */
export async function saveSnapshot({ agents, file, timeoutMs, detached }: SnapshotSave): Promise<SnapshotSummary> {
  const clock = new SystemClock();
  const node = new RollNode(
    { role: "client", name: "muster snapshot", parents: agents.map(parseAddress), periods: presets.lan, process: ownProcess() },
    { clock, random: new SystemRandom(), transport: new TcpTransport(), telemetry: silentTelemetry },
  );
  await node.start();
  try {
    await untilWhole(node, timeoutMs, detached, clock);
  } finally {
    // From here on nothing changes in its replica.
    await node.close();
  }
  const { fleet, epochs, replica } = node;
  const savedUnixMs = clock.unixMs();
  writeWhole(file, encodeSnapshot(replica, { fleet, epochs: epochs.starts, savedUnixMs }));
  return { fleet, ...replica.position, entries: replica.size, savedUnixMs };
}

function untilWhole(node: RollNode, timeoutMs: number, detached: boolean, clock: SystemClock): Promise<void> {
  const endsMonoMs = clock.monoMs() + timeoutMs;
  return new Promise((whole, fail) => {
    const look = () => {
      const session = Number(node.status()["session"]);
      const admitted = !node.detached && session > 0 && node.position.sequence >= session;
      if (node.isReady && (admitted || detached)) whole();
      else if (clock.monoMs() < endsMonoMs) clock.schedule(lookMs, look);
      else fail(node.isReady ? noDirectory(node) : noAgent(node));
    };
    look();
  });
}

function noAgent(node: RollNode): MusterError {
  const why = node.lastError?.message ?? "nobody answered in time";
  return new MusterError("fleet/no-agent", `the roll did not arrive: ${why}`, {
    next: "name an agent or the directory: --agent PATH or MUSTER_AGENT; give a large roll longer: --timeout 120s",
  });
}

function noDirectory(node: RollNode): MusterError {
  return new MusterError("cli/no-directory", `no directory is heard${node.lastError === undefined ? "" : `: ${node.lastError.message}`}`, {
    next: "start it; or save what the agent holds, which may lack the newest changes: --detached",
  });
}

/** Under another name first, flushed, then renamed: the file is whole or not there. */
function writeWhole(file: string, pieces: Iterable<Uint8Array>): void {
  const path = resolve(file);
  const partial = `${path}.saving-${process.pid}`;
  try {
    const handle = openSync(partial, "wx", 0o600);
    try {
      for (const piece of pieces) writeSync(handle, piece);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(partial, path);
    const folder = openSync(dirname(path), "r");
    fsyncSync(folder);
    closeSync(folder);
  } catch (thrown) {
    rmSync(partial, { force: true });
    throw new MusterError("main/snapshot-not-written", `${path} could not be written: ${errorOf(thrown).message}`, {
      next: "look at the path, its permissions and the room on that disk",
      cause: thrown,
    });
  }
}

async function readWhole(file: string, entry: (entry: StoredEntry) => void, after: () => Promise<void>): Promise<SnapshotHeader> {
  const decoder = new SnapshotDecoder(entry);
  try {
    for await (const piece of createReadStream(file, { highWaterMark: 256 * 1024 })) {
      decoder.push(piece);
      await after();
    }
  } catch (thrown) {
    if (thrown instanceof MusterError) throw thrown;
    throw new MusterError("main/snapshot-not-read", `${file} could not be read: ${errorOf(thrown).message}`, {
      next: "look at the path and its permissions",
      cause: thrown,
    });
  }
  return decoder.finish();
}

/** Checks the whole file, then builds a roll from it in a directory that nobody uses. */
export async function restoreSnapshot(restore: SnapshotRestore): Promise<SnapshotSummary> {
  const { file, data, replace, epochAbove } = restore;
  const header = await readWhole(
    file,
    () => {},
    () => Promise.resolve(),
  );
  let known: Revision = { epoch: Math.max(header.epoch, epochAbove ?? 0), sequence: header.sequence };
  await replaceRoll({
    directory: data,
    companions: ["directory.sock", secretFile],
    replace,
    before: (stored) => {
      const old = storedPosition(stored);
      if (old?.fleet !== header.fleet) return;
      known = { epoch: Math.max(known.epoch, old.last.epoch), sequence: Math.max(known.sequence, old.last.sequence) };
    },
    fill: (store) => fill(store, file, () => known),
  });
  const { fleet, epoch, sequence, entries, savedUnixMs } = header;
  return { fleet, epoch, sequence, entries, savedUnixMs };
}

async function fill(store: Store, file: string, known: () => Revision): Promise<void> {
  let batch: StoredEntry[] = [];
  const commit = async (least: number) => {
    if (batch.length < least) return;
    const entries = batch;
    batch = [];
    await store.commit({ entries });
  };
  const header = await readWhole(
    file,
    (entry) => batch.push(entry),
    () => commit(batchMax),
  );
  await commit(1);
  await store.commit(restoredMeta(header, known()));
}
