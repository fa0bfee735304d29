import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { FleetHandle } from "../../src/fleet/index.ts";
import { SystemClock, SystemRandom, silentTelemetry } from "../../src/kernel/index.ts";
import { SystemProcessProbe } from "../../src/main/process-probe.ts";
import { type NodeOptions, type NodePorts, RollNode, presets } from "../../src/roll/index.ts";
import { MemoryStore } from "../../src/storage/index.ts";
import { type Address, TcpTransport, formatAddress, parseAddress } from "../../src/transport/index.ts";

const library = path.join(import.meta.dirname, "../../src/index.ts");
const anywhere = parseAddress("127.0.0.1:0");

/** Nodes of one fleet in this process and programs in processes of their own, over real sockets, with the shortest periods. */
export class LocalFleet {
  readonly #handles: FleetHandle[] = [];
  readonly #programs: ChildProcess[] = [];

  async start(options: NodeOptions, extra: Partial<NodePorts> = {}): Promise<FleetHandle> {
    const ports = {
      clock: new SystemClock(),
      random: new SystemRandom(),
      transport: new TcpTransport(),
      telemetry: silentTelemetry,
      ...extra,
    };
    const handle = new FleetHandle(new RollNode({ ...options, periods: presets.test }, ports), silentTelemetry);
    this.#handles.push(handle);
    await handle.node.start();
    return handle;
  }

  /** A directory that forgets, and an agent of it, which looks at the processes of its programs. */
  async startHost(host: string, route: string, extra: Partial<NodePorts> = {}): Promise<{ agent: FleetHandle; door: Address }> {
    const directory = await this.start({ role: "directory", name: "directory" }, { store: new MemoryStore() });
    const listener = await directory.node.listen(anywhere);
    const agent = await this.start(
      { role: "agent", name: host, routes: [route], parents: [listener.address] },
      { processes: new SystemProcessProbe(), ...extra },
    );
    return { agent, door: (await agent.node.listen(anywhere)).address };
  }

  async startProgram(name: string, door: Address): Promise<FleetHandle> {
    const program = await this.start({ role: "client", name, parents: [door] });
    await program.node.ready();
    return program;
  }

  /** Starts a script of this folder; resolves when it says that it is ready. It is given the library, the agent's address and these. */
  async fork(script: string, door: Address, ...words: readonly string[]): Promise<ChildProcess> {
    const child = fork(path.join(import.meta.dirname, script), [library, formatAddress(door), ...words]);
    this.#programs.push(child);
    await once(child, "message");
    return child;
  }

  async close(): Promise<void> {
    for (const program of this.#programs) program.kill("SIGKILL");
    for (const handle of this.#handles.toReversed()) await handle.close();
  }
}
