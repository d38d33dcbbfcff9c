/**
 * The engine of tests and simulation: everything in this process, nothing after it. Several engines opened on one
 * `MemorySpace` see the same data, as several nodes on one database would.
 *
 * Each call does its whole work in one synchronous step, so a commit is all or nothing. Engine time is the clock's.
 */

import { type Clock, systemClock } from '../clock.ts';
import { type Random, systemRandom } from '../random.ts';
import { checkOperations, checkOptions, checkShard, checkShardCount, checkText } from './check.ts';
import {
  type Engine,
  EngineDown,
  type EngineInfo,
  type EngineOptions,
  type Index,
  type Leases,
  type MailboxTransport,
  type Nodes,
  type ShardStore,
  type StoreOperation,
  type Table,
  type TransportJob,
} from './engine.ts';

interface StoredLease {
  node: number;
  epoch: number;
  nonce: string;
  untilMs: number;
  released: boolean;
  uncleanInRow: number;
}

interface ShardSpace {
  seq: number;
  lease: StoredLease | undefined;
  readonly tables: Map<Table, Map<string, string>>;
  readonly lists: Map<string, string[]>;
  readonly indexes: Map<Index, Map<string, number>>;
  waiting: TransportJob[];
  readonly active: Map<string, TransportJob>;
}

interface NamespaceSpace {
  readonly shardCount: number;
  lastNode: number;
  readonly nodes: Map<number, { readonly label: string; untilMs: number }>;
  readonly shards: Map<string, ShardSpace>;
}

/** The data that memory engines share. */
export interface MemorySpace {
  /** Job ids are never used again, also when a shard is put back to what it was. */
  lastJob: number;
  readonly namespaces: Map<string, NamespaceSpace>;
}

export const createMemorySpace = (): MemorySpace => ({ lastJob: 0, namespaces: new Map() });

export interface MemoryEngineOptions extends EngineOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  /** Default: a space of its own. */
  readonly space?: MemorySpace;
}

