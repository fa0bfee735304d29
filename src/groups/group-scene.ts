import { MusterError, randomBelow } from "../kernel/index.ts";
import type { GroupRow } from "../tables/index.ts";
import { SimDisk, SimNode, SimTelemetry, SimWorld } from "../testing/index.ts";
import { type GroupLimits, GroupMember, type GroupRoll, type KeyedHandler, KeyedState, type Settled } from "./index.ts";

export interface SceneOptions {
  readonly servers?: number;
  readonly seed?: number;
  readonly copiesMin?: number;
  readonly limits?: Partial<GroupLimits>;
  readonly handlers?: Readonly<Record<string, KeyedHandler>>;
  /** Shares of messages that are lost and that come twice; all are delayed by up to `delayMs`. */
  readonly loss?: number;
  readonly twice?: number;
  readonly delayMs?: number;
}

/** One row of a roll that orders compare-and-sets; every server sees it a little later. */
class SceneRoll {
  row: GroupRow | undefined;
  readonly rows: GroupRow[] = [];
  readonly ended = new Set<string>();
  readonly observers = new Set<() => void>();
  readonly leaseObservers = new Set<() => void>();
  /** Refuses everything, as a directory that is not there. */
  away = false;
  /** Refuses these rows, as a directory that does not take one of the servers for valid. */
  refuses: (row: GroupRow) => boolean = () => false;

  set(row: GroupRow | undefined): void {
    this.row = row;
    if (row !== undefined) this.rows.push(row);
    for (const changed of [...this.observers]) changed();
  }

  endLease(lease: string): void {
    this.ended.add(lease);
    for (const changed of [...this.leaseObservers]) changed();
  }
}

export interface SceneServer {
  readonly name: string;
  readonly node: SimNode;
  readonly disk: SimDisk;
  readonly telemetry: SimTelemetry;
  member: GroupMember;
  state: KeyedState;
}

const text = new TextEncoder();
const read = new TextDecoder();

/** For tests of ordering groups: servers of one service instance with disks, paths and a roll, in virtual time. */
export class Scene {
  readonly world: SimWorld;
  readonly roll = new SceneRoll();
  readonly servers: SceneServer[] = [];
  /** How often a handler was begun, by body. */
  readonly executed = new Map<string, number>();
  /** Messages of whom to whom do not arrive: "MDS.1.1 MDS.1.2", or "MDS.1.1 *". */
  readonly cut = new Set<string>();
  readonly #options: SceneOptions;
  messages = 0;
  /** Called with everything that any server sends. */
  tap: (from: string, message: Uint8Array) => void = () => {};

