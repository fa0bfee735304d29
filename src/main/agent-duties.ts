import { CheckKeeper, NodeCheckRunner } from "../checks/index.ts";
import type { NodeRun } from "../cli/index.ts";
import type { FleetHandle } from "../fleet/index.ts";
import { SystemClock, SystemRandom, type Telemetry } from "../kernel/index.ts";

/** What a node does besides keeping the roll: health checks of its host, and its HTTP door. */
export interface Duties {
  /** Where HTTP is served; undefined when it is off. */
  readonly http: string | undefined;
  close(): Promise<void>;
}

export async function startDuties(handle: FleetHandle, run: NodeRun, telemetry: Telemetry): Promise<Duties> {
  const keeper = new Promise<CheckKeeper | undefined>((resolve) => {
    // The checks are rows: they are known when the replica is whole.
    handle.node.ready().then(
      () => {
        const { host } = handle;
        if (host === undefined) return resolve(undefined);
        const ports = { clock: new SystemClock(), random: new SystemRandom(), runner: new NodeCheckRunner(), telemetry };
        return resolve(new CheckKeeper(handle, { host, allowCommandChecks: run.allowCommandChecks }, ports));
      },
      () => resolve(undefined),
    );
  });
  let open: CheckKeeper | undefined;
  void keeper.then((started) => {
    open = started;
  });
  return {
    http: undefined,
    close: async () => {
      open?.close();
    },
  };
}
