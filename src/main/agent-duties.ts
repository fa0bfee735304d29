import { CheckKeeper, NodeCheckRunner } from "../checks/index.ts";
import type { NodeRun } from "../cli/index.ts";
import { type HttpDoor, type PrometheusMeter, openHttpDoor } from "../doors/index.ts";
import { DoorFleet, type FleetHandle } from "../fleet/index.ts";
import { MusterError, SystemClock, SystemRandom, type Telemetry } from "../kernel/index.ts";
import { meterNode } from "../roll/index.ts";
import { parseAddress } from "../transport/index.ts";

const httpDefault = "127.0.0.1:7551";

/** What a node does besides keeping the roll: health checks of its host, and its HTTP door. */
export interface Duties {
  /** Where HTTP is served; undefined when it is off. */
  readonly http: string | undefined;
  close(): Promise<void>;
}

export interface DutyPorts {
  readonly telemetry: Telemetry;
  readonly meter: PrometheusMeter;
  readonly version: string;
}

export async function startDuties(handle: FleetHandle, run: NodeRun, ports: DutyPorts): Promise<Duties> {
  const closers: (() => Promise<void> | void)[] = [];
  const { telemetry } = ports;
  meterNode(handle.node, ports.meter);
  // The checks are rows of the roll: they are known when the replica is whole.
  handle.node.ready().then(
    () => {
      const { host } = handle;
      if (host === undefined) return;
      const world = { clock: new SystemClock(), random: new SystemRandom(), runner: new NodeCheckRunner(), telemetry };
      const keeper = new CheckKeeper(handle, { host, allowCommandChecks: run.allowCommandChecks }, world);
      closers.push(() => keeper.close());
    },
    () => undefined,
  );
  const door = run.http === "off" ? undefined : await openDoor(handle, run, ports);
  if (door !== undefined) closers.push(() => door.close());
  return {
    http: door?.address,
    close: async () => {
      for (const close of closers.toReversed()) await close();
    },
  };
}

/** The default port may be another node's on this machine: then a free one serves as well. One that was asked for may not. */
async function openDoor(handle: FleetHandle, run: NodeRun, { telemetry, meter, version }: DutyPorts): Promise<HttpDoor> {
  const fleet = new DoorFleet(handle);
  const open = (address: string) =>
    openHttpDoor({ address: parseAddress(address), fleet, telemetry, clock: new SystemClock(), metrics: () => meter.render(), version });
  if (run.http !== undefined) return open(run.http);
  try {
    return await open(httpDefault);
  } catch (thrown) {
    if (!(thrown instanceof MusterError) || thrown.code !== "doors/address-in-use") throw thrown;
    return open("127.0.0.1:0");
  }
}