  constructor(options: SceneOptions = {}) {
    this.#options = options;
    this.world = new SimWorld({ seed: options.seed ?? 1 });
    for (let number = 1; number <= (options.servers ?? 3); number++) this.servers.push(this.#server(`MDS.1.${number}`));
  }

  /** Opens all, one after the other, until all are members. */
  async start(): Promise<void> {
    for (const server of this.servers) {
      await this.open(server);
      await this.until(() => this.roll.row?.members.some((member) => member.server === server.name) === true);
    }
    await this.until(() => this.leader() !== undefined);
  }

  async open(server: SceneServer): Promise<void> {
    await this.finish(server.member.open());
  }

  at(number: number): SceneServer {
    const server = this.servers[number - 1];
    if (server === undefined) throw new RangeError(`there is no server ${number}`);
    return server;
  }

  leader(): SceneServer | undefined {
    return this.servers.find(({ member, node }) => node.alive && member.status().role === "serving");
  }

  /** Its program is gone; `expire` is what the roll makes of it. */
  crash(server: SceneServer): void {
    server.node.crash();
  }

  async restart(server: SceneServer): Promise<void> {
    server.node.restart();
    this.#equip(server);
    await this.open(server);
  }

  /** The roll gives a server up: the epoch without it. */
  expire(name: string): void {
    const { row } = this.roll;
    const members = row?.members.filter(({ server }) => server !== name) ?? [];
    const [first] = members;
    if (row === undefined || first === undefined) return;
    const synchronising = row.synchronising === name ? first.server : row.synchronising;
    this.roll.set({ ...row, epoch: row.epoch + 1, members, synchronising });
  }

  submit(server: SceneServer, sequence: number, body: string, more: { lease?: string; low?: number; leftMs?: number; type?: string } = {}) {
    const { lease = "caller", low = 1, leftMs = 5000, type = "append" } = more;
    return server.member.submit({ id: { lease, sequence }, low, leaseRevision: "1.1", type, body: text.encode(body), leftMs });
  }

  ask(server: SceneServer, sequence: number, lease = "caller"): Promise<Settled> {
    return server.member.ask({ id: { lease, sequence }, low: 1, leaseRevision: "1.1", leftMs: 5000 });
  }

  /** Runs the world until a promise has settled. */
  async finish<T>(promise: Promise<T>, limitMs = 20_000): Promise<T> {
    let settled = false;
    const end = promise.finally(() => (settled = true));
    end.catch(() => {});
    if (!(await this.world.runUntil(() => settled, this.world.nowMs + limitMs))) throw new Error("it did not settle");
    return end;
  }

  async until(predicate: () => boolean, limitMs = 20_000): Promise<void> {
    if (await this.world.runUntil(predicate, this.world.nowMs + limitMs)) return;
    const members = this.servers.map(({ member }) => JSON.stringify(member.status()));
    throw new Error(`it did not happen: ${[JSON.stringify(this.roll.row), ...members].join("\n")}`);
  }

  /** All live servers show the same rows. */
  async untilEqual(): Promise<void> {
    const live = this.servers.filter(({ node }) => node.alive);
    await this.until(() => new Set(live.map(({ member }) => member.position().index)).size === 1);
  }

  textOf(settled: Settled): string {
    if (settled.kind === "refused") return settled.error.code;
    if (settled.kind === "elsewhere" || settled.kind === "moved") return settled.kind;
    const { outcome } = settled;
    return outcome.kind === "abandoned" ? outcome.kind : read.decode(outcome.bytes);
  }

  valueAt(server: SceneServer, key: string): string | undefined {
    const bytes = server.state.get(key);
    return bytes === undefined ? undefined : read.decode(bytes);
  }

  #server(name: string): SceneServer {
    const telemetry = new SimTelemetry(this.world);
    const node = new SimNode(this.world, { name, telemetry });
    const disk = new SimDisk(this.world);
    const server = { name, node, disk, telemetry, ...this.#part(name, node, disk) };
    return server;
  }

  #equip(server: SceneServer): void {
    Object.assign(server, this.#part(server.name, server.node, server.disk));
  }

  #part(name: string, node: SimNode, disk: SimDisk): { member: GroupMember; state: KeyedState } {
    const { copiesMin = 1, limits = {}, handlers = {} } = this.#options;
    const append: KeyedHandler = (body, rows) => {
      const added = read.decode(body);
      this.executed.set(added, (this.executed.get(added) ?? 0) + 1);
      const value = read.decode(rows.get("all") ?? new Uint8Array()) + added;
      rows.put("all", text.encode(value));
      return text.encode(value);
    };
    const fail: KeyedHandler = (_body, rows) => {
      rows.put("all", text.encode("never"));
      throw new MusterError("test/wrong", "this request is wrong");
    };
    const state = new KeyedState({ handlers: { append, fail, ...handlers } });
    const { life } = node;
    const { clock, random } = life;
    const send = (to: string, message: Uint8Array): void => this.#carry(name, to, message.slice());
    const ports = { clock, random, telemetry: node.telemetry, store: disk.store(life), roll: this.#rollOf(node), send, machine: state };
    return { member: new GroupMember({ ports, server: name, copiesMin, limits }), state };
  }

  #carry(from: string, to: string, bytes: Uint8Array): void {
    const { loss = 0, twice = 0, delayMs = 0.5 } = this.#options;
    this.tap(from, bytes);
    const luck = this.world.random.fraction();
    if (luck < loss) return;
    for (let copy = 0; copy < (luck > 1 - twice ? 2 : 1); copy++) {
      this.messages++;
      const target = this.servers.find(({ name }) => name === to);
      this.world.after(0.1 + delayMs * this.world.random.fraction(), () => {
        if (this.cut.has(`${from} ${to}`) || this.cut.has(`${from} *`) || this.cut.has(`* ${to}`) || target === undefined) return;
        if (target.node.alive) target.node.life.plan(this.world.nowMs, "input", () => target.member.receive(from, bytes));
      });
    }
  }

  #rollOf(node: SimNode): GroupRoll {
    const { roll, world } = this;
    const { life } = node;
    let row: GroupRow | undefined;
    const later = (act: () => void): void => {
      if (life.alive) life.plan(world.nowMs + 0.2 + randomBelow(world.random, 3), "input", act);
    };
    return {
      row: () => row,
      observe: (changed) => {
        ({ row } = roll);
        const heard = (): void => {
          const next = roll.row;
          later(() => {
            if (next !== undefined && next.epoch < (row?.epoch ?? 0)) return;
            row = next;
            changed();
          });
        };
        roll.observers.add(heard);
        return () => roll.observers.delete(heard);
      },
      lease: (lease) => (roll.ended.has(lease) ? "ended" : "live"),
      observeLeases: (changed) => {
        const heard = (): void => later(changed);
        roll.leaseObservers.add(heard);
        return () => roll.leaseObservers.delete(heard);
      },
      change: (from, next) =>
        new Promise((resolve, reject) => {
          world.after(1, () => {
            const isSame = JSON.stringify(roll.row) === JSON.stringify(from) && !roll.refuses(next);
            const error = new MusterError("test/refused", "the row is another one");
            if (isSame && !roll.away) roll.set(next);
            later(() => (isSame && !roll.away ? resolve() : reject(error)));
          });
        }),
    };
  }
}

/** A scene whose servers are all members, and the one of them that serves. */
export async function started(options: SceneOptions = {}): Promise<{ readonly scene: Scene; readonly leader: SceneServer }> {
  const scene = new Scene(options);
  await scene.start();
  const leader = scene.leader();
  if (leader === undefined) throw new Error("nobody serves");
  return { scene, leader };
}

export function others(scene: Scene, than: SceneServer): SceneServer[] {
  return scene.servers.filter((server) => server !== than && server.node.alive);
}
