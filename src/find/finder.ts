import { MusterError } from "../kernel/index.ts";
import {
  type Replica,
  type Where,
  formatWhere,
  parseHostRouteKey,
  tableNumbers,
  targetOfGroupKey,
  targetOfStateKey,
} from "../tables/index.ts";
import { answersFor, hostsOf } from "./answers.ts";
import { HostPaths } from "./host-paths.ts";
import { Memo, TableMemos } from "./memo.ts";
import { partitionKey, partitionServer } from "./partitions.ts";
import { orderByRendezvous, orderByWeight, takeWeighted } from "./policies.ts";
import { type Named, resolve } from "./resolve.ts";
import { AnswerSet, type CompleteRoute, type FindOptions } from "./route.ts";

export interface FinderOptions {
  /** How old the replica's position is, in milliseconds; read when somebody looks at an answer's `ageMs`. */
  readonly ageMs: () => number;
  /** Keys per table whose answers are kept; the oldest give way. Default 1,000,000. */
  readonly memosMax?: number;
  /** Keys per table that are known to lead nowhere; the oldest give way. Default 100,000. */
  readonly missingMax?: number;
}

/** Answers under conditions that are kept: for one key, and for all before everything is forgotten. */
const filteredMax = 64;
const filteredSumMax = 250_000;
/** Hosts that are remembered before everything is forgotten and worked out again. */
const hostsMax = 1_000_000;

/** What a partition's key led to. */
interface PartitionMemo {
  readonly server: string | undefined;
  /** The memo of the server's key that `memo` was made from. */
  source: Memo | undefined;
  memo: Memo | undefined;
}

/**
 * Find server over one replica: server table → host → host route → complete route, in one synchronous call. An answer is a
 * frozen object, made once and handed out until a change touches the rows, the hosts or the routes that it came from;
 * handing it out allocates nothing.
 */
export class Finder {
  readonly #replica: Replica;
  readonly #ageMs: () => number;
  readonly #memosMax: number;
  readonly #missingMax: number;
  readonly #paths: HostPaths;
  readonly #leave: () => void;
  readonly #byNumber = new Map<number, TableMemos>();
  readonly #byName = new Map<string, TableMemos>();
  readonly #partitions = new Map<number, Map<string, PartitionMemo>>();
  /** Grows whenever a host or a route changes that an answer depends on. */
  #generation = 0;
  /** Where the next new memo begins: memos that a busy table drops all the time must not all begin with their first server. */
  #start = 0;
  #filteredSum = 0;
  /** Programs ask one table over and over: its name is compared before it is looked up. */
  #lastName: string | undefined;
  #lastMemos = new TableMemos(0, 1, 1);