export function createMemoryEngine(options: MemoryEngineOptions): Engine {
  checkOptions(options);
  const clock = options.clock ?? systemClock;
  const random = options.random ?? systemRandom;
  const space = options.space ?? createMemorySpace();
  let opened: NamespaceSpace | undefined;

  const namespace = (): NamespaceSpace => {
    if (opened === undefined) throw new EngineDown('The memory engine is not open.');
    return opened;
  };
  const shardSpace = (shard: string): ShardSpace => {
    checkShard(shard);
    const { shards } = namespace();
    let found = shards.get(shard);
    if (found === undefined) {
      found = {
        seq: 0,
        lease: undefined,
        tables: new Map(),
        lists: new Map(),
        indexes: new Map(),
        waiting: [],
        active: new Map(),
      };
      shards.set(shard, found);
    }
    return found;
  };

  const transport: MailboxTransport = {
    async add(shard, data) {
      checkText(data, 'a job');
      const at = shardSpace(shard);
      space.lastJob += 1;
      at.waiting.push({ id: String(space.lastJob), data });
    },
    async fetch(shard) {
      const at = shardSpace(shard);
      const job = at.waiting.shift();
      if (job !== undefined) at.active.set(job.id, job);
      return job;
    },
    async acknowledge(shard, jobId) {
      shardSpace(shard).active.delete(jobId);
    },
    async waiting(shard) {
      return [...shardSpace(shard).waiting];
    },
    async active(shard) {
      return [...shardSpace(shard).active.values()];
    },
    async depth(shard) {
      return shardSpace(shard).waiting.length;
    },
  };

  const store: ShardStore = {
    async commit(shard, fence, operations) {
      checkOperations(operations);
      const at = shardSpace(shard);
      const { lease } = at;
      if (lease === undefined || lease.released || lease.nonce !== fence.nonce) return 'refused';
      if (at.seq !== fence.seq || clock.now() >= lease.untilMs) return 'refused';
      for (const operation of operations) apply(at, operation);
      at.seq += 1;
      return 'committed';
    },
    async fence(shard) {
      const { lease, seq } = shardSpace(shard);
      return lease === undefined ? undefined : { nonce: lease.nonce, seq };
    },
    async get(shard, table, key) {
      return shardSpace(shard).tables.get(table)?.get(key);
    },
    async all(shard, table) {
      return new Map(shardSpace(shard).tables.get(table));
    },
    async page(shard, table, after, limit) {
      const rows = [...(shardSpace(shard).tables.get(table) ?? [])];
      return rows
        .filter(([key]) => byBytes(key, after) > 0)
        .sort(([a], [b]) => byBytes(a, b))
        .slice(0, limit)
        .map(([key, value]) => ({ key, value }));
    },
    async lists(shard, prefix) {
      return [...shardSpace(shard).lists.keys()].filter((name) => name.startsWith(prefix)).sort(byBytes);
    },
    async head(shard, list, limit) {
      return (shardSpace(shard).lists.get(list) ?? []).slice(0, limit);
    },
    async length(shard, list) {
      return shardSpace(shard).lists.get(list)?.length ?? 0;
    },
    async ranked(shard, index, score, limit) {
      return [...(shardSpace(shard).indexes.get(index) ?? [])]
        .filter(([, at]) => at <= score)
        .sort(([a, scoreA], [b, scoreB]) => scoreA - scoreB || byBytes(a, b))
        .slice(0, limit)
        .map(([member, at]) => ({ member, score: at }));
    },
    async rankedCount(shard, index) {
      return shardSpace(shard).indexes.get(index)?.size ?? 0;
    },
  };

  const leases: Leases = {
    async acquire(shard, holder) {
      const at = shardSpace(shard);
      const engineNowMs = clock.now();
      const former = at.lease;
      const released = former === undefined || former.released;
      if (!released && engineNowMs < former.untilMs && former.node !== holder.succeeds) {
        return { heldUntilMs: former.untilMs, engineNowMs };
      }
      const own = former?.nonce === holder.held;
      const lease: StoredLease = {
        node: holder.node,
        epoch: Math.max((former?.epoch ?? 0) + 1, Math.floor(engineNowMs * 1_000)),
        nonce: random.nonce(),
        untilMs: engineNowMs + holder.ttlMs,
        released: false,
        uncleanInRow: released ? 0 : former.uncleanInRow + (own ? 0 : 1),
      };
      at.lease = lease;
      const { epoch, nonce, untilMs, uncleanInRow } = lease;
      return { shard, epoch, nonce, seq: at.seq, engineNowMs, untilMs, clean: released || own, uncleanInRow };
    },
    async renew(shard, nonce, ttlMs) {
      const { lease } = shardSpace(shard);
      const engineNowMs = clock.now();
      if (lease === undefined || lease.released || lease.nonce !== nonce || engineNowMs >= lease.untilMs) {
        return undefined;
      }
      lease.untilMs = engineNowMs + ttlMs;
      return { untilMs: lease.untilMs, engineNowMs, seq: shardSpace(shard).seq };
    },
    async release(shard, nonce) {
      const { lease } = shardSpace(shard);
      if (lease?.nonce === nonce) lease.released = true;
    },
  };

  const nodes: Nodes = {
    async join(node) {
      const within = namespace();
      const engineNowMs = clock.now();
      for (const [epoch, member] of within.nodes) {
        if (member.untilMs <= engineNowMs || epoch === node.succeeds) within.nodes.delete(epoch);
        else return { heldBy: member.label, heldUntilMs: member.untilMs, engineNowMs };
      }
      const epoch = Math.max(within.lastNode + 1, Math.floor(engineNowMs * 1_000));
      within.lastNode = epoch;
      within.nodes.set(epoch, { label: node.label, untilMs: engineNowMs + node.ttlMs });
      return { epoch, engineNowMs };
    },
    async renew(epoch, ttlMs) {
      const member = namespace().nodes.get(epoch);
      if (member === undefined || member.untilMs <= clock.now()) return false;
      member.untilMs = clock.now() + ttlMs;
      return true;
    },
    async leave(epoch) {
      namespace().nodes.delete(epoch);
    },
    async lowestLive() {
      const now = clock.now();
      const live = [...namespace().nodes].filter(([, member]) => member.untilMs > now).map(([epoch]) => epoch);
      return live.length === 0 ? undefined : Math.min(...live);
    },
  };

  return {
    transport,
    store,
    leases,
    nodes,
    async open(): Promise<EngineInfo> {
      let found = space.namespaces.get(options.namespace);
      if (found === undefined) {
        found = { shardCount: options.shards, lastNode: 0, nodes: new Map(), shards: new Map() };
        space.namespaces.set(options.namespace, found);
      }
      checkShardCount(options.namespace, found.shardCount, options.shards);
      opened = found;
      return {
        name: 'memory',
        description: 'memory of this process',
        durability: 'Nothing survives the end of this process.',
        warnings: ['The memory engine loses every message, timer and snapshot when this process ends.'],
      };
    },
    async ping() {
      namespace();
    },
    async close() {
      opened = undefined;
    },
  };
}

function apply(at: ShardSpace, operation: StoreOperation): void {
  switch (operation.op) {
    case 'put':
      inner(at.tables, operation.table).set(operation.key, operation.value);
      return;
    case 'delete':
      at.tables.get(operation.table)?.delete(operation.key);
      return;
    case 'append': {
      const list = at.lists.get(operation.list);
      if (list === undefined) at.lists.set(operation.list, [operation.value]);
      else list.push(operation.value);
      return;
    }
    case 'drop': {
      const list = at.lists.get(operation.list);
      list?.splice(0, operation.count);
      if (list?.length === 0) at.lists.delete(operation.list);
      return;
    }
    case 'rank':
      inner(at.indexes, operation.index).set(operation.member, operation.score);
      return;
    case 'unrank':
      at.indexes.get(operation.index)?.delete(operation.member);
      return;
  }
}

function inner<Outer, Key, Value>(map: Map<Outer, Map<Key, Value>>, key: Outer): Map<Key, Value> {
  let found = map.get(key);
  if (found === undefined) {
    found = new Map();
    map.set(key, found);
  }
  return found;
}

/** The order of UTF-8 bytes, which is that of the real engines. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