  constructor(replica: Replica, options: FinderOptions) {
    this.#replica = replica;
    this.#ageMs = options.ageMs;
    this.#memosMax = options.memosMax ?? 1_000_000;
    this.#missingMax = options.missingMax ?? 100_000;
    this.#paths = new HostPaths(replica);
    this.#leave = replica.observe({
      touched: (table, key) => this.#touched(table, key),
      host: (name) => this.#hostChanged(name),
      reset: () => this.#reset(),
    });
  }

  /** Keys whose answers, or lack of answers, are kept. */
  get memoCount(): number {
    let count = 0;
    for (const memos of this.#byNumber.values()) count += memos.size;
    for (const memos of this.#partitions.values()) count += memos.size;
    return count;
  }

  /**
   * One server for the key. A server instance is itself, a service instance is its primary (of an ordering group its synchronising server), a service is one of its instances by the
   * policy (default: each in turn) among those that no state says to avoid, or among all when it says so of all of them.
   * Undefined when there is none that is valid, host included, and can be reached.
   * Throws `tables/unknown-table`.
   */
  find(table: string, key: string, options?: FindOptions): CompleteRoute | undefined {
    const memos = table === this.#lastName ? this.#lastMemos : this.#memosOf(table);
    if (options === undefined) {
      const memo = memos.found(key);
      return memo !== undefined && memo.generation === this.#generation ? memo.take() : this.#memo(memos, key).take();
    }
    return this.#choose(this.#filtered(this.#memo(memos, key), key, options.where), key, options);
  }

  /**
   * Everything that `find` could answer, in order: a server over each of its routes; the primary of a service instance, then its
   * backups; the instances of a service by key, by weight (`weighted`) or by score (`rendezvous`). Those that are to be avoided
   * stand last, except a primary: who holds the state of an instance is not a matter of choice. Throws `tables/unknown-table`.
   */
  findAll(table: string, key: string, options?: FindOptions): readonly CompleteRoute[] {
    const memo = this.#filtered(this.#memo(this.#memosOf(table), key), key, options?.where);
    if (memo.named.shape !== "service") return memo.all;
    if (options?.policy === "weighted") return this.#inOrder(memo, key, orderByWeight(memo.weights));
    if (options?.policy === "rendezvous") return this.#byRendezvous(memo, key, options.seed);
    return memo.all;
  }

  /**
   * The server that a partition belongs to: the partition's row, else the row that the table's mapping leads to, names a key of
   * the servers' table, which is then found there. Throws `tables/unknown-table`, `find/not-a-partition-table` and
   * `find/bad-partition-key`.
   */
  findPartition(table: string, key: string | number, options?: FindOptions): CompleteRoute | undefined {
    const text = partitionKey(key);
    const { number, name, kind, mapping, servers = name.replace(/-partition$/, "") } = this.#replica.requireTable(table);
    if (kind !== "partition")
      throw new MusterError("find/not-a-partition-table", `table ${name} does not map partitions`, {
        next: "ask a partition table, such as metadata-partition, or use find",
      });
    const partitions = this.#partitions.get(number) ?? new Map<string, PartitionMemo>();
    this.#partitions.set(number, partitions);
    let partition = partitions.get(text);
    if (partition === undefined) {
      if (partitions.size >= this.#memosMax) partitions.clear();
      partition = { server: partitionServer(this.#replica, number, mapping, text), source: undefined, memo: undefined };
      partitions.set(text, partition);
    }
    if (partition.server === undefined) return undefined;
    const source = this.#memo(this.#memosOf(servers), partition.server);
    if (partition.memo === undefined || partition.source !== source) {
      partition.source = source;
      partition.memo = this.#build(text, source.named, undefined);
    }
    const memo = this.#filtered(partition.memo, text, options?.where);
    return options === undefined ? memo.take() : this.#choose(memo, text, options);
  }

  /** Stops watching the replica; answers are not kept up to date after it. Idempotent. */
  close(): void {
    this.#leave();
    this.#reset();
  }

  #choose(memo: Memo, key: string, options: FindOptions): CompleteRoute | undefined {
    if (memo.named.shape !== "service") return memo.take();
    switch (options.policy ?? "round-robin") {
      case "round-robin":
        return memo.take();
      case "primary-first":
        return memo.turn[0];
      case "weighted":
        memo.credit ??= new Float64Array(memo.turn.length);
        return memo.turn[takeWeighted(memo.weights, memo.credit)];
      case "rendezvous":
        return this.#byRendezvous(memo, key, options.seed)[0];
    }
  }

  #byRendezvous(memo: Memo, key: string, seed = key): readonly CompleteRoute[] {
    const instances = memo.turn.map((answer) => answer.instance);
    return this.#inOrder(memo, key, orderByRendezvous(seed, instances, memo.weights));
  }

  /** New answers, because their alternates follow this order. */
  #inOrder(memo: Memo, key: string, order: readonly number[]): readonly CompleteRoute[] {
    const reaches = order.flatMap((index) => memo.turn[index] ?? []);
    const avoided = memo.all.slice(memo.turn.length);
    return new AnswerSet(key, [...reaches, ...avoided], 0, this.#ageMs).answers;
  }

  #memo(memos: TableMemos, key: string): Memo {
    const known = memos.found(key) ?? memos.missing(key);
    if (known !== undefined && (known.generation === this.#generation || known.renew(this.#generation))) return known;
    const kind = this.#replica.tableByNumber(memos.number)?.kind;
    const holdsServers = kind === "server" || kind === "plain";
    const { named, foreign } = holdsServers ? resolve(this.#replica, memos.number, key) : nothing;
    const memo = this.#build(key, named, undefined);
    memos.set(key, memo, foreign);
    return memo;
  }

  #filtered(memo: Memo, key: string, where: Where | undefined): Memo {
    if (where === undefined) return memo;
    const condition = formatWhere(where);
    if (memo.filtered === undefined || memo.filtered.size >= filteredMax) memo.filtered = new Map();
    let filtered = memo.filtered.get(condition);
    if (filtered === undefined) {
      if (++this.#filteredSum > filteredSumMax) this.#reset();
      filtered = this.#build(key, memo.named, where);
      memo.filtered.set(condition, filtered);
    }
    return filtered;
  }

  #build(key: string, named: Named, where: Where | undefined): Memo {
    const answers = answersFor(key, named, where, this.#paths, this.#ageMs);
    return new Memo(named, answers, hostsOf(named, this.#paths), this.#generation, this.#start++);
  }

  #memosOf(name: string): TableMemos {
    if (this.#paths.size >= hostsMax) this.#reset();
    let memos = this.#byName.get(name);
    if (memos === undefined) {
      const { number } = this.#replica.requireTable(name);
      memos = this.#byNumber.get(number) ?? new TableMemos(number, this.#memosMax, this.#missingMax);
      this.#byNumber.set(number, memos);
      this.#byName.set(name, memos);
    }
    this.#lastName = name;
    this.#lastMemos = memos;
    return memos;
  }

  #touched(table: number, key: string): void {
    this.#byNumber.get(table)?.touched(key);
    if (this.#partitions.size > 0) this.#partitions.get(table)?.clear();
    if (table === tableNumbers.states) this.#stateChanged(key);
    if (table === tableNumbers.groups) this.#groupChanged(key);
    if (table !== tableNumbers.hostRoute) return;
    const route = parseHostRouteKey(key);
    if (route !== undefined) this.#hostChanged(route.host);
  }

  /** What is known of an entry has changed: its answers are made anew, as if its row had changed. */
  #stateChanged(key: string): void {
    const target = targetOfStateKey(key);
    if (target === undefined) return;
    if (target.table === "hosts") this.#hostChanged(target.key);
    else this.#forget(target.table, target.key);
  }

  /** Who is primary of the instance, and who may answer for it, has changed as if its row had. */
  #groupChanged(key: string): void {
    const target = targetOfGroupKey(key);
    if (target !== undefined) this.#forget(target.table, target.instance);
  }

  #forget(table: string, key: string): void {
    const number = this.#replica.table(table)?.number;
    if (number !== undefined) this.#byNumber.get(number)?.touched(key);
  }

  #hostChanged(name: string): void {
    if (this.#paths.changed(name)) this.#generation++;
  }

  #reset(): void {
    this.#byNumber.clear();
    this.#byName.clear();
    this.#partitions.clear();
    this.#paths.clear();
    this.#filteredSum = 0;
    this.#lastName = undefined;
    this.#generation++;
  }
}

const nothing: { readonly named: Named; readonly foreign: boolean } = { named: { shape: "nothing" }, foreign: false };
